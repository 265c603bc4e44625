"""The writer of a run's metrics: its file, and the sinks beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from agentgym.secrets import redact
from agentgym.track.lines import Line, parsed, read_metrics
from agentgym.track.settings import TrackConfig
from agentgym.track.sinks import Sink, Start, open_sink


class Tracker:
    """Writes `metrics.jsonl` in a run's folder, and gives the same lines to trackers.

    Attributes:
        warnings: what was found damaged, and which trackers failed, in words for a person.
    """

    def __init__(
        self,
        folder: str | Path,
        tensorboard: bool = True,
        *,
        track: TrackConfig | None = None,
        config: Mapping[str, Any] | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            folder: of the run.
            tensorboard: whether to write event files where the package is installed; of no meaning beside `track`.
            track: which trackers are written to, and how.
            config: the recipe, as plain values, for trackers that show it.
            note: told each warning about a tracker, once.
        """
        self.folder = Path(folder)
        self.path = self.folder / "metrics.jsonl"
        self.warnings: list[str] = []
        self._track = track or TrackConfig(to=("tensorboard",) if tensorboard else ())
        self._config, self._note = dict(config or {}), note
        self._file: IO[bytes] | None = None
        self._sinks: dict[str, Sink] | None = None
        self._failed = set[str]()

    def log(self, step: int, values: Mapping[str, float], stage: str = "") -> None:
        """Write one line.

        Args:
            step: a counter that only grows.
            values: by name; wall-clock values under `time/`.
            stage: which part of the run it belongs to.
        """
        line = Line(step, time.time(), stage, {name: float(value) for name, value in values.items()})
        file = self._open()
        sinks = self._opened(step) if self._sinks is None else self._sinks
        file.write(line.encode())
        file.flush()
        for name, sink in list(sinks.items()):
            self._try(name, lambda sink=sink: sink.write(line))

    def cut(self, step: int) -> None:
        """Forget every line after `step`, and a torn last line; the trackers are given what is left."""
        self.close()
        keep = 0
        for end, line in parsed(self.path):
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
        sinks, self._sinks = self._sinks or {}, None
        for name, sink in sinks.items():
            self._try(name, sink.close)

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            good = size = 0
            for end, line in parsed(self.path):
                size, good = end, (end if line is not None else good)
            self._file = self.path.open("ab")
            if size > good:
                self.warnings.append(f"{self.path}: the last {size - good} bytes are a torn line: cut off")
                self._file.truncate(good)
        return self._file

    def _opened(self, step: int) -> dict[str, Sink]:
        """The sinks, opened at the first line: what a run never writes to it never makes."""
        found: dict[str, Sink] = {}
        self._sinks = found
        names = [name for name in dict.fromkeys(self._track.to) if name not in self._failed]
        past = read_metrics(self.path) if names else []
        start = Start(self.folder, self._track, self._config, past, step)
        for name in names:

            def made(name: str = name) -> None:
                sink = open_sink(name, start)
                if sink is not None:
                    found[name] = sink

            self._try(name, made)
        return found

    def _try(self, name: str, work: Callable[[], None]) -> None:
        """Have a sink do something; if it cannot, it is dropped, and a run goes on."""
        try:
            work()
        except Exception as error:
            self._failed.add(name)
            if self._sinks is not None:
                self._sinks.pop(name, None)
            said = redact(" ".join(str(error).split()))[:300]
            text = (
                f"{name} failed and is left out from here on ({type(error).__name__}: {said}); "
                f"{self.path.name} has everything"
            )
            self.warnings.append(text)
            if self._note is not None:
                self._note(text)
