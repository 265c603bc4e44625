"""What went wrong on the cluster, counted for the metrics and written down for people.

A run that survives its machines must not do so in silence: each loss is one line of `cluster.jsonl` in the run's
folder, a note on the screen, and a number in the metrics.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from agentgym.secrets import redact

log = logging.getLogger("agentgym.cluster")

KINDS = ("lost_workers", "lost_engines", "lost_hosts", "lost_ranks", "lost_nodes", "replayed_attempts")
"""What is counted; each is a metric `cluster/<kind>`, of the whole process so far."""


class Incidents:
    """Counts and remembers losses. Any thread may report one."""

    def __init__(self, folder: Path | None = None, note: Callable[[str], None] | None = None) -> None:
        """Args: `folder` where `cluster.jsonl` is appended to; `note` is told each loss in a sentence."""
        self._path = None if folder is None else folder / "cluster.jsonl"
        self._note = note
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def report(self, kind: str, text: str, count: int = 1) -> None:
        """Write a loss down.

        Args:
            kind: one of `KINDS`.
            text: what was lost, why, and what happens now.
            count: how many were lost at once.
        """
        with self._lock:
            self._counts[kind] += count
            log.warning("%s", text)
            if self._note is not None:
                self._note(f"cluster: {text}")
            if self._path is not None:
                line = {"time": time.time(), "kind": kind, "count": count, "text": redact(text)}
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")

    def metrics(self) -> dict[str, float]:
        """All counts, those of what never happened included."""
        return {f"cluster/{kind}": float(self._counts[kind]) for kind in KINDS}
