"""Metrics as they happen: one JSON line a step, always, and whatever trackers a recipe names beside it.

Everything in a line but `time` and names that begin with `time/` is a function of the run's seed: two runs with the
same seed write the same values, and a resumed run continues the same lines.

The file is what counts. TensorBoard, Weights & Biases and Trackio are given the same numbers by sinks; a sink that
fails is told of once and left alone, and nothing is uploaded unless the recipe asks for it (`docs/trackers.md`).
"""

from __future__ import annotations

from agentgym.track.lines import Line, read_metrics
from agentgym.track.settings import TrackConfig
from agentgym.track.sinks import check_sinks
from agentgym.track.tracker import Tracker

__all__ = ["Line", "TrackConfig", "Tracker", "check_sinks", "read_metrics"]
