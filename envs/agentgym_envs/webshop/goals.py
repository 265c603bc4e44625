"""Goals: what to buy. People's own instructions, and synthetic ones for every combination of a product's options.

A goal is a plain dictionary with upstream's keys, so that goals can be kept, compared and given by hand: `asin`,
`category`, `query`, `name`, `product_category`, `instruction_text`, `attributes`, `price_upper`, and `goal_options` (a
list of values from people, a dictionary by the option's name where synthetic).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from agentgym.errors import UsageError
from agentgym.seeding import generator
from agentgym_envs.webshop import reader
from agentgym_envs.webshop.product import Product
from agentgym_envs.webshop.shelf import SOURCE, Shelf

HUMAN = f"WebShop's instructions (items_human_ins.json, an object of lists by asin); {SOURCE}"
BOUNDS = tuple(10.0 * n for n in range(1, 100))
"""Dollars that an upper price can be."""
NO_BOUND = 1_000_000.0
"""Upper price where the product is too dear for any bound; nothing is said of it then."""
SHUFFLE = 233
"""Seed that upstream shuffles its goals with."""
SHUFFLED = 2_000_000
"""Most goals that are shuffled as upstream does, which holds all of them."""
KEYS = ("asin", "category", "query", "name", "product_category", "instruction_text", "attributes", "goal_options")


def bound(price: float, key: str) -> float:
    """An upper price: the larger of two drawn from the next four multiples of ten dollars above the price.

    Args:
        price: dollars.
        key: what it is drawn for; the same key gives the same bound. Upstream draws anew in every process.
    """
    above = [limit for limit in BOUNDS if limit > price][:4]
    if len(above) < 2:
        return NO_BOUND
    return max(above[int(i)] for i in generator(0, "webshop", "bound", key).choice(len(above), 2, replace=False))


def goal(product: Product, text: str, attributes: Sequence[str], options: Any, key: str) -> dict[str, Any]:
    """One goal: buy this product, or one that fits as well."""
    upper = bound(product.price, key)
    said = "" if upper == NO_BOUND else f", and price lower than {upper:.2f} dollars"
    return {
        "asin": product.asin,
        "category": product.category,
        "query": product.query,
        "name": product.title,
        "product_category": product.product_category,
        "instruction_text": text + said,
        "attributes": list(attributes),
        "price_upper": upper,
        "goal_options": options,
    }


class Human:
    """Goals that people wrote."""

    def __init__(self, shelf: Shelf, path: Path) -> None:
        """Args: `shelf` has the products, `path` is `items_human_ins.json`.

        Raises:
            UsageError: the file cannot be read, or is of another schema.
        """
        self._shelf = shelf
        found: list[tuple[int, int, dict[str, Any]]] = []
        for entry in reader.entries(path, HUMAN, "{"):
            row = shelf.row(entry.key)
            if not isinstance(entry.value, list) or not all(map(_is_instruction, entry.value)):
                raise UsageError(f"{path}: {entry.key}: is no list of instructions; expected {HUMAN}")
            if row >= 0:
                found += [(row, n, one) for n, one in enumerate(entry.value) if one["instruction_attributes"]]
        found.sort(key=lambda one: one[:2])
        Random(SHUFFLE).shuffle(found)  # A generator of its own, and upstream's order.
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def rows(self) -> list[int]:
        """The product's row of each goal."""
        return [row for row, _, _ in self._found]

    def __getitem__(self, index: int) -> dict[str, Any]:
        row, number, one = self._found[index]
        product = self._shelf.product(row)
        text, options = one["instruction"].strip("."), list(one["instruction_options"])
        return goal(product, text, one["instruction_attributes"], options, f"{product.asin} human {number}")


def _is_instruction(value: Any) -> bool:
    lists = ("instruction_attributes", "instruction_options")
    return (
        isinstance(value, dict)
        and isinstance(value.get("instruction"), str)
        and all(isinstance(value.get(name), list) and all(isinstance(x, str) for x in value[name]) for name in lists)
    )


class Synthetic:
    """A goal for every combination of options of every product with an instruction."""

    def __init__(self, shelf: Shelf) -> None:
        """Args: `shelf` has the products. Up to two million goals are in upstream's order; more are mixed by a formula,
        so that they take no memory."""
        self._shelf = shelf
        self._ends = np.cumsum(shelf.goals)
        self._size = int(self._ends[-1])
        self._order: list[int] | None = None
        if self._size <= SHUFFLED:
            self._order = list(range(self._size))
            Random(SHUFFLE).shuffle(self._order)

    def __len__(self) -> int:
        return self._size

    def rows(self) -> list[int]:
        """The product's row of each goal."""
        numbers = self._order if self._order is not None else [mixed(n, self._size) for n in range(self._size)]
        return [int(row) for row in np.searchsorted(self._ends, numbers, side="right")]

    def __getitem__(self, index: int) -> dict[str, Any]:
        number = self._order[index] if self._order is not None else mixed(index, self._size)
        row = int(np.searchsorted(self._ends, number, side="right"))
        number -= int(self._ends[row - 1]) if row else 0
        product, known = self._shelf.product(row), self._shelf.raw_attributes(row) or {}
        options: dict[str, str] = {}
        rest = number
        for name in sorted(product.options, reverse=True):  # The last name's values turn fastest.
            rest, place = divmod(rest, len(product.options[name]))
            options[name] = product.options[name][place]
        options = dict(sorted(options.items()))
        said = ", and ".join(f"{name}: {value}" for name, value in options.items())
        text = known["instruction"] + (f" with {said}" if said else "")
        return goal(product, text, known["instruction_attributes"], options, f"{product.asin} synthetic")


def mixed(index: int, size: int) -> int:
    """The place of an index in a fixed mixed order of `size` numbers: a step that shares no factor with the size.

    >>> sorted(mixed(i, 10) for i in range(10)) == list(range(10))
    True
    """
    step = int(size * 0.6180339887) | 1
    while np.gcd(step, size) != 1:
        step += 2
    return (index * step + SHUFFLE) % size


def checked(given: Mapping[str, Any], task: str) -> dict[str, Any]:
    """A task's goal with everything that pages and rewards read.

    Raises:
        UsageError: something is missing, or of another kind.
    """
    try:
        made = {name: given[name] for name in KEYS} | {"price_upper": float(given["price_upper"])}
        json.dumps(made)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"task {task!r}: its goal has no valid {error}; it needs {', '.join(KEYS)}, price_upper"
        ) from error
    if not made["attributes"] or not isinstance(made["goal_options"], (list, dict)):
        raise UsageError(f"task {task!r}: its goal needs at least one attribute, and options as a list or an object")
    return made
