"""Progress on the error stream: a live bar on a terminal, one line a stage everywhere else."""

from __future__ import annotations

import time
from typing import Any

from agentgym.cli.show import console, safe
from agentgym.secrets import redact

PERCENT = ("success", "fault_rate")


class Bars:
    """Shows the stage that runs with its newest numbers, and leaves one line for each stage that is done.

    A context manager; implements `agentgym.progress.Progress`.
    """

    def __init__(self, quiet: bool = False) -> None:
        """Args: `quiet` shows nothing at all."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._console = console(errors=True)
        self._quiet = quiet
        self._live = self._console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}"),
            TimeElapsedColumn(),
            Remaining(compact=True),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._task: Any = None
        self._stage, self._total, self._done, self._began = "", 0, 0, 0.0
        self._values: dict[str, float] = {}

    def __enter__(self) -> Bars:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()
        self._bar.stop()

    def start(self, stage: str, total: int) -> None:
        """The next stage."""
        self._finish()
        self._stage, self._total, self._done, self._began = stage, total, 0, time.monotonic()
        self._values = {}
        self._task = self._bar.add_task(safe(stage), total=total, values="")

    def advance(self, units: int = 1, **values: float) -> None:
        """More is done, and these are the newest numbers."""
        self._done += units
        self._values |= values
        if self._task is not None and self._live:
            self._bar.update(self._task, advance=units, values=numbers(self._values))
        if self._done >= self._total:
            self._finish()

    def note(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._console.print(safe(redact(text)))

    def _finish(self) -> None:
        if self._task is None:
            return
        self._bar.remove_task(self._task)
        self._task = None
        seconds = time.monotonic() - self._began
        line = f"{self._stage:<20} {self._done}/{self._total}  {numbers(self._values)}  {seconds:.1f} s"
        self.note(line)


def numbers(values: dict[str, float]) -> str:
    """`success 31 %  reward 0.31`."""
    return "  ".join(
        f"{name} {value:.0%}" if name in PERCENT else f"{name} {value:.3g}" for name, value in values.items()
    )
