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
    """A_{i,t} = R_i - mean of the others = N/(N-1) (R_i - mean_g). Unbiased.

    Source: Kool et al. 2019; arXiv 2402.14740, section 3.2.
    """

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": over_trajectories(table, Segments.leave_one_out)}
