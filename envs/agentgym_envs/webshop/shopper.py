"""A scripted shopper that knows the goal: it searches for the title and buys what is worth most among what it finds."""

from __future__ import annotations

import re
from typing import NamedTuple

from agentgym_envs.webshop import pages
from agentgym_envs.webshop.product import Product
from agentgym_envs.webshop.reward import Judge
from agentgym_envs.webshop.site import Site


class Plan(NamedTuple):
    """What to buy and how to get there."""

    query: str
    page: int
    asin: str
    options: tuple[str, ...]
    """Values to choose."""
    worth: float
    """Reward that it will give."""


class Shopper:
    """Gives the next action from wherever the visitor is. The plan is made when it is first asked."""

    def __init__(self, site: Site, judge: Judge) -> None:
        """Args: `site` and `judge` of the episode; neither is changed."""
        self._site, self._judge = site, judge
        self._plan: Plan | None = None
        self._planned = False

    def next(self) -> str | None:
        """The next action; `None` where no search finds anything."""
        if not self._planned:
            self._plan, self._planned = self._best(), True
        plan, state = self._plan, self._site.state
        if plan is None:
            return None
        here = " ".join(state.words) == plan.query
        if state.place == "item_sub_page":
            return f"click[{pages.PREV.lower()}]"
        if state.place == "item_page" and state.asin == plan.asin:
            chosen = dict(state.options).values()
            wanted = next((value for value in plan.options if value not in chosen), None)
            return f"click[{wanted or pages.BUY.lower()}]"
        if state.place == "item_page" and here:
            return f"click[{pages.PREV.lower()}]"
        if state.place == "search_results" and here and state.page > 0:
            if state.page == plan.page:
                return f"click[{plan.asin.lower()}]"
            return f"click[{(pages.NEXT if state.page < plan.page else pages.PREV).lower()}]"
        return f"click[{pages.BACK.lower()}]" if state.place else f"search[{plan.query}]"

    def _best(self) -> Plan | None:
        """The best plan of a few searches: the goal's own product where that is found and is worth 1."""
        goal, best = self._judge.goal, None
        options = goal["goal_options"]
        values = list(options.values() if isinstance(options, dict) else options)
        title = goal["name"]
        for text in (
            title,
            " ".join([title, *values]),
            f"{title} {goal['query']}",
            " ".join([goal["query"], *goal["attributes"]]),
        ):
            query = " ".join(re.sub(r"[\[\]<>]", " ", text.lower()).split())[:1000]
            found = self._site.find(tuple(query.split(" "))) if query else []
            mine = self._site.shelf.row(goal["asin"])
            for place, row in sorted(enumerate(found), key=lambda one: one[1] != mine):
                product = self._site.shelf.product(row)
                chosen = self._choose(product)
                worth = self._judge.worth(product, chosen).reward
                if best is None or worth > best.worth:
                    best = Plan(query, 1 + place // pages.SHOWN, product.asin, chosen, worth)
                if worth >= 1.0:
                    return best
        return best

    def _choose(self, product: Product) -> tuple[str, ...]:
        """A value for each option that fits what is wanted; each wanted one is looked for where it is named first."""
        chosen: dict[str, str] = {}
        met = set[int]()
        wished = self._judge.goal["goal_options"]
        names = list(wished) if isinstance(wished, dict) else []
        exact = set(wished.values() if isinstance(wished, dict) else wished)
        # Of options that share a value only the last can be clicked.
        owner = {value: name for name, values in product.options.items() for value in values}
        order = sorted(product.options, key=lambda name: names.index(name) if name in names else len(names))
        for name in order:
            fits = [
                (v not in exact, v, self._judge.fits(v))
                for v in product.options[name]
                if owner[v] == name and _plain(v)
            ]
            fits = [(other, value, [n for n in numbers if n not in met]) for other, value, numbers in fits]
            fits = [one for one in fits if one[2]]
            if fits:
                _, value, numbers = min(fits, key=lambda one: (one[0], -len(one[2])))
                chosen[name] = value
                met |= set(numbers)
        return tuple(chosen.values())


def _plain(value: str) -> bool:
    """Whether a value can be clicked: it does not break the form of the action, and is no button's name."""
    buttons = {name.lower() for name in (*pages.SUBPAGES, pages.BACK, pages.PREV, pages.NEXT, pages.BUY, "search")}
    return bool(value) and not re.search(r"[\[\n]", value) and value not in buttons
