"""How long work reports itself: what is being done, how far it is, and what is being learned."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives progress; the command line draws bars, tests listen, and `Silent` does nothing."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` units begins."""
        ...

    def advance(self, units: int = 1, **values: float) -> None:
        """`units` more are done; `values` are the numbers to show beside the bar (success, reward, loss, ...)."""
        ...

    def note(self, text: str) -> None:
        """A line worth keeping on the screen."""
        ...


class Silent:
    """Says nothing."""

    def start(self, stage: str, total: int) -> None:
        """Ignored."""

    def advance(self, units: int = 1, **values: float) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""
