"""Turn-level group baseline: compare what attempts got from the same turn number on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.module import CreditModule
from agentgym.credit.segments import discounted_returns
from agentgym.credit.table import TurnTable


class TurnGroup(CreditModule):
    """A_{i,t} = (G_{i,t} - mean over the group's turns of index t) [/ (std + 1e-6)].

    A turn index that only one attempt of the group reached gets exactly 0.

    Bias: yes, and it can be total. Attempts that are still running at turn t were selected by what they did before, so
    that where later rewards depend on survival the comparison takes away just what should be credited: at gamma = 0
    (turn rewards compared with each other) the expected estimate on a stop-or-continue task is 0.00 of the true
    gradient. Use it where all attempts have the same number of turns and meet the same situation at the same turn
    (fixed protocols); else use `anchor-state`.

    Source: turn-level group baselines as in MT-GRPO, arXiv 2505.11821, which normalises turn rewards of two fixed
    turns; the general form for any number of turns is ours. There are no authors' numbers to compare with.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0, 0.0], [0.0]]])
    >>> TurnGroup()(table)["advantage"].round(4)
    array([ 0.6667,  0.5   , -0.3333, -0.5   , -0.3333])
    """

    gamma: float = Field(default=1.0, ge=0, le=1)
    """Discount for each turn."""
    mode: Literal["mean_norm", "mean_std_norm"] = "mean_norm"
    """Whether the comparison is divided by the deviation."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        returns = discounted_returns(table["reward"], table.trajectories, self.gamma)
        peers = table.groups.split(table["turn"])
        compared = peers.centre(returns) if self.mode == "mean_norm" else peers.standardise(returns)
        return {"advantage": compared}
