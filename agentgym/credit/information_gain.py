"""Information gain (IGPO): a turn is worth what it adds to the probability of the right answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Float, discounted_returns
from agentgym.credit.table import TurnTable


class InformationGain(CreditModule):
    """r_t = p_t - p_{t-1} for all turns but the last, which gets the outcome; then normalised, then summed up.

    p_t = exp(log-probability of the private answer after turn t), from the scorer `answer-logprob`. The gains of an
    attempt telescope to p_{T-1} - p_0. With `normalise`:
    `joint` all turn rewards of the group are standardised together, then A_t = sum of gamma^(k-t) of them (the paper);
    `separate` the same, gains among gains and outcomes among outcomes;
    `return` the sums first, less the group's mean at that turn index, no deviation (the public code, gamma 1).
    A group of one attempt has nothing to be compared with and gets 0.

    Bias: yes. `joint` puts gains and outcomes on one scale and centres over rows, so that long attempts weigh more;
    summing centred rewards makes length itself pay or cost. `return` has the bias of `turn-group`.

    Source: IGPO, arXiv 2510.14967, section 3. Verified: read from the authors' public code; no numbers of theirs to
    compare with.

    >>> import numpy as np
    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0, 0.0]]]).with_columns({
    ...     "answer_logprob": np.log([0.5, 0.5, 0.1, 0.1]), "answer_logprob_before": np.log([0.1, 0.5, 0.1, 0.1])})
    >>> InformationGain()(table)["reward"].round(4)
    array([0.4, 1. , 0. , 0. ])
    >>> InformationGain()(table)["advantage"].round(4)
    array([ 1.4812,  1.3754, -1.4812, -0.7406])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer_logprob", "answer_logprob_before"})
    writes: ClassVar[frozenset[str]] = frozenset({"reward", "information_gain", "advantage"})

    normalise: Literal["joint", "separate", "return"] = "joint"
    """How rewards of different attempts are compared."""
    gamma: float = Field(default=1.0, ge=0, le=1)
    """Discount for each turn of the sum."""
    format_penalty: float | None = Field(default=None, le=0)
    """What the last turn gets instead of the outcome where its action was at fault; not used if not given."""

    def required(self) -> frozenset[str]:
        """The scorer's columns, and `fault` where it is punished."""
        return self.needs if self.format_penalty is None else self.needs | {"fault"}

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `information_gain` (of all turns), `reward` and `advantage`."""
        gain = np.exp(table["answer_logprob"]) - np.exp(table["answer_logprob_before"])
        last = table["done"]
        end = table["outcome"]
        if self.format_penalty is not None:
            end = np.where(table["fault"], self.format_penalty, end)
        reward = np.where(last, end, gain)
        alone = table.groups.sum(last)[table.groups.ids] == 1
        advantage = np.where(alone, 0.0, self._compare(table, reward))
        return {"information_gain": gain, "reward": reward, "advantage": advantage}

    def _compare(self, table: TurnTable, reward: Float) -> Float:
        if self.normalise == "return":
            returns = discounted_returns(reward, table.trajectories, self.gamma)
            return table.groups.split(table["turn"]).centre(returns)
        kinds = table.groups if self.normalise == "joint" else table.groups.split(table["done"])
        return discounted_returns(kinds.standardise(reward), table.trajectories, self.gamma)
