"""Trackio: a local database that `trackio show` draws, or where its own variables say, where `offline = false`.

A resumed run's entries are written anew from the lines that count, so there is one run and one curve. The database is
Trackio's own, for all runs of this user (`TRACKIO_DIR` moves it): that is what lets its page compare them.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Generator
from typing import Any, cast

from agentgym.track.identity import run_id
from agentgym.track.lines import Line
from agentgym.track.sinks import Start

ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_WEBHOOK_URL", "SPACE_ID")
"""Variables that make Trackio send things away from this machine."""


class TrackioSink:
    """One open run of Trackio."""

    def __init__(self, run: Any, current: Any) -> None:
        """Args: `run` the package's; `current` its context variable, which it ends at exit, aloud."""
        self._run, self._current = run, current

    def write(self, line: Line) -> None:
        """One entry of its log."""
        self._run.log({**line.values, "stage": line.stage}, step=line.step)

    def close(self) -> None:
        """Write out what waits."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._run.finish()
        if self._current.get() is self._run:
            self._current.set(None)


def open_sink(start: Start) -> TrackioSink:
    """Open the run, and give it what counts of its past.

    Raises:
        Exception: whatever the package raises.
    """
    name, offline = f"{start.folder.name}-{run_id(start.folder)}", start.track.offline
    # It talks to standard output, which may be a script's JSON.
    with contextlib.redirect_stdout(io.StringIO()), _here() if offline else contextlib.nullcontext():
        trackio = cast(Any, importlib.import_module("trackio"))
        if offline:
            _forget(trackio, start.track.project, name)
        run = trackio.init(
            project=start.track.project,
            name=name,
            config=dict(start.config),
            resume="never" if offline else "allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
    sink = TrackioSink(run, trackio.context_vars.current_run)
    for line in start.past if offline else ():
        sink.write(line)
    return sink


def _forget(trackio: Any, project: str, name: str) -> None:
    try:
        runs = list(trackio.Api().runs(project))
    except ValueError:  # There is no such project yet.
        return
    for old in runs:
        if old.name == name:
            old.delete()


@contextlib.contextmanager
def _here() -> Generator[None]:
    """Without the variables that would make it upload; only for as long as it reads them."""
    kept = {name: os.environ.pop(name) for name in ELSEWHERE if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
