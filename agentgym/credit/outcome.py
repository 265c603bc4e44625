"""Outcome broadcast: every turn gets its trajectory's outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from agentgym.credit.module import CreditModule
from agentgym.credit.table import TurnTable


class Outcome(CreditModule):
    """A_{i,t} = R_i. Plain REINFORCE without a baseline.

    Bias: none. Variance: the highest of all estimators here; a group of one is no special case.

    Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"
    (no arXiv id). The formula is the textbook's; there is no authors' code to compare with.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]])
    >>> Outcome()(table)["advantage"]
    array([1., 1., 0.])
    """

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": table["outcome"]}
