"""What a purchase is worth, to upstream's digit, in parts that sum to it.

reward = type * (attributes + options + price) / (wanted attributes + wanted options + 1), where type is a factor for
how alike the two products are, and the others count what fits (Yao et al. 2022, "WebShop: Towards Scalable Real-World
Web Interaction with Grounded Language Agents", section 3; details after upstream's program, which the transcripts
were made with).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from agentgym.errors import MissingExtraError
from agentgym_envs.webshop.colours import COLOURS, plain
from agentgym_envs.webshop.nouns import Tagger
from agentgym_envs.webshop.product import Product

ALIKE = 85
"""Two texts match above this likeness in percent."""
LATIN = re.compile("[\x80-\xff]")
NOT_WORD = re.compile(r"[^\w]|_")


class Worth(NamedTuple):
    """A purchase, counted."""

    type: float
    """Factor: 1, 0.5, 0.1 or 0."""
    title_score: float
    """Share of the wanted title's nouns that the bought title has."""
    query_match: bool
    category_match: bool
    attributes: int
    """Wanted attributes that fit."""
    options: int
    """Wanted options that fit."""
    price: bool
    """Whether it costs no more than was wanted."""
    wanted_attributes: int
    wanted_options: int

    @property
    def reward(self) -> float:
        """From 0 to 1."""
        wanted = self.wanted_attributes + self.wanted_options + 1
        return (self.attributes + self.options + self.price) / wanted * self.type

    @property
    def parts(self) -> dict[str, float]:
        """Components that sum to the reward; `type` is what another type of product costs, 0 or less."""
        wanted = self.wanted_attributes + self.wanted_options + 1
        whole = (self.attributes + self.options + self.price) / wanted
        counted = {"attributes": self.attributes, "options": self.options, "price": int(self.price)}
        return {"type": self.reward - whole} | {name: count / wanted for name, count in counted.items()}

    @property
    def details(self) -> dict[str, Any]:
        """Under upstream's names; `r_option` is left out where no option was wanted."""
        wanted = self.wanted_attributes + self.wanted_options + 1
        told: dict[str, Any] = {
            "r_type": self.type,
            "r_att": self.attributes / self.wanted_attributes,
            "w_att": self.wanted_attributes / wanted,
            "query_match": self.query_match,
            "category_match": self.category_match,
            "title_score": self.title_score,
        }
        if self.wanted_options:
            told |= {"r_option": self.options / self.wanted_options, "w_option": self.wanted_options / wanted}
        return told | {"r_price": self.price, "w_price": 1 / wanted}


class Judge:
    """Counts purchases for one goal. What depends on the product alone is counted once."""

    def __init__(self, goal: Mapping[str, Any], tagger: Tagger) -> None:
        """Args: `goal` as in `goals`."""
        self.goal = goal
        self._nouns = tagger
        options: Any = goal["goal_options"]
        # Of a synthetic option, name and value are compared together; a colour counts where the value is just that.
        self._options = [
            _of_pair(*pair) if isinstance(options, dict) else plain(pair)
            for pair in (options.items() if isinstance(options, dict) else options)
        ]
        self._products: dict[str, Worth] = {}

    def worth(self, product: Product, options: Iterable[str]) -> Worth:
        """What buying a product with these option values counts."""
        found = self._products.get(product.asin)
        if found is None:
            found = self._products[product.asin] = self._of_product(product)
        return found._replace(options=self.options_met(options))

    def options_met(self, options: Iterable[str]) -> int:
        """How many wanted options the chosen values fit."""
        chosen = [plain(value) for value in options]
        return sum(any(alike(value, wanted) for value in chosen) for wanted in self._options) if chosen else 0

    def fits(self, value: str) -> list[int]:
        """Which of the wanted options a value fits."""
        return [n for n, wanted in enumerate(self._options) if alike(plain(value), wanted)]

    def _of_product(self, product: Product) -> Worth:
        goal = self.goal
        wanted, bought = self._nouns(goal["name"]), set(self._nouns(product.title))
        score = len(bought & set(wanted)) / len(wanted) if wanted else 0.2
        query = product.query == goal["query"]
        levels = [
            {level.strip() for level in path.split("›")}
            for path in (product.product_category, goal["product_category"])
        ]
        category = len(levels[0] & levels[1]) >= 2
        factor = 1.0 if query or category or score > 0.2 else 0.5
        if score < 0.1:
            factor = 0.1 if score > 0 else 0.0
        texts = (product.title.lower(), " ".join(product.bullets).lower(), product.description.lower())
        attributes = sum(
            any(alike(mine, one) for mine in product.attributes) or any(one in text for text in texts)
            for one in goal["attributes"]
        )
        price = product.price <= goal["price_upper"]
        counts = len(goal["attributes"]), len(self._options)
        return Worth(factor, score, query, category, attributes, 0, price, *counts)


def _of_pair(name: str, value: str) -> str:
    # Upstream looks for a colour among name and value, each taken whole; else the pair is compared as it is written.
    return next((colour for colour in COLOURS if colour in (name, value)), str((name, value)))


@functools.lru_cache(maxsize=1 << 16)
def alike(one: str, two: str) -> bool:
    """Whether one text has all words of the other, but for a few letters (token set ratio above 85).

    >>> alike("essential oil", "essential oils"), alike("large", "x-large"), alike("large", "small")
    (True, True, False)
    """
    one, two = _words(one), _words(two)
    return bool(one and two) and round(_ratio(one, two)) > ALIKE


def _words(text: str) -> str:
    """Letters and digits in lower case, everything else a blank; accented letters of Latin-1 are dropped, as upstream
    drops them."""
    return NOT_WORD.sub(" ", LATIN.sub("", text)).lower().strip()


def _ratio(one: str, two: str) -> float:
    try:
        from rapidfuzz.fuzz import token_set_ratio
    except ModuleNotFoundError:
        raise MissingExtraError("WebShop's reward", "webshop") from None
    return token_set_ratio(one, two)
