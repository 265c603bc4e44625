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

    A^E_i = R_i - mean of the group's outcomes; A^S_{i,t} = G_{i,t} - mean of the discounted returns G of all turns of
    the group that began in the same state, whichever attempt and turn they are of. In mode `mean_std_norm` both are
    divided by the sample deviation (N-1) plus 1e-6. A turn whose state the group met once has A^S = 0.

    A group of one *trajectory* (with `episode_statistics = "rows"`: of one *row*) is compared with 0, not with itself:
    its A^E is its outcome, over 1 + 1e-6 in mode `mean_std_norm`, as the authors' code has it.

    Bias: A^E at its default is that of `dr-grpo` (a constant factor 1 - 1/N). `episode_statistics = "rows"`, the
    authors' choice, lets long attempts weigh more and is biased where lengths differ: estimate over true gradient 0.64
    to 0.99 on a stop-or-continue task, worst where most episodes stop early. A^S contains the turn itself in its
    baseline and, where an attempt comes back to a state, returns that its own action led to: biased too; how much
    depends on the environment (its card: cosine to the true gradient 0.98 at worst in groups of 2, near 1 in groups of
    16).

    Source: GiGPO, arXiv 2505.10978, eqs. 3, 6, 7 and 8. Verified: numbers of the authors' code in both modes and with
    both statistics are reproduced within 1e-5. That code's grouping of states that are nearly equal is made by the
    scorer `similar-states`: it needs their texts.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]], states=[[["hall", "cellar"], ["hall"]]])
    >>> credit = AnchorState(gamma=0.5)(table)
    >>> credit["step_group"], credit["step_advantage"]  # Returns 0.5, 1 and 0; both attempts began in the hall.
    (array([0, 1, 0]), array([ 0.25,  0.  , -0.25]))
    >>> credit["episode_advantage"], credit["advantage"]
    (array([ 0.5,  0.5, -0.5]), array([ 0.75,  0.5 , -0.75]))
    """

    writes: ClassVar[frozenset[str]] = frozenset({"advantage", "episode_advantage", "step_advantage", "step_group"})

    gamma: float = Field(default=0.95, ge=0, le=1)
    """Discount for each turn, of the returns that A^S compares."""
    step_weight: float = Field(default=1.0, ge=0)
    """w, the weight of A^S."""
    mode: Literal["mean_norm", "mean_std_norm"] = "mean_norm"
    """Whether comparisons are divided by the deviation."""
    episode_statistics: Literal["trajectories", "rows"] = "trajectories"
    """What counts once in the group's mean and deviation: a trajectory, or each of its turns (the authors' choice)."""
    keys: Literal["state", "similar"] = "state"
    """Which turns share an anchor: those of equal states, or of equal `anchor`, a column of whole numbers that the
    scorer `similar-states` writes: states that are nearly equal."""

    def required(self) -> frozenset[str]:
        """`anchor` with `keys = "similar"`, else nothing."""
        return frozenset({"anchor"}) if self.keys == "similar" else frozenset()

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`, its two parts, and `step_group`, the number of the turn's anchor."""
        anchors = table.groups.split(table["anchor" if self.keys == "similar" else "state"])
        returns = discounted_returns(table["reward"], table.trajectories, self.gamma)
        step = self._compare(anchors, returns)
        if self.episode_statistics == "rows":
            episode = self._episode(table.groups, table["outcome"])
        else:
            episode = over_trajectories(table, self._episode)
        return {
            "advantage": episode + self.step_weight * step,
            "episode_advantage": episode,
            "step_advantage": step,
            "step_group": anchors.ids,
        }

    def _compare(self, segments: Segments, values: NDArray[Any]) -> Float:
        return segments.standardise(values) if self.mode == "mean_std_norm" else segments.centre(values)

    def _episode(self, groups: Segments, outcomes: NDArray[Any]) -> Float:
        against_zero = outcomes / (1.0 + EPSILON) if self.mode == "mean_std_norm" else outcomes
        return np.where(groups.sizes[groups.ids] == 1, against_zero, self._compare(groups, outcomes))
