"""Anchor-state credit (GiGPO): compare what different attempts did in the same state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.groups import over_trajectories
from agentgym.credit.module import CreditModule
from agentgym.credit.segments import EPSILON, Float, Segments, discounted_returns
from agentgym.credit.table import TurnTable


class AnchorState(CreditModule):
    """A = A^E + w A^S: the episode against its group, and the turn against turns from the same state.

    A^E_i is the outcome R_i less the group's mean (and over its deviation in mode `mean_std_norm`). A^S_{i,t} is the
    discounted return G_{i,t}, compared the same way with the returns of all turns of the group that began in the same
    state, whichever attempt and turn they are of. A turn whose state nobody else met has A^S = 0.

    Source: GiGPO, arXiv 2505.10978, eqs. 3 to 8; verified against the authors' public code, which takes the mean and
    deviation of A^E over step rows, so that long episodes weigh more: `episode_statistics = "rows"` does that, and is
    biased where lengths differ. As in that code, a group of one has its outcome as A^E (mean 0, deviation 1).
    """

    writes: ClassVar[frozenset[str]] = frozenset({"advantage", "episode_advantage", "step_advantage", "step_group"})
    gamma: float = Field(0.95, ge=0, le=1)
    step_weight: float = Field(1.0, ge=0)
    mode: Literal["mean_norm", "mean_std_norm"] = "mean_norm"
    episode_statistics: Literal["trajectories", "rows"] = "trajectories"

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`, its two parts, and `step_group`, the number of the turn's anchor."""
        anchors = Segments.of(table["group"], table["state"])
        returns = discounted_returns(table["reward"], table.trajectories, self.gamma)
        step = self._compare(anchors, returns)
        episode = self._episode_rows(table) if self.episode_statistics == "rows" else self._episode(table)
        return {
            "advantage": episode + self.step_weight * step,
            "episode_advantage": episode,
            "step_advantage": step,
            "step_group": anchors.ids,
        }

    def _compare(self, segments: Segments, values: NDArray[Any]) -> Float:
        return segments.standardise(values) if self.mode == "mean_std_norm" else segments.centre(values)

    def _episode(self, table: TurnTable) -> Float:
        return over_trajectories(table, self._with_lone)

    def _with_lone(self, groups: Segments, outcomes: NDArray[Any]) -> Float:
        """Compared within the group; an attempt whose group has no other is taken against 0, as the authors do."""
        lone = outcomes / (1.0 + EPSILON) if self.mode == "mean_std_norm" else outcomes
        return np.where(groups.sizes[groups.ids] == 1, lone, self._compare(groups, outcomes))

    def _episode_rows(self, table: TurnTable) -> Float:
        return self._with_lone(Segments.of_sorted(table["group"]), table["outcome"])
