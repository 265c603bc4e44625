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
    """A_{i,t} = (R_i - mean_g) / (std_g + 1e-6), the same in all turns of a trajectory.

    Mean and sample deviation (N-1) are over the group's trajectories, each counted once. A group of one, or of equal
    outcomes, gets exactly 0.

    Bias: yes. The mean contains the attempt itself, which scales the gradient by 1 - 1/N (0.88 of it at N = 8, a
    constant); the division weighs groups of nearly equal outcomes up, so that the batch follows no one objective.

    Source: DeepSeekMath, arXiv 2402.03300 (outcome supervision). The formula is the paper's, which does not say which
    deviation; N-1 and epsilon are as public trainers have them.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]])
    >>> Grpo()(table)["advantage"].round(4)
    array([ 0.7071,  0.7071, -0.7071])
    """

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": over_trajectories(table, Segments.standardise)}
