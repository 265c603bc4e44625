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

    Source: Sutton and Barto, Reinforcement Learning, 2nd edition, eq. 3.8. Unbiased for gamma = 1.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"return", "advantage"})
    gamma: float = Field(1.0, ge=0, le=1)

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `return` and `advantage`."""
        returns = discounted_returns(table["reward"], table.trajectories, self.gamma)
        return {"return": returns, "advantage": returns}
