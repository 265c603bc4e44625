"""Sub-goals and interest: a judge says which turns got somewhere, and those are paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.novelty import times_before
from agentgym.credit.segments import shift
from agentgym.credit.table import TurnTable
from agentgym.credit.terms import Term


class Subgoal(Term):
    """r'_t = r_t + w l_t / (e + 1)^k, with l_t what the judge says of the turn.

    l is the column's value, or with a `threshold` 1 where it reaches that and 0 elsewhere. e is how often the attempt
    had been in the state that the turn led to; k = 0 pays each time.

    Sub-goals (CALM): scorer `judge` with `prompt = "subgoals"`, a threshold of 0.5, k = 0. Online intrinsic rewards
    (ONI): `prompt = "interest"`, whose verdicts are kept by the text's hash, and k > 0, so that going back and forth
    does not pay.

    Bias: by design: what the judge calls progress becomes part of the objective, also where it leads nowhere. Paying
    in every turn also pays for more turns.

    Source: CALM, arXiv 2409.12798 (an auxiliary reward whenever a sub-goal is reached), from the paper's abstract;
    ONI, arXiv 2410.23022, its hash form; the exponent k is as we remember it of this line of work and could not be
    checked. No authors' numbers to compare with.

    >>> table = TurnTable.from_rewards([[[0.0, 0.0, 1.0]]], states=[[["hall", "attic", "hall"]]])
    >>> table = table.with_columns({"judge_score": [0.5, 1.0, 0.0]})
    >>> Subgoal(weight=1.0)(table)["reward"], Subgoal(weight=1.0, threshold=None, power=1.0)(table)["reward"]
    (array([1., 1., 1.]), array([0.5, 0.5, 1. ]))
    """

    weight: float = Field(default=0.1, ge=0)
    """w."""
    column: str = "judge_score"
    """Column of what the judge says."""
    threshold: float | None = 0.5
    """From where on a score counts as a sub-goal reached; with none the score itself is paid."""
    power: float = Field(default=0.0, ge=0)
    """k, how fast the pay for the same state fades within an attempt."""
    into: Literal["reward", "outcome", "both"] = "reward"
    """What the pay is added to; the outcome gets the mean over the attempt's turns."""

    def required(self) -> frozenset[str]:
        """The judge's column."""
        return frozenset({self.column})

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        said = table[self.column].astype(np.float64)
        if self.threshold is not None:
            said = (said >= self.threshold).astype(np.float64)
        if self.power:
            said = said / (shift(times_before(table), table.trajectories, -1) + 1.0) ** self.power
        return self.add(table, self.weight * said)
