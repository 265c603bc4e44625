"""TensorBoard event files in the run's folder, record by record by TensorBoard's own writer: needs no torch.

Its event writer would do it from a thread of its own, where a full disk is a traceback on the terminal.
"""

from __future__ import annotations

import importlib
import time
from contextlib import suppress
from typing import Any, cast

from agentgym.track.lines import Line
from agentgym.track.sinks import Start


class Board:
    """One event file; what earlier ones hold from its first step on no longer counts."""

    def __init__(self, records: Any, events: Any, summaries: Any) -> None:
        self._records, self._events, self._summaries = records, events, summaries

    def begin(self, step: int) -> None:
        """The format's version, and TensorBoard's own word for a restart: later events from this step on are purged."""
        self._put(wall_time=time.time(), file_version="brain.Event:2")
        begun = self._events.SessionLog(status=self._events.SessionLog.START)
        self._put(wall_time=time.time(), step=step, session_log=begun)

    def write(self, line: Line) -> None:
        """One scalar event for each value."""
        scalars = [self._summaries.Summary.Value(tag=name, simple_value=value) for name, value in line.values.items()]
        self._put(wall_time=line.time, step=line.step, summary=self._summaries.Summary(value=scalars))

    def _put(self, **event: Any) -> None:
        try:
            self._records.write(self._events.Event(**event).SerializeToString())
            self._records.flush()
        except OSError:
            with suppress(OSError):  # What still waits would be written when the file is let go of, and fail there.
                self._records.close()
            raise

    def close(self) -> None:
        """Everything is written already."""
        self._records.close()


def open_sink(start: Start) -> Board | None:
    """A writer from `start.step` on; `None` if TensorBoard is not installed.

    Raises:
        OSError: the folder cannot be written.
    """
    try:
        records = cast(Any, importlib.import_module("tensorboard.summary.writer.record_writer"))
        events = cast(Any, importlib.import_module("tensorboard.compat.proto.event_pb2"))
        summaries = cast(Any, importlib.import_module("tensorboard.compat.proto.summary_pb2"))
    except ImportError:
        return None
    folder = start.folder / "tensorboard"
    folder.mkdir(parents=True, exist_ok=True)
    # Files are read in the order of their names.
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    made = (folder / f"events.out.tfevents.{seconds:010d}.{rest:09d}").open("xb")
    board = Board(records.RecordWriter(made), events, summaries)
    board.begin(start.step)
    return board
