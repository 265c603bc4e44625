"""WebShop as a `TextEnv`: upstream's pages to the letter, with reward components, progress and a shopper."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from agentgym.env import TextEnv
from agentgym.errors import UsageError
from agentgym.types import Observation, Step, Task
from agentgym_envs.webshop import catalogue, goals, pages
from agentgym_envs.webshop.nouns import tagger as tagger_named
from agentgym_envs.webshop.reward import Judge, Worth
from agentgym_envs.webshop.shopper import Shopper
from agentgym_envs.webshop.site import Site, State

MAX_ACTION = 8192
"""Most characters of an action; a longer one is a fault."""
THANKS = "Thank you for shopping with us!"
"""All that is shown of upstream's last page: the rest gives the reward away."""
UNREADABLE = re.compile(r"[\[\n]|^$")
PRICE = re.compile(r", and price lower than [0-9.]+ dollars$")


class WebShop(TextEnv):
    """One instruction, one shop. The reward comes with the purchase, from 0 to 1; 1 is success.

    What is neither `search[words]` nor `click[...]` of something that is there changes nothing, as upstream, and is a
    fault, `invalid`. The verb is taken to the letter, its argument in any case.
    """

    _site: Site
    _judge: Judge
    _shopper: Shopper

    def __init__(
        self,
        mode: str = "text",
        show_attributes: bool = False,
        previous_observations: int = 0,
        previous_actions: int = 0,
        tagger: str = "light",
    ) -> None:
        """Args:
        mode: `text` (one line, pieces with [SEP] between them) or `text_rich` (one piece a line, buttons marked).
        show_attributes: whether products have an `Attributes` page; upstream's default is not.
        previous_observations: how many of the latest pages go before the new one.
        previous_actions: how many of the latest actions go before it.
        tagger: what finds nouns for the reward: `light`, `spacy`, or `module:function`.

        Raises:
            UsageError: a value that is not one of these.
        """
        super().__init__()
        if mode not in pages.MODES:
            raise UsageError(f"mode must be one of {', '.join(pages.MODES)}, not {mode!r}")
        for name, count in (("observations", previous_observations), ("actions", previous_actions)):
            if type(count) is not int or count < 0:
                raise UsageError(f"previous_{name} must be a number from 0 on, not {count!r}")
        self._mode, self._show = mode, show_attributes
        self._history = previous_observations, previous_actions
        self._tagger = tagger_named(tagger)

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `catalogue` (`path` of upstream's files, or `products` and `seed` of a generated one), `goal`."""
        if not isinstance(task.data.get("goal"), dict):
            raise UsageError(f"task {task.id!r} is not of WebShop: its data has no goal")
        goal = goals.checked(task.data["goal"], task.id)
        shelf = catalogue.of_task(task.data, task.id)
        self._site = Site(shelf, goal["instruction_text"], self._show)
        self._judge = Judge(goal, self._tagger)
        self._shopper = Shopper(self._site, self._judge)
        self._searches = searches(goal["instruction_text"])
        page = self._site.text(self._mode)
        self._pages, self._actions = list[str](), list[str]()
        told = self._observe(page)
        self._pages.append(page)
        return told

    def act(self, action: str) -> Step:
        """Play one action."""
        verb, name = parse(action)
        if verb == "click" and name == pages.BUY.lower() and name in self._site.clickable:
            return self._bought()
        said = ""
        if verb == "search" and name:
            self._site.search(name)
        elif verb == "click" and name in self._site.clickable and name != "search":
            self._site.click(name)
        else:
            said = "invalid"
        observations, actions = self._history
        self._actions = [*self._actions, action[:MAX_ACTION]][-actions:] if actions else []
        page = self._site.text(self._mode)
        told = self._observe(page)
        self._pages = [*self._pages, page][-1 - observations :]
        nothing = dict.fromkeys(("type", "attributes", "options", "price"), 0.0)
        info = {"rewards": nothing, "progress": self._progress()}
        return Step.fault(told, said, **info) if said else Step.on(told, **info)

    def oracle(self) -> str | None:
        """The next action of the shopper; see `shopper`."""
        return self._shopper.next()

    def snapshot(self) -> Any:
        """Where the visitor is, and what was said before, as plain values."""
        return {"state": self._site.state, "pages": tuple(self._pages), "actions": tuple(self._actions)}

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot of the same task; the episode is open again.

        Raises:
            UsageError: it is of another catalogue.
        """
        try:
            self._site.go(State(*snapshot["state"]))
        except ValueError as error:
            raise UsageError(f"restore: {error}; reset to the snapshot's task first") from error
        self._pages, self._actions = list(snapshot["pages"]), list(snapshot["actions"])
        self._open = True
        page = self._pages.pop()
        told = self._observe(page)
        self._pages.append(page)
        return told

    def _bought(self) -> Step:
        worth = self._worth()
        assert worth is not None
        told = Observation(THANKS, state=self._key("bought"), actions=())
        info = {"rewards": worth.parts, "score": worth.reward, "details": worth.details}
        if worth.reward >= 1.0:
            return Step.success(told, worth.reward, progress=1.0, **info)
        return Step.failure(told, worth.reward, progress=self._progress(), **info)

    def _worth(self) -> Worth | None:
        """What would be bought now."""
        product = self._site.product
        return None if product is None else self._judge.worth(product, dict(self._site.state.options).values())

    def _progress(self) -> float:
        """0.1 for results with the product that was asked for, and on a product's pages 0.2 and up to 0.75 more for
        what buying it now would be worth."""
        worth = self._worth()
        if worth is not None:
            return 0.2 + 0.75 * worth.reward
        if self._site.state.place != "search_results":
            return 0.0
        asin = self._judge.goal["asin"]
        return 0.1 if any(piece.text == asin for piece in self._site.pieces if piece.kind == "product") else 0.05

    def _key(self, said: str = "") -> str:
        state, (observations, actions) = self._site.state, self._history
        if self._mode == "text" and not observations:
            state = state._replace(visited=())  # Nothing shows which products were looked at.
        parts = [self._judge.goal["asin"], self._site.instruction, said, *state]
        if observations or actions:
            parts += [self._actions, self._pages[-observations:] if observations else []]
        return json.dumps(parts)

    def _observe(self, page: str) -> Observation:
        """The page, with what history was asked for, latest last: page, action, page."""
        parts = [page]
        for back in range(1, 1 + max(self._history)):
            if back <= min(len(self._actions), self._history[1]):
                parts.append(self._actions[-back])
            if back <= min(len(self._pages), self._history[0]):
                parts.append(self._pages[-back])
        return Observation(" [SEP] ".join(reversed(parts)), state=self._key(), actions=self._admissible())

    def _admissible(self) -> tuple[str, ...]:
        if not self._site.state.place:
            return self._searches
        # A value with a bracket or a line break cannot be clicked: the action would be read as another one.
        return tuple(f"click[{name}]" for name in self._site.clickable if not UNREADABLE.search(name))


def parse(action: str) -> tuple[str, str]:
    """The verb and its argument in lower case; two empty texts for anything else.

    Takes what upstream's pattern `(.+)\\[(.+)\\]` takes at the beginning of the action, in linear time: the last
    opening bracket of the first line that leaves something between it and the last closing one.

    >>> parse("search[Red Shoes]"), parse("click[size [x] y] and more"), parse("buy now")
    (('search', 'red shoes'), ('click[size ', 'x] y'), ('', ''))
    """
    if len(action) > MAX_ACTION:
        return "", ""
    line = action.partition("\n")[0]
    end = line.rfind("]")
    begin = line.rfind("[", 1, max(1, end - 1))
    return (line[:begin], line[begin + 1 : end].lower()) if begin > 0 else ("", "")


def searches(instruction: str) -> tuple[str, ...]:
    """Searches to list as admissible where anything may be searched: the instruction, and it without its price."""
    whole = " ".join(re.sub(r"[\[\]]", " ", instruction.lower()).split())[: MAX_ACTION // 2] or "anything"
    return tuple(dict.fromkeys(f"search[{text}]" for text in (PRICE.sub("", whole) or whole, whole)))
