"""GRPO: outcomes standardised within the group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from agentgym.credit.groups import over_trajectories
from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Segments
from agentgym.credit.table import TurnTable


class Grpo(CreditModule):
    """A_{i,t} = (R_i - mean_g) / (std_g + eps): statistics over the group's trajectories, sample deviation.

    Source: DeepSeekMath, arXiv 2402.03300, section 4.1.2. The group mean contains the attempt itself, which scales the
    gradient by 1 - 1/N; the division weighs very easy and very hard tasks up.
    """

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": over_trajectories(table, Segments.standardise)}
