"""Labels what each turn called as useful or redundant, by rules that need no judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from agentgym.credit.call_score import Call
from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.scorers.calls import calls_of, words_of
from agentgym.types import Trajectory, Turn


class Behaviour(Scorer):
    """Writes `useful` and `redundant`, 0 or 1 (float64); a turn without calls has 0 of both.

    The rule, for the calls of an attempt in order. A call that says nearly the same as an earlier one of its name is
    redundant: the words of their arguments have at least `similar` of their union in common. Any other is useful
    while its kind has room, and an excess, which is redundant too, after that: searches (tools in `search`) have no
    limit as long as they are new; verifications (in `verify`) are useful up to `verifications` times; all others
    explore, up to `explorations` times. A turn is useful if any of its calls is, and redundant if it calls and none
    is. Where neither the environment nor the text has calls, the action's first word is the name and the rest the
    argument, so that text games work too.

    Source: the labels of Fathom-DeepResearch, arXiv 2509.24107 (unique or redundant search, exploration, verification
    or an excess of it). There a model labels; the rule and its limits are ours and cannot see that two differently
    worded queries ask for one thing.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"useful", "redundant"})

    search: tuple[str, ...] = ("search",)
    """Names of tools that search."""
    verify: tuple[str, ...] = ("verify",)
    """Names of tools that verify."""
    explorations: int = Field(default=20, ge=0)
    """How many explorations of an attempt are useful."""
    verifications: int = Field(default=3, ge=0)
    """How many verifications of an attempt are useful."""
    similar: float = Field(default=0.9, gt=0, le=1)
    """From which share of common words on two calls say nearly the same; 1 for the same words only."""

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work; it uses nothing of the context."""
        return _Working(self)


class _Working(Working):
    def __init__(self, config: Behaviour) -> None:
        self.config = config

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """Both columns, float64 `[n]`."""
        labels: list[bool | None] = []
        for number in map(int, table["trajectory"][table.last]):
            labels += self._label(played[number])
        return {
            "useful": np.asarray([label is True for label in labels], dtype=np.float64),
            "redundant": np.asarray([label is False for label in labels], dtype=np.float64),
        }

    def _label(self, trajectory: Trajectory) -> list[bool | None]:
        """For each turn whether its calls were of use; `None` where it has none."""
        seen: dict[str, list[frozenset[str]]] = {}
        room = {"explore": self.config.explorations, "verify": self.config.verifications}
        found: list[bool | None] = []
        for n, turn in enumerate(trajectory.turns):
            calls = _calls(turn, f"trajectory {trajectory.id!r}, turn {n}")
            found.append(any([self._useful(call, seen, room) for call in calls]) if calls else None)
        return found

    def _useful(self, call: Call, seen: dict[str, list[frozenset[str]]], room: dict[str, int]) -> bool:
        name, words = words_of(call)
        earlier = seen.setdefault(name, [])
        repeated = any(_alike(words, other) >= self.config.similar for other in earlier)
        earlier.append(words)
        if repeated or name in self.config.search:
            return not repeated
        kind = "verify" if name in self.config.verify else "explore"
        room[kind] -= 1
        return room[kind] >= 0


def _calls(turn: Turn, where: str) -> list[Call]:
    made = calls_of(turn, where)
    if made.calls or turn.action is None or "calls" in turn.info:
        return made.calls
    name, _, rest = turn.action.strip().partition(" ")
    return [(name, {"": rest})] if name else []


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0
