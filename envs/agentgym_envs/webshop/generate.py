"""Catalogues of any size in upstream's schema, from a seed: products, their attributes, and instructions for some.

Product `n` of a seed is the same in a catalogue of any size, and costs no more than itself: the generator is how a file
as large as upstream's is made, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from agentgym.seeding import derive, generator
from agentgym_envs.webshop.wares import CHOICES, KINDS, LINES, OPENINGS, PRAISE, SYLLABLES, USES, Kind

VERSION = 1
"""Raise it when catalogues of the same seed come out different."""
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NUMBERS = 36**9
STEP = 61_803_398_874_989
"""Shares no factor with 36: products get numbers that look mixed, and never the same twice."""


class Item(NamedTuple):
    """A product's entries in upstream's three files."""

    record: dict[str, Any]
    attributes: dict[str, Any]
    human: list[dict[str, Any]]
    """Instructions; empty for about a third of the products."""


def items(count: int, seed: int = 0) -> Iterator[Item]:
    """The first `count` products of a seed."""
    return (item(number, seed) for number in range(count))


def asin(number: int, seed: int) -> str:
    """The product number of the `number`-th product.

    >>> asin(0, 0) != asin(1, 0), len(asin(5, 0))
    (True, 10)
    """
    rest = (number * STEP + derive(seed, "webshop", "asin")) % NUMBERS
    digits = ""
    for _ in range(9):
        rest, digit = divmod(rest, 36)
        digits = DIGITS[digit] + digits
    return "B" + digits


def item(number: int, seed: int) -> Item:
    """One product."""
    draw = _Draw(generator(seed, "webshop", "product", number))
    kind, key = KINDS[number % len(KINDS)], asin(number, seed)
    brand = "".join(draw.one(part) for part in SYLLABLES).capitalize()
    noun = draw.one(kind.nouns)
    attributes = draw.some(kind.attributes, 2, 4)
    shown = attributes[:2]
    title = f"{brand} {draw.one(LINES)} {noun} with {shown[0].title()} and {shown[1].title()} {draw.one(USES)}"
    options = {name: draw.some(values, 2, 5) for name, values in kind.options}
    record = {
        "asin": key,
        "name": title,
        "category": kind.category,
        "query": kind.query.title(),
        "product_category": " › ".join(kind.path),
        "full_description": f"{noun} by {brand}. {draw.one(PRAISE).format(attribute=attributes[-1]).capitalize()}",
        "small_description": [draw.one(PRAISE).format(attribute=one).capitalize() for one in attributes],
        "pricing": _pricing(draw, kind),
        "customization_options": {
            name.title(): [
                {"is_selected": False, "is_available": True, "value": value, "asin": key, "price": 0, "image": None}
                for value in values
            ]
            for name, values in options.items()
        },
        "images": [f"https://example.invalid/{key}.jpg"],
        "brand": f"Brand: {brand}",
        "average_rating": "",
        "total_reviews": "",
    }
    wanted = draw.some(attributes, 1, 2)
    known = {
        "attributes": attributes,
        "instruction": f"Find me {kind.query} with {', '.join(wanted)}",
        "instruction_attributes": wanted,
    }
    return Item(record, known, _human(draw, noun, attributes, options))


def _human(draw: _Draw, noun: str, attributes: list[str], options: dict[str, list[str]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for _ in range(draw.number(3)):
        wanted = draw.some(attributes, 1, 3)
        chosen = {name: draw.one(values) for name, values in options.items() if draw.number(4)}
        article = "" if noun.endswith("s") else "an " if noun[0] in "AEIOU" else "a "
        text = draw.one(OPENINGS).replace("{a} ", article).format(noun=noun.lower(), attributes=" and ".join(wanted))
        if chosen:
            text += draw.one(CHOICES).format(options=", ".join(chosen.values()))
        made.append(
            {
                "instruction": f"{text}.",
                "attributes": attributes,
                "options": [f"{name}: {value}" for name, value in chosen.items()],
                "instruction_attributes": wanted,
                "instruction_options": list(chosen.values()),
            }
        )
    return made


def _pricing(draw: _Draw, kind: Kind) -> str:
    """A price; for some products a range, for a few none."""
    low, high = kind.prices
    price, sort = low + (high - low) * draw.share() ** 2, draw.share()
    if sort < 0.05:
        return ""
    return f"${price:,.2f}" if sort < 0.8 else f"${price:,.2f} - ${price * (1.05 + 0.3 * draw.share()):,.2f}"


class _Draw:
    """Choices from one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def share(self) -> float:
        return float(self._rng.random())

    def number(self, below: int) -> int:
        return int(self._rng.integers(below))

    def one(self, values: Sequence[str]) -> str:
        return values[self.number(len(values))]

    def some(self, values: Sequence[str], least: int, most: int) -> list[str]:
        """From `least` to `most` different values, in mixed order."""
        count = min(len(values), least + self.number(most - least + 1))
        return [values[int(n)] for n in self._rng.permutation(len(values))[:count]]
