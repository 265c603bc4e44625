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
    """A_{i,t} = R_i - mean_g. Meant to be used with `trainer.aggregation = "constant"`.

    Source: arXiv 2503.20783, section 3.2. Biased by the constant factor 1 - 1/N only.
    """

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": over_trajectories(table, Segments.centre)}
