"""ReNorm (PPR): a good process pays only with a good outcome, and a bad outcome makes every step cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.module import CreditModule
from agentgym.credit.reworked import share
from agentgym.credit.table import TurnTable


class ReNorm(CreditModule):
    """r'_t = w (p_t + R - 1) + [t is last] v R.

    p_t in [0, 1] is a judge's score of the turn (scorer `judge`), R the outcome, meant to be in [0, 1] too. With
    R = 1 a turn gets p_t >= 0; with R = 0 it gets p_t - 1 <= 0: no process is good enough to pay without the outcome.
    The turn rewards of the environment are replaced; the attempt's outcome stays as it is.

    Bias: yes: process scores become part of the objective. A sum over turns pays right attempts, and charges wrong
    ones, for every further turn.

    Source: PPR, arXiv 2509.25598 ("Reward Normalization"). That process scores are centred by the outcome is the
    paper's. The exact form could not be checked: the centring here is as we remember it, and any further scaling that
    the paper may have is left to the estimator.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"judge_score": [0.25, 0.5, 0.75]})
    >>> ReNorm()(table)["reward"]
    array([ 0.25,  1.5 , -0.25])
    """

    writes: ClassVar[frozenset[str]] = frozenset({"reward"})

    weight: float = 1.0
    """w, of the process."""
    outcome_weight: float = 1.0
    """v, of the outcome, paid in the last turn."""
    column: str = "judge_score"
    """Column of the process scores."""

    def required(self) -> frozenset[str]:
        """The column of the process scores."""
        return frozenset({self.column})

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward`.

        Raises:
            CreditError: a process score is not in [0, 1].
        """
        end = np.where(table["done"], table["outcome"], 0.0)
        centred = share(table, self.column) + (table["outcome"] - 1.0)
        return {"reward": self.weight * centred + self.outcome_weight * end}
