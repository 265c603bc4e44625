"""The shop: where a visitor is, what can be clicked there, and where it leads.

Follows upstream's program in everything that a visitor can meet, down to what it does with words that look like
addresses: it finds out on which page it is by looking for the page's name in the address, which has the query in it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import NamedTuple

from agentgym.seeding import generator
from agentgym_envs.webshop import pages
from agentgym_envs.webshop.pages import Piece
from agentgym_envs.webshop.product import Product
from agentgym_envs.webshop.shelf import Shelf

MOST = 50
"""Results of a search."""
PLACES = ("search_results", "item_page", "item_sub_page")
Ranking = Callable[[str], list[int]]
"""From a query in lower case to rows of products, best first."""


class State(NamedTuple):
    """Where a visitor is. Plain data."""

    place: str = ""
    """One of `PLACES`; empty on the first page."""
    words: tuple[str, ...] = ()
    """The query, split at blanks."""
    page: int = 0
    asin: str = ""
    options: tuple[tuple[str, str], ...] = ()
    """Chosen values by option, in the order of choosing."""
    sub: str = ""
    visited: tuple[str, ...] = ()
    """Numbers of products that were looked at since the first page, sorted."""

    @property
    def address(self) -> str:
        """Upstream's address without the part that is always the same."""
        query = "+".join(self.words)
        if self.place == "search_results":
            return f"search_results/{query}/{self.page}"
        if self.place == "item_page":
            return f"item_page/{self.asin}/{query}/{self.page}/{json.dumps(dict(self.options))}"
        if self.place == "item_sub_page":
            return f"item_sub_page/{self.asin}/{query}/{self.page}/{self.sub}/{dict(self.options)}"
        return ""


class Site:
    """One visitor's shop. The shelf is shared and never changes."""

    def __init__(
        self, shelf: Shelf, instruction: str, show_attributes: bool = False, rank: Ranking | None = None
    ) -> None:
        """Args:
        shelf: the products.
        instruction: stands on every page.
        show_attributes: whether products have an `Attributes` page.
        rank: gives results in place of the search.
        """
        self.shelf, self.instruction, self._show = shelf, instruction, show_attributes
        self._rank = rank or functools.partial(shelf.search.rows, most=MOST)
        self.find = functools.lru_cache(maxsize=64)(self._find)
        self.go(State())

    @property
    def product(self) -> Product | None:
        """The product that is looked at."""
        return self.shelf.product(self._row) if self._row >= 0 else None

    def go(self, state: State) -> None:
        """Be somewhere.

        Raises:
            ValueError: there is no such product.
        """
        row = self.shelf.row(state.asin) if state.asin else -1
        if state.asin and row < 0:
            raise ValueError(f"there is no product {state.asin!r}")
        self.state, self._row = state, row
        self.pieces = self._pieces()
        self.clickable = pages.clickable(self.pieces)

    def search(self, query: str) -> None:
        """Look for products, from any page, as upstream allows; `query` is in lower case and not empty."""
        self._results(tuple(query.split(" ")), 1)

    def click(self, name: str) -> None:
        """Click what is there by that name; not for the button that buys."""
        state, piece = self.state, self.clickable[name]
        # Options can have the names of buttons: the name decides before what was clicked does.
        place = next((place for place in PLACES if place in state.address), "")
        sub = next((sub for sub in pages.SUBPAGES if sub.lower() == name), "")
        if name == pages.BACK.lower():
            self.go(State())
        elif name == pages.NEXT.lower() and place == "search_results":
            self._results(state.words, state.page + 1)
        elif name == pages.PREV.lower() and place in ("search_results", "item_page"):
            self._results(state.words, state.page - (place == "search_results"))
        elif name == pages.PREV.lower() and place == "item_sub_page":
            self.go(state._replace(place="item_page", sub=""))
        elif sub:
            self.go(state._replace(place="item_sub_page", sub=sub))
        elif piece.kind == "product":
            visited = tuple(sorted({*state.visited, piece.text}))
            self.go(state._replace(place="item_page", asin=piece.text, visited=visited))
        elif piece.kind == "option":
            product = self.product
            assert product is not None
            # Of options that share a value, the last is chosen.
            option = [option for option, values in product.options.items() if name in values][-1]
            self.go(state._replace(place="item_page", options=tuple({**dict(state.options), option: name}.items())))

    def text(self, mode: str) -> str:
        """The page in one of upstream's modes."""
        return pages.render(self.pieces, mode, self.state.address if mode == "text_rich" else "", self.state.visited)

    def shown(self) -> list[int]:
        """Rows of the products on this page of results."""
        found, end = self.find(self.state.words), self.state.page * pages.SHOWN
        return found[end - pages.SHOWN : end]

    def _results(self, words: tuple[str, ...], page: int) -> None:
        self.go(State("search_results", words, page, visited=self.state.visited))

    def _find(self, words: tuple[str, ...]) -> list[int]:
        """Rows that a query finds. `<r>`, `<c> category` and `<q> query` list products at random, by category and by
        the query they were collected with, as upstream's do; its `<a>` fails there, and finds nothing here."""
        first, rest = words[0], words[1:]
        if first == "<r>":
            rng, size = generator(0, "webshop", "random", self.instruction), len(self.shelf)
            return [int(row) for row in rng.choice(size, min(MOST, size), replace=False)]
        if first in ("<c>", "<q>"):
            value = (rest[0] if rest else "") if first == "<c>" else " ".join(rest)
            return self.shelf.of_kind("category" if first == "<c>" else "query", value.strip())
        return [] if first == "<a>" else self._rank(" ".join(words))

    def _pieces(self) -> list[Piece]:
        state, product = self.state, self.product
        if state.place == "search_results":
            products = [self.shelf.product(row) for row in self.shown()]
            return pages.results_page(self.instruction, products, state.page, len(self.find(state.words)))
        if product is None:
            return pages.search_page(self.instruction)
        if state.place == "item_page":
            return pages.item_page(self.instruction, product, self._show)
        return pages.sub_page(self.instruction, product, state.sub)
