"""Trackers beside the file: what each has to be able to do, and which one a name stands for."""

from __future__ import annotations

import importlib
import importlib.util
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agentgym.errors import MissingExtraError
from agentgym.track.lines import Line
from agentgym.track.settings import TrackConfig


@dataclass(frozen=True)
class Start:
    """What a sink is opened with."""

    folder: Path
    """The run's."""
    track: TrackConfig
    config: Mapping[str, Any]
    """The recipe, as plain values."""
    past: Sequence[Line]
    """What counts of what was written before, oldest first: a resumed run's curve begins with it."""
    step: int
    """The first step that will be written."""


class Sink(Protocol):
    """A tracker that is open. Any exception ends it, and nothing else."""

    def write(self, line: Line) -> None:
        """Take one line."""
        ...

    def close(self) -> None:
        """Write out what waits, and let go."""
        ...


MODULES = {
    "tensorboard": "agentgym.track.tensorboard_sink",
    "wandb": "agentgym.track.wandb_sink",
    "trackio": "agentgym.track.trackio_sink",
}
"""By name, the module whose `open_sink(start)` gives a `Sink`, or `None` where there is nothing to write with."""


def open_sink(name: str, start: Start) -> Sink | None:
    """The sink of that name, its package imported only now.

    Raises:
        Exception: whatever its package raises.
    """
    kept = random.getstate()  # Packages that draw names for runs draw from the global generator.
    try:
        return importlib.import_module(MODULES[name]).open_sink(start)
    finally:
        random.setstate(kept)


def check_sinks(track: TrackConfig) -> None:
    """See that what a recipe names is installed; TensorBoard, which comes with training, may be absent.

    Raises:
        MissingExtraError: it is not; names the command that installs it.
    """
    for name in track.to:
        if name != "tensorboard" and importlib.util.find_spec(name) is None:
            raise MissingExtraError(f"track.to = {list(track.to)!r}", name)
