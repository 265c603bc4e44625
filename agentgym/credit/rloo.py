"""RLOO: the mean of the other attempts as baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from agentgym.credit.groups import over_trajectories
from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Segments
from agentgym.credit.table import TurnTable


class Rloo(CreditModule):
    """A_{i,t} = R_i - mean of the others' outcomes = N/(N-1) (R_i - mean_g), the same in all turns.

    A group of one has nothing to be compared with and gets 0; one of equal outcomes gets exactly 0.

    Bias: none (estimate over true gradient 1.00 in an exact computation on a stop-or-continue task).

    Source: Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free!"; Ahmadian et al., arXiv 2402.14740.
    The formula is the papers'; public trainers have the same numbers for N > 1.

    >>> table = TurnTable.from_rewards([[[1.0], [0.0], [0.0, 0.0]]])
    >>> Rloo()(table)["advantage"]
    array([ 1. , -0.5, -0.5, -0.5])
    """

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": over_trajectories(table, Segments.leave_one_out)}
