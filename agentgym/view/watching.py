"""Runs that are looked at, and whether anything in them changed: what a page waits for.

A thread of its own takes in what runs write, in slices, so that the first rows are served while others are still read.
It looks seldom while nobody waits, and not at all while nobody has asked for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from agentgym.view.data import RunData

OFTEN, SELDOM = 0.4, 3.0
"""Seconds between two looks, while somebody waits and while nobody does."""
IDLE = 60.0
"""Seconds after the last question from which on nobody looks."""


class Watch:
    """Follows runs until it is closed.

    Attributes:
        runs: which.
        version: grows whenever something in them changed.
    """

    def __init__(self, runs: Sequence[RunData]) -> None:
        """Args: `runs` which; the thread begins at `start`."""
        self.runs = list(runs)
        self.version = 1
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._asked = time.monotonic()
        self._waiting = 0
        self._ended = False
        self._live: list[bool] = [False] * len(self.runs)
        self._thread = threading.Thread(target=self._follow, name="agentgym-view", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def ask(self) -> None:
        """Somebody asked something: runs are worth a look."""
        if time.monotonic() - self._asked > OFTEN:
            self._wake.set()
        self._asked = time.monotonic()

    def hold(self, more: int) -> None:
        """So many more wait for a change, or fewer."""
        with self._lock:
            self._waiting += more
        if more > 0:
            self._wake.set()

    def close(self) -> None:
        """Stop following; waits for the thread."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def look(self) -> bool:
        """One look at every run; whether anything changed."""
        changed = False
        for place, run in enumerate(self.runs):
            try:
                changed = run.refresh() or changed
            except Exception as error:  # A run that cannot be read must not keep the others from being followed.
                run.index.warn(f"cannot be followed: {type(error).__name__}: {error}")
            live = run.live()
            changed, self._live[place] = changed or live != self._live[place], live
        if changed:
            self.version += 1
        return changed

    def _follow(self) -> None:
        while not self._ended:
            self.look()
            behind = any(run.index.behind and not run.index.stuck for run in self.runs)
            if behind:
                continue
            for run in self.runs:
                if not run.parts.listed() and len(run.index):
                    run.parts.list_tasks()
                    self.version += 1
            idle = time.monotonic() - self._asked > IDLE and not self._waiting
            self._wake.wait(None if idle else OFTEN if self._waiting else SELDOM)
            self._wake.clear()
