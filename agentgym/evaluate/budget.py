"""Limits on a whole evaluation: when one is reached no new attempt begins; those in flight are waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

from agentgym.errors import UsageError
from agentgym.evaluate.prices import Price, Usage, dollars, usage_of, usage_of_turn
from agentgym.evaluate.turns import duration
from agentgym.rollout import Attempt
from agentgym.types import Trajectory, Turn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Totals:
    """Most of everything, all attempts of all contestants together; `None` for no limit."""

    turns: int | None = None
    """Turns of the model."""
    tokens: int | None = None
    """Tokens read and written."""
    seconds: float | None = None
    """Wall time of this run; a resumed one begins again."""
    cost: float | None = None
    """Dollars, by the price table."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None and not value > 0:
                raise UsageError(f"a limit on all {limit.name} must be above 0, not {value}")


class Budget:
    """Counts what is used, turn by turn, and says when a limit is reached.

    Attributes:
        usage: what was used so far, by contestant.
        reached: which limit, in words; `None` while there is none.
    """

    def __init__(self, totals: Totals | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: `totals` the limits; `clock` gives seconds."""
        self.totals = totals or Totals()
        self.usage: dict[str, Usage] = {}
        self.reached: str | None = None
        self._prices: dict[str, Price] = {}
        self._before: dict[tuple[str, str], int] = {}
        self._clock, self._began = clock, clock()

    def enter(self, label: str, price: Price | None, played: Iterable[Trajectory] = ()) -> None:
        """A contestant, its price, and what it has played already (in a run that is resumed)."""
        self.usage[label] = usage_of(played)
        if price is not None:
            self._prices[label] = price

    def turn(self, label: str, attempt: Attempt, turn: Turn) -> None:
        """One more turn was played; turns of a try that breaks count as well: they were paid for."""
        key = (label, attempt.id)
        before = self._before.get(key, 0)
        self.usage[label] = self.usage.get(label, Usage()) + usage_of_turn(turn, before)
        self._before[key] = before + len(turn.observation.text) + len(turn.completion.text)

    def ended(self, label: str, trajectory: Trajectory) -> None:
        """An attempt is over: what was kept of it can go."""
        self._before.pop((label, trajectory.id), None)

    @property
    def used(self) -> Usage:
        """Of all contestants together."""
        total = Usage()
        for usage in self.usage.values():
            total += usage
        return total

    @property
    def cost(self) -> float | None:
        """Dollars of all contestants that have a price; `None` where none has."""
        if not self._prices:
            return None
        return sum(self.usage.get(label, Usage()).cost(price) for label, price in self._prices.items())

    def cost_of(self, label: str) -> float | None:
        """Dollars of one contestant; `None` where it has no price."""
        price = self._prices.get(label)
        return None if price is None else self.usage.get(label, Usage()).cost(price)

    def admit(self, waiting: Iterable[T]) -> Iterator[T]:
        """The attempts that wait, one at a time, until a limit is reached."""
        for one in waiting:
            if self._look():
                return
            yield one

    def _look(self) -> bool:
        """Whether a limit is reached; the first one that is stays the reason."""
        if self.reached is None:
            used, seconds, cost = self.used, self._clock() - self._began, self.cost
            limits = self.totals
            if limits.turns is not None and used.calls >= limits.turns:
                self.reached = f"{used.calls} turns of at most {limits.turns} are played"
            elif limits.tokens is not None and used.tokens >= limits.tokens:
                self.reached = f"{used.tokens} tokens of at most {limits.tokens} are used"
            elif limits.cost is not None and cost is not None and cost >= limits.cost:
                self.reached = f"{dollars(cost)} of at most {dollars(limits.cost)} are spent"
            elif limits.seconds is not None and seconds >= limits.seconds:
                self.reached = f"{duration(seconds)} of at most {duration(limits.seconds)} are over"
        return self.reached is not None
