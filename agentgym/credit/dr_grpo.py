"""Dr. GRPO: outcomes centred within the group, without the division."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from agentgym.credit.groups import over_trajectories
from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Segments
from agentgym.credit.table import TurnTable


class DrGrpo(CreditModule):
    """A_{i,t} = R_i - mean_g, the same in all turns of a trajectory.

    The other half of the method is in the loss: token sums are divided by a constant, not by a response's length
    (`trainer.aggregation = "constant"`). A group of one, or of equal outcomes, gets exactly 0.

    Bias: the constant factor 1 - 1/N only (0.88 at N = 8), which the learning rate absorbs; `rloo` is without it.

    Source: "Understanding R1-Zero-like training", arXiv 2503.20783; the paper's formula.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]])
    >>> DrGrpo()(table)["advantage"]
    array([ 0.5,  0.5, -0.5])
    """

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": over_trajectories(table, Segments.centre)}
