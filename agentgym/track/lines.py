"""The lines of a `metrics.jsonl`: JSON, one a step, a torn last one told from a whole one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentgym.errors import StoreError


@dataclass(frozen=True)
class Line:
    """One line of metrics."""

    step: int
    time: float
    """Seconds since the epoch."""
    stage: str
    values: dict[str, float]

    def encode(self) -> bytes:
        """The line as it stands in the file."""
        record = {"step": self.step, "time": round(self.time, 3), "stage": self.stage}
        record |= {name: _out(value) for name, value in self.values.items()}
        return json.dumps(record, allow_nan=False).encode("ascii") + b"\n"


def read_metrics(path: str | Path) -> list[Line]:
    """The lines of a `metrics.jsonl`, a torn last one left out.

    Raises:
        StoreError: a line before the last is damaged.
    """
    found: list[Line] = []
    torn: int | None = None
    for number, (_, line) in enumerate(parsed(Path(path)), 1):
        if torn is not None:
            raise StoreError(f"{path}, line {torn} is damaged")
        if line is None:
            torn = number
        else:
            found.append(line)
    return found


def parsed(path: Path) -> Iterator[tuple[int, Line | None]]:
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
