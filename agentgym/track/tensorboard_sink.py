"""TensorBoard event files in the run's folder, by TensorBoard's own writer: needs no torch."""

from __future__ import annotations

import importlib
import time
from typing import Any, cast

from agentgym.track.lines import Line
from agentgym.track.sinks import Start


class Board:
    """One event file; what earlier ones hold from its first step on no longer counts."""

    def __init__(self, writer: Any, events: Any, summaries: Any) -> None:
        self._writer, self._events, self._summaries = writer, events, summaries

    def write(self, line: Line) -> None:
        """One scalar event for each value."""
        scalars = [self._summaries.Summary.Value(tag=name, simple_value=value) for name, value in line.values.items()]
        summary = self._summaries.Summary(value=scalars)
        self._writer.add_event(self._events.Event(wall_time=line.time, step=line.step, summary=summary))

    def close(self) -> None:
        """Write out what waits."""
        self._writer.close()


def open_sink(start: Start) -> Board | None:
    """A writer from `start.step` on; `None` if TensorBoard is not installed.

    Raises:
        OSError: the folder cannot be written.
    """
    try:
        files = cast(Any, importlib.import_module("tensorboard.summary.writer.event_file_writer"))
        events = cast(Any, importlib.import_module("tensorboard.compat.proto.event_pb2"))
        summaries = cast(Any, importlib.import_module("tensorboard.compat.proto.summary_pb2"))
    except ImportError:
        return None
    folder = start.folder / "tensorboard"
    # Files are read in the order of their names, which begin with the second; within one, that order may be any.
    while any(folder.glob(f"events.out.tfevents.{int(time.time()):010d}.*")):
        time.sleep(0.05)
    writer = files.EventFileWriter(str(folder))
    # TensorBoard's own word for a restart: events of the same tags from this step on are purged.
    begun = events.SessionLog(status=events.SessionLog.START)
    writer.add_event(events.Event(wall_time=time.time(), step=start.step, session_log=begun))
    return Board(writer, events, summaries)
