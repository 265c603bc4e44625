"""Implicit step rewards (OPRL, iStar): a preference-trained log-ratio says how good each turn was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.groups import over_trajectories
from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Float, Segments
from agentgym.credit.table import TurnTable


class ImplicitStep(CreditModule):
    """A = A^E + w A^S: the outcome against its group, and the turn's implicit reward against the group's turns.

    The implicit reward r_t = beta times the sum over the turn's tokens of log pi_phi - log pi_ref is the scorer's
    (`implicit-reward`, objective `preference`). Both parts are compared by leave-one-out, or by mean and deviation
    (`baseline = "grpo"`). A^S compares a turn with all turns of the group; a group of one attempt gets 0.

    With `step_statistics = "first_rows"` it is as the authors' code has it: the mean is over the first turn of each
    attempt, N is the number of attempts, and an attempt without peers keeps its raw outcome and rewards.

    Bias: A^E none. A^S follows a learned reward: what it pays for is what tells successes from failures, which need
    not be what caused them.

    Source: iStar (OPRL), arXiv 2509.19199, section 3. Verified: leave-one-out numbers of the authors' code are
    reproduced within 1e-5 by `step_statistics = "first_rows"`.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"implicit_reward": [0.5, 1.0, 0.0]})
    >>> credit = ImplicitStep()(table)
    >>> credit["episode_advantage"], credit["step_advantage"]
    (array([ 1.,  1., -1.]), array([ 0.  ,  0.75, -0.75]))
    """

    needs: ClassVar[frozenset[str]] = frozenset({"implicit_reward"})
    writes: ClassVar[frozenset[str]] = frozenset({"advantage", "episode_advantage", "step_advantage"})

    step_weight: float = Field(default=1.0, ge=0)
    """w, the weight of A^S."""
    baseline: Literal["rloo", "grpo"] = "rloo"
    """How attempts, and turns, are compared."""
    step_statistics: Literal["turns", "first_rows"] = "turns"
    """What the baseline of A^S is taken over; `first_rows` as the authors have it, with `rloo` only."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage` and its two parts."""
        groups, rewards = table.groups, table["implicit_reward"]
        alone = groups.sum(table["done"])[groups.ids] == 1
        compare = Segments.leave_one_out if self.baseline == "rloo" else Segments.standardise
        episode = over_trajectories(table, compare)
        if self.step_statistics == "turns":
            step = np.where(alone, 0.0, compare(groups, rewards))
        else:
            episode = np.where(alone, table["outcome"], episode)
            step = np.where(alone, rewards, self._first_rows(table))
        return {
            "advantage": episode + self.step_weight * step,
            "episode_advantage": episode,
            "step_advantage": step,
        }

    def _first_rows(self, table: TurnTable) -> Float:
        groups, rewards = table.groups, table["implicit_reward"]
        first = table["turn"] == 0
        attempts = groups.sum(first)
        mean = groups.sum(np.where(first, rewards, 0.0)) / attempts
        factor = attempts / np.maximum(attempts - 1, 1)
        return (rewards - mean[groups.ids]) * factor[groups.ids]
