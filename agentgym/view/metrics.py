"""A run's metrics, followed as they are written: each line is read once."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any, cast

MAX_LINES = 2000
"""Lines of one answer that begins at the first."""
LONGEST = 1 << 20
"""Bytes of a line that is read."""


class Metrics:
    """The lines of a `metrics.jsonl`. Methods may be called by several threads.

    Attributes:
        warnings: what was found damaged.
        lines: `{"step", "stage", "values"}` of each, `None` for NaN and infinities, which make gaps in a curve.
    """

    def __init__(self, path: Path) -> None:
        """Args: `path` of the file; nothing is read yet."""
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self._at = 0
        self._last = b""
        self._number = 0
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Take in new lines; whether there were any, or the file was cut back."""
        with self._lock:
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                changed, self.lines = bool(self.lines), []
                self._at, self._last, self._number = 0, b"", 0
                return changed
            with file:
                return self._follow(file)

    def _follow(self, file: Any) -> bool:
        changed = False
        if self._at:  # The last line that was read must still end here, or the file was cut back and goes on otherwise.
            file.seek(self._at - len(self._last))
            if file.read(len(self._last)) != self._last:
                self.lines, self._at, self._last, self._number, changed = [], 0, b"", 0, True
                file.seek(0)
        while (line := file.readline(LONGEST)).endswith(b"\n"):
            self._at, self._last, self._number = self._at + len(line), line, self._number + 1
            one = _read(line)
            if one is None:
                self.warnings.append(f"{self.path.name}: line {self._number} is damaged: passed over")
                continue
            self.lines.append(one)
            changed = True
        return changed

    def since(self, since: int) -> dict[str, Any]:
        """Lines from one on, and the number that the next one will have; thinned where `since` is 0.

        All lines of evaluations stay, and the last one.
        """
        with self._lock:
            lines, count = self.lines[since:], len(self.lines)
        if not since and len(lines) > MAX_LINES:
            step = math.ceil(len(lines) / MAX_LINES)
            last = len(lines) - 1
            lines = [
                line for i, line in enumerate(lines) if i % step == 0 or i == last or line["stage"].startswith("eval:")
            ]
        return {
            "lines": lines[:MAX_LINES] if since else lines,
            "next": min(count, since + MAX_LINES) if since else count,
        }


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        record = cast(dict[str, Any], json.loads(line))
        values: dict[str, float | None] = {}
        for name, given in record.items():
            if name not in ("step", "time", "stage"):
                value = float(given)
                values[name] = value if math.isfinite(value) else None
        return {"step": int(record["step"]), "stage": str(record["stage"]), "values": values}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
