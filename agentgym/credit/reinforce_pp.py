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
    """A_{i,t} = (x_i - mean) / (std + 1e-6) over the batch, with x_i = R_i, or R_i - mean_g (`baseline = "group"`).

    With `baseline = "none"` a group of one is no special case, since attempts are compared with the whole batch; with
    `"group"` it gets 0. A batch of one trajectory, or of equal outcomes, gets exactly 0.

    Bias: yes, small in large batches. Mean and deviation contain the attempt itself. Without the group baseline,
    attempts at hard tasks are held against a mean that easy tasks raise: that is variance, not bias.

    Source: arXiv 2501.03262, from the paper. Public trainers whiten over action tokens, so that long answers weigh
    more; here each trajectory counts once. The paper's KL term is the loss's business, not the advantage's.

    >>> table = TurnTable.from_rewards([[[1.0], [0.0]], [[1.0], [1.0]]])
    >>> ReinforcePP()(table)["advantage"].round(4)
    array([ 0.5, -1.5,  0.5,  0.5])
    >>> ReinforcePP(baseline="group")(table)["advantage"].round(4)
    array([ 1.2247, -1.2247,  0.    ,  0.    ])
    """

    baseline: Literal["none", "group"] = "none"
    """What is subtracted before whitening: nothing, or the mean of the group."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": over_trajectories(table, self._whiten)}

    def _whiten(self, groups: Segments, outcomes: NDArray[Any]) -> Float:
        batch = Segments.of_sorted(np.zeros(len(outcomes), dtype=np.int64))
        if self.baseline == "none":
            return batch.standardise(outcomes)
        # Centred groups have a batch mean of zero; subtracting it would only put rounding into groups that are flat.
        x = groups.centre(outcomes)
        return x / (batch.deviation(x)[batch.ids] + EPSILON)
