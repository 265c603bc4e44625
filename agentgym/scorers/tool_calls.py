"""Compares the calls of each turn with those that should have been made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from agentgym.credit.call_score import Call, correctness
from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.scorers.calls import Calls, calls_of, reference_of
from agentgym.types import Trajectory


class ToolCalls(Scorer):
    """Writes `tool_correctness` in [-3, 3] and `tool_format`, 1 where the turn's calls could be read, else 0.

    The reference is the task's private `calls`. If it is a list of lists, turn t is compared with list t, and turns
    beyond it with no calls at all. If it is one flat list, `flat` says what a turn is compared with. What calls a
    turn made is in `agentgym.scorers.calls`, the score in `agentgym.credit.call_score`. Needs no model and remembers
    nothing.

    Source: ToolRL, arXiv 2504.13958, for attempts of one turn; how a flat list is laid along several is ours.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"tool_correctness", "tool_format"})

    flat: Literal["next", "episode"] = "next"
    """`next`: each turn is compared with as many of the reference calls still to be made as it makes calls, at least
    one; those that it made exactly are ticked off, so that a wrong call does not spoil what comes after. `episode`:
    all calls of the attempt are compared with the whole list at once, and all its turns get that score."""

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work; it uses the tasks only."""
        return _Working(self, context)


class _Working(Working):
    def __init__(self, config: ToolCalls, context: ScorerContext) -> None:
        self.config, self.context = config, context

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """Both columns, float64 `[n]`.

        Raises:
            CreditError: a task without reference calls, or calls that the environment reports as something else.
        """
        scores: list[float] = []
        readable: list[bool] = []
        for number in map(int, table["trajectory"][table.last]):
            trajectory = played[number]
            made = [
                calls_of(turn, f"trajectory {trajectory.id!r}, turn {n}") for n, turn in enumerate(trajectory.turns)
            ]
            reference = reference_of(self.context.task(trajectory.task_id), trajectory)
            scores += self._scores(made, reference)
            readable += [turn.readable for turn in made]
        return {
            "tool_correctness": np.asarray(scores, dtype=np.float64),
            "tool_format": np.asarray(readable, dtype=np.float64),
        }

    def _scores(self, made: list[Calls], reference: list[Call] | list[list[Call]]) -> list[float]:
        nested = [turn for turn in reference if isinstance(turn, list)]
        if nested:
            turns = [*nested, *([[]] * len(made))]
            return [correctness(turn.calls, right) for turn, right in zip(made, turns, strict=False)]
        left = [call for call in reference if isinstance(call, tuple)]
        if self.config.flat == "episode":
            return [correctness([call for turn in made for call in turn.calls], left)] * len(made)
        scores: list[float] = []
        for turn in made:
            scores.append(correctness(turn.calls, left[: max(1, len(turn.calls))]))
            for name, arguments in turn.calls:
                exact = next((i for i, (n, a) in enumerate(left) if n == name and dict(a) == dict(arguments)), None)
                if exact is not None:
                    left.pop(exact)
        return scores
