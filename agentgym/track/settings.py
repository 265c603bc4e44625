"""What a recipe says about trackers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentgym.config import Config


class TrackConfig(Config):
    """Where metrics go beside the run's own `metrics.jsonl` (docs/trackers.md)."""

    to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """Trackers that are given the metrics as they happen; an empty list for none."""
    project: str = Field(default="agentgym", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    """What Weights & Biases and Trackio put the run under."""
    offline: bool = True
    """Whether those two stay on this machine. `false` lets them upload, as they are set up to in their own ways."""
