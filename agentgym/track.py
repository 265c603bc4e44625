"""Metrics as they happen: one JSON line a step, and TensorBoard where it is installed.

Everything in a line but `time` and names that begin with `time/` is a function of the run's seed: two runs with the
same seed write the same values, and a resumed run continues the same lines.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from agentgym.errors import StoreError


@dataclass(frozen=True)
class Line:
    """One line of metrics."""

    step: int
    time: float
    """Seconds since the epoch."""
    stage: str
    values: dict[str, float]


class Tracker:
    """Writes `metrics.jsonl` and `tensorboard/` in a run's folder.

    Attributes:
        warnings: what was found damaged, in words for a person.
    """

    def __init__(self, folder: str | Path, tensorboard: bool = True) -> None:
        """Args: `folder` of the run; `tensorboard` whether to write event files where the package is installed."""
        self.folder = Path(folder)
        self.path = self.folder / "metrics.jsonl"
        self.warnings: list[str] = []
        self._file: IO[bytes] | None = None
        self._board: _Board | None = None
        self._want_board = tensorboard

    def log(self, step: int, values: Mapping[str, float], stage: str = "") -> None:
        """Write one line.

        Args:
            step: a counter that only grows.
            values: by name; wall-clock values under `time/`.
            stage: which part of the run it belongs to.
        """
        now = time.time()
        numbers = {name: float(value) for name, value in values.items()}
        record = {"step": step, "time": round(now, 3), "stage": stage} | {k: _out(v) for k, v in numbers.items()}
        file = self._open()
        file.write(json.dumps(record, allow_nan=False).encode("ascii") + b"\n")
        file.flush()
        if self._want_board:
            if self._board is None:
                self._board = _Board.new(self.folder / "tensorboard", step)
                self._want_board = self._board is not None
            if self._board is not None:
                self._board.write(step, now, numbers)

    def cut(self, step: int) -> None:
        """Forget every line after `step`, and a torn last line."""
        self.close()
        keep = 0
        for end, line in _parsed(self.path):
            if line is None or line.step > step:
                break
            keep = end
        if self.path.exists() and keep < self.path.stat().st_size:
            os.truncate(self.path, keep)

    def close(self) -> None:
        """Stop writing; `log` starts again."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._board is not None:
            self._board.close()
            self._board = None

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            good = size = 0
            for end, line in _parsed(self.path):
                size, good = end, (end if line is not None else good)
            self._file = self.path.open("ab")
            if size > good:
                self.warnings.append(f"{self.path}: the last {size - good} bytes are a torn line: cut off")
                self._file.truncate(good)
        return self._file


def read_metrics(path: str | Path) -> list[Line]:
    """The lines of a `metrics.jsonl`, a torn last one left out.

    Raises:
        StoreError: a line before the last is damaged.
    """
    found: list[Line] = []
    torn: int | None = None
    for number, (_, line) in enumerate(_parsed(Path(path)), 1):
        if torn is not None:
            raise StoreError(f"{path}, line {torn} is damaged")
        if line is None:
            torn = number
        else:
            found.append(line)
    return found


def _parsed(path: Path) -> Iterator[tuple[int, Line | None]]:
    """For each line its end in bytes and what it says, `None` where it is not whole."""
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for raw in file:
            end += len(raw)
            yield end, _line(raw)


def _line(raw: bytes) -> Line | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        record = json.loads(raw)
        values = {k: float(v) for k, v in record.items() if k not in ("step", "time", "stage")}
        return Line(int(record["step"]), float(record["time"]), str(record["stage"]), values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _out(value: float) -> float | str:
    """JSON has no NaN and no infinities: they are written as text, which `float` reads back."""
    return value if math.isfinite(value) else repr(value)


class _Board:
    """TensorBoard event files, by its own writer: needs no torch."""

    def __init__(self, writer: Any, events: Any, summaries: Any) -> None:
        self._writer, self._events, self._summaries = writer, events, summaries

    @classmethod
    def new(cls, folder: Path, step: int) -> _Board | None:
        """A writer from `step` on: what earlier ones wrote from there no longer counts. `None` if not installed."""
        try:
            files = cast(Any, importlib.import_module("tensorboard.summary.writer.event_file_writer"))
            events = cast(Any, importlib.import_module("tensorboard.compat.proto.event_pb2"))
            summaries = cast(Any, importlib.import_module("tensorboard.compat.proto.summary_pb2"))
        except ImportError:
            return None
        writer = files.EventFileWriter(str(folder))
        start = events.SessionLog(status=events.SessionLog.START)
        writer.add_event(events.Event(wall_time=time.time(), step=step, session_log=start))
        return cls(writer, events, summaries)

    def write(self, step: int, now: float, values: Mapping[str, float]) -> None:
        """One scalar event for each value."""
        scalars = [self._summaries.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        summary = self._summaries.Summary(value=scalars)
        self._writer.add_event(self._events.Event(wall_time=now, step=step, summary=summary))

    def close(self) -> None:
        """Write out what waits."""
        self._writer.close()
