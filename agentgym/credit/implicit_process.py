"""Implicit process rewards (PRIME): returns of a learned log-ratio, joined with the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.groups import over_trajectories
from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Segments, discounted_returns
from agentgym.credit.table import TurnTable


class ImplicitProcess(CreditModule):
    """A_t = w sum over k >= t of gamma^(k-t) (r_k - mean of the other attempts' rewards) + (R - mean of the others).

    r_k is the turn's implicit reward (scorer `implicit-reward`, objective `outcome`). Its baseline is the mean over
    the group's other attempts of their mean turn reward, so that each attempt counts once. A group of one gets 0.

    Bias: the outcome part has none. The process part sums centred rewards, so that with rewards of one sign the
    number of turns itself pays or costs.

    Source: PRIME, arXiv 2502.01456, eq. 5 and section 3, from the paper, which works on tokens; here turns.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"implicit_reward": [0.5, 1.0, 0.25]})
    >>> ImplicitProcess()(table)["advantage"]
    array([ 2.  ,  1.75, -1.5 ])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"implicit_reward"})

    process_weight: float = Field(default=1.0, ge=0)
    """w, of the process part."""
    gamma: float = Field(default=1.0, ge=0, le=1)
    """Discount for each turn."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        turns, rewards = table.trajectories, table["implicit_reward"]
        means = turns.mean(rewards)
        attempts = Segments.of_sorted(table["group"][table.last])
        others = attempts.mean_of_others(means)[turns.ids]
        process = discounted_returns(rewards - others, turns, self.gamma)
        process[(attempts.sizes[attempts.ids] == 1)[turns.ids]] = 0.0
        outcome = over_trajectories(table, Segments.leave_one_out)
        return {"advantage": self.process_weight * process + outcome}
