"""Defaults are a promise: recipes that leave a parameter out must mean the same tomorrow.

python tests/unit/credit/test_defaults.py    # writes tests/golden/credit_defaults.json anew
"""

from __future__ import annotations

import importlib.metadata as metadata
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from agentgym import registry

GOLDEN = Path(__file__).parents[2] / "golden" / "credit_defaults.json"
SHIPPED = sorted(
    point.name
    for point in metadata.entry_points(group="agentgym.credit")
    if point.dist is not None and point.dist.name == "agentgym-suite"
)


def defaults(name: str) -> dict[str, Any]:
    """Parameters with their defaults and bounds, as JSON has them; "required" where there is no default."""

    def plain(value: Any) -> Any:
        if value is PydanticUndefined:
            return "required"
        if isinstance(value, tuple | list):
            return [plain(v) for v in value]
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

    fields = registry.load("credit", name).model_fields
    return {
        field: {"default": plain(info.default)} | {name: edge for name, edge, _ in bounds(info)}
        for field, info in sorted(fields.items())
    }


def bounds(info: Any) -> list[tuple[str, float, float]]:
    """The bounds of a field: their kind, themselves, and a value that they refuse."""
    kinds = {"ge": -1, "le": 1, "gt": 0, "lt": 0}
    pairs = [(kind, getattr(bound, kind, None)) for bound in info.metadata for kind in kinds]
    return [(kind, edge, edge + kinds[kind]) for kind, edge in pairs if edge is not None]


@pytest.mark.parametrize("name", SHIPPED)
def test_defaults_are_as_promised(name):
    assert defaults(name) == json.loads(GOLDEN.read_text())[name]


@pytest.mark.parametrize("name", SHIPPED)
def test_values_beyond_a_bound_are_refused(name):
    module = registry.load("credit", name)
    needed = {"levels": [{"columns": {"reward": 1.0}}], "free": 1, "limit": 10**9}
    given = {k: v for k, v in needed.items() if k in module.model_fields}
    module(**given)
    for field, info in module.model_fields.items():
        for _, _, outside in bounds(info):
            with pytest.raises(ValueError, match=field):
                module(**{**given, field: outside})


if __name__ == "__main__":
    sys.stdout.write(f"{GOLDEN}\n")
    GOLDEN.write_text(json.dumps({name: defaults(name) for name in SHIPPED}, indent=1) + "\n")
