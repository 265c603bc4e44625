"""What the generated shop sells: the words of `data/wares.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

_DATA: dict[str, Any] = tomllib.loads((Path(__file__).parent / "data" / "wares.toml").read_text(encoding="utf-8"))


class Kind(NamedTuple):
    """One kind of product."""

    category: str
    query: str
    path: tuple[str, ...]
    """Levels of the shop's tree."""
    nouns: tuple[str, ...]
    """What titles call it."""
    attributes: tuple[str, ...]
    options: tuple[tuple[str, tuple[str, ...]], ...]
    """Names of options and the values they can have."""
    prices: tuple[int, int]
    """Dollars, from and to."""


def _kind(given: dict[str, Any]) -> Kind:
    options = [(name.replace("_", " "), pool or name) for name, _, pool in (o.partition("=") for o in given["options"])]
    low, high = given["prices"]
    return Kind(
        category=given["category"],
        query=given["query"],
        path=tuple(given["path"]),
        nouns=tuple(given["nouns"]),
        attributes=tuple(given["attributes"]),
        options=tuple((name, tuple(_DATA["pools"][pool])) for name, pool in options),
        prices=(low, high),
    )


KINDS = tuple(_kind(given) for given in _DATA["kind"])
SYLLABLES: tuple[list[str], ...] = tuple(_DATA["syllables"])
LINES: list[str] = _DATA["lines"]
USES: list[str] = _DATA["uses"]
OPENINGS: list[str] = _DATA["openings"]
CHOICES: list[str] = _DATA["choices"]
PRAISE: list[str] = _DATA["praise"]
