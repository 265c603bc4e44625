"""A product as the shop shows it, from a record in upstream's schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from agentgym.seeding import generator

NO_PRICE = 100.0
"""What a product without a price costs, in dollars."""
DUMMY = ("DUMMY_ATTR",)
"""Attributes of a product that the attribute file does not have."""
LONGEST_ASIN = 10


class Product(NamedTuple):
    """What pages, search and rewards read. Names of fields are ours; the record's are in `read`."""

    asin: str
    title: str
    description: str
    bullets: tuple[str, ...]
    pricing: tuple[float, ...]
    """No, one or two prices in dollars: none known, a price, a range."""
    tag: str
    """The price as it is shown."""
    options: Mapping[str, tuple[str, ...]]
    """Values by the option's name, all in lower case."""
    attributes: tuple[str, ...]
    category: str
    query: str
    product_category: str
    """Levels of the shop's tree, with ` › ` between them."""

    @property
    def price(self) -> float:
        """Dollars that the product costs. Within a range it is drawn, always the same for the same product; upstream
        draws it anew in every process."""
        if len(self.pricing) < 2:
            return self.pricing[0] if self.pricing else NO_PRICE
        low, high = sorted(self.pricing)
        return float(generator(0, "webshop", "price", self.asin).uniform(low, high))

    @property
    def document(self) -> str:
        """The text that is searched: title, description, first bullet and options, in lower case."""
        options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in self.options.items())
        return " ".join([self.title, self.description, self.bullets[0] if self.bullets else "", options]).lower()


def read(record: Mapping[str, Any], attributes: Mapping[str, Any] | None) -> Product:
    """A product from its record.

    Args:
        record: an entry of `items_shuffle*.json`: `asin`, `name`, `full_description`, `small_description`, `pricing`,
            `customization_options`, `category`, `query`, `product_category`, and more that is not shown.
        attributes: its entry in `items_ins_v2*.json`, with `attributes`; `None` if there is none.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such record.
    """
    pricing, tag = _pricing(record.get("pricing"))
    small = record["small_description"]
    known = (attributes or {}).get("attributes")
    return Product(
        asin=_text(record["asin"]),
        title=_text(record["name"]),
        description=_text(record["full_description"]),
        bullets=tuple(_text(line) for line in small) if isinstance(small, list) else (_text(small),),
        pricing=pricing,
        tag=tag,
        options=_options(record["customization_options"]),
        attributes=DUMMY if known is None else tuple(_text(one) for one in known),
        category=_text(record["category"]),
        query=_text(record["query"]).lower().strip(),
        product_category=_text(record["product_category"]),
    )


def listed(asin: Any) -> bool:
    """Whether a product with such a number is in the shop; upstream leaves the others out."""
    return isinstance(asin, str) and 0 < len(asin) <= LONGEST_ASIN and asin != "nan"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is not a text")
    return value


def _pricing(given: Any) -> tuple[tuple[float, ...], str]:
    """Prices and how they are shown: `"$1,299.00"`, `"$5.00 - $9.50"`, or nothing."""
    if not given:
        return (), f"${NO_PRICE}"
    prices = tuple(float(re.sub(r"[^0-9.]", "", part)) for part in _text(given).split("$")[1:])
    if len(prices) == 1:
        return prices, f"${prices[0]}"
    if not prices:
        raise ValueError(f"the price {given!r:.60} has no dollar sign")
    return prices[:2], f"${prices[0]} to ${prices[1]}"


def _options(given: Any) -> dict[str, tuple[str, ...]]:
    options: dict[str, tuple[str, ...]] = {}
    for name, contents in (given or {}).items():
        if contents is not None:
            values = (_text(content["value"]).strip().replace("/", " | ").lower() for content in contents)
            options[_text(name).lower()] = tuple(values)
    return options
