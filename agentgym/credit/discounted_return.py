"""Discounted return of the turn rewards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.module import CreditModule
from agentgym.credit.segments import discounted_returns
from agentgym.credit.table import TurnTable


class DiscountedReturn(CreditModule):
    """G_{i,t} = sum over k >= t of gamma^(k-t) r_{i,k}, as `return` and as `advantage`.

    Reads turn rewards, not outcomes: where the outcome is no sum of rewards, the two can disagree. There is no
    baseline, so a group of one is no special case.

    Bias: none at gamma = 1 for the sum of rewards (actions are not credited with rewards before them); gamma < 1
    trades bias against variance.

    Source: Sutton and Barto, Reinforcement Learning, 2nd edition, eq. 3.8 (no arXiv id); the textbook's formula. The
    same sums as in the vectors of `anchor-state`, which are from its authors' code.

    >>> table = TurnTable.from_rewards([[[0.0, 0.0, 1.0], [2.0]]])
    >>> DiscountedReturn(gamma=0.5)(table)["return"]
    array([0.25, 0.5 , 1.  , 2.  ])
    """

    writes: ClassVar[frozenset[str]] = frozenset({"return", "advantage"})

    gamma: float = Field(default=1.0, ge=0, le=1)
    """Discount for each turn."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `return` and `advantage`, which are equal."""
        returns = discounted_returns(table["reward"], table.trajectories, self.gamma)
        return {"return": returns, "advantage": returns}
