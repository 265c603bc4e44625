"""Min-form credit (PURE): an attempt is worth its worst step, not the sum of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.module import CreditModule
from agentgym.credit.segments import discounted_returns
from agentgym.credit.table import TurnTable


class MinForm(CreditModule):
    """r*_t = r_t w_t with w = softmax over the trajectory's turns of (-r / tau); A_t = sum over k >= t of r*_k.

    As tau falls to 0 the sum becomes the minimum of the process rewards: many good turns cannot pay for a bad one, and
    a turn after the worst one gets about 0. There is no baseline, so a group of one is no special case.

    Bias: by design: it maximises the worst step instead of the outcome. Where process rewards are the exact
    differences of the success probability this is not the policy gradient.

    Source: PURE, arXiv 2504.15275, section 3. Verified in outline only: the transform and tau = 0.1 are the paper's;
    the leave-one-out baseline and the added verifiable reward of its trainer are other modules here.

    >>> table = TurnTable.from_rewards([[[1.0, -1.0, 0.5]]])
    >>> MinForm()(table)["advantage"].round(4)
    array([-1., -1.,  0.])
    """

    writes: ClassVar[frozenset[str]] = frozenset({"reward", "advantage"})

    tau: float = Field(default=0.1, gt=0)
    """Temperature: how nearly the weighted sum is the minimum."""
    column: str = "reward"
    """Column of the process rewards, for instance `judge_score`."""

    def required(self) -> frozenset[str]:
        """The column of the process rewards."""
        return frozenset({self.column})

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` (r*) and `advantage` (its sums)."""
        rewards, turns = table[self.column].astype(np.float64), table.trajectories
        lowest = np.minimum.reduceat(rewards, turns.first) if len(rewards) else rewards
        weight = np.exp((lowest[turns.ids] - rewards) / self.tau)  # The worst turn's is 1: nothing overflows.
        shaped = rewards * weight / turns.sum(weight)[turns.ids]
        return {"reward": shaped, "advantage": discounted_returns(shaped, turns, 1.0)}
