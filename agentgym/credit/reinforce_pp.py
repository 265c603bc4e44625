"""REINFORCE++: outcomes whitened over the whole batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.groups import over_trajectories
from agentgym.credit.module import CreditModule
from agentgym.credit.segments import EPSILON, Float, Segments
from agentgym.credit.table import TurnTable


class ReinforcePP(CreditModule):
    """A = (x - mean) / (std + eps) over the batch, x_i = R_i, or R_i - mean_g with `baseline = "group"`.

    Source: arXiv 2501.03262, section 3 (global advantage normalisation, and the baseline form for groups).
    """

    baseline: Literal["none", "group"] = "none"

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""

        def whiten(groups: Segments, outcomes: NDArray[Any]) -> Float:
            x = groups.centre(outcomes) if self.baseline == "group" else outcomes
            if len(x) < 2:
                return np.zeros(len(x))
            return (x - x.mean()) / (x.std(ddof=1) + EPSILON)

        return {"advantage": over_trajectories(table, whiten)}
