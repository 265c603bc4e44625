"""What was measured of many pipelines, kept as one small JSON document beside the cards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from agentgym.errors import StoreError
from agentgym.lab.measure import Measured

COLUMNS = tuple(f.name for f in fields(Measured))
DIGITS = 6
"""Significant digits that are kept."""


@dataclass
class Results:
    """Measurements by the label of their pipeline."""

    full: dict[str, list[Measured]] = field(default_factory=dict[str, list[Measured]])
    quick: dict[str, list[Measured]] = field(default_factory=dict[str, list[Measured]])
    """With few groups: what a test can repeat."""
    cost: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds for a million turns."""

    @classmethod
    def read(cls, path: Path) -> Results:
        """What `write` wrote; nothing where there is no file.

        Raises:
            StoreError: the file is something else.
        """
        if not path.exists():
            return cls()
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                _measured(data, "full"), _measured(data, "quick"), {k: float(v) for k, v in data["cost"].items()}
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path}: holds no measurements of the lab ({error}); remove it and measure again"
            ) from error

    def update(self, newer: Results) -> None:
        """Put newer measurements in the place of older ones."""
        self.full |= newer.full
        self.quick |= newer.quick
        self.cost |= newer.cost

    def write(self, path: Path) -> None:
        """One line a measurement, so that a change of one shows as one changed line."""
        parts: list[str] = [f' "columns": {json.dumps(COLUMNS)}']
        for name, found in (("full", self.full), ("quick", self.quick)):
            blocks = [f"  {json.dumps(label)}: [\n   {_lines(found[label])}\n  ]" for label in sorted(found)]
            parts.append(f' "{name}": {{\n' + ",\n".join(blocks) + "\n }")
        parts.append(f' "cost": {json.dumps({k: _short(v, 2) for k, v in sorted(self.cost.items())})}')
        path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def as_json(found: Mapping[str, Sequence[Measured]]) -> dict[str, list[dict[str, Any]]]:
    """Measurements as JSON values, each with its names."""
    return {k: [dict(zip(COLUMNS, _row(m), strict=True)) for m in rows] for k, rows in found.items()}


def _lines(rows: Sequence[Measured]) -> str:
    return ",\n   ".join(json.dumps(_row(m)) for m in rows)


def _row(m: Measured) -> list[Any]:
    return [_short(getattr(m, name)) for name in COLUMNS]


def _short(value: Any, digits: int = DIGITS) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.{digits}g}") if abs(value) > 1e-9 else 0.0  # What is left of an exact 0 is rounding.


def _measured(data: Mapping[str, Any], name: str) -> dict[str, list[Measured]]:
    order = data["columns"]
    return {k: [Measured(**dict(zip(order, row, strict=True))) for row in rows] for k, rows in data[name].items()}
