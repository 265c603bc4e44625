"""Generalised advantage estimation over turns, with the values of a turn-level critic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.module import CreditModule
from agentgym.credit.segments import EPSILON, Segments, discounted_returns, shift
from agentgym.credit.table import TurnTable


class Gae(CreditModule):
    """A_{i,t} = sum over k >= t of (gamma lambda)^(k-t) delta_k, with delta_t = r_t + gamma V_{t+1} - V_t.

    V_t is the critic's value of the history before turn t (column `value`, scorer `turn-critic`); after the last turn
    it is 0, also where a limit cut the attempt off. All tokens of a turn share its advantage; the critic learns at
    turn ends only, so that no value is ever asked in the middle of an action. `return` is A + V, what a critic is
    fitted to. A group of one is no special case. `whiten` standardises over the batch's turns.

    Bias: that of the critic, times what lambda < 1 lets in: none at gamma = lambda = 1, where the values telescope to
    a baseline. A cut-off attempt counts as if nothing more were to come.

    Source: Schulman et al., arXiv 1506.02438, eq. 16; at the level of turns VL-DAC, arXiv 2508.04280. From the papers;
    the numbers are checked against the plain recursion only.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"value": [0.5, 0.8, 0.5]})
    >>> Gae(lam=0.5)(table)["advantage"].round(4)
    array([ 0.4,  0.2, -0.5])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"value"})
    writes: ClassVar[frozenset[str]] = frozenset({"advantage", "return"})

    gamma: float = Field(default=1.0, ge=0, le=1)
    """Discount for each turn."""
    lam: float = Field(default=0.95, ge=0, le=1)
    """Lambda: 0 trusts the critic's next value, 1 the rewards that followed."""
    whiten: bool = False
    """Whether advantages are centred and divided by their deviation over the batch's turns."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage` and `return`."""
        value = table["value"]
        delta = table["reward"] + self.gamma * shift(value, table.trajectories, -1) - value
        advantage = discounted_returns(delta, table.trajectories, self.gamma * self.lam)
        returns = advantage + value
        if self.whiten and len(table):
            advantage = Segments.of_sorted(table["turn"] * 0).standardise(advantage, EPSILON)
        return {"advantage": advantage, "return": returns}
