"""Stepwise progress attribution (SPA): the outcome, spread over turns by an estimator of progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.module import CreditModule
from agentgym.credit.table import TurnTable


class Progress(CreditModule):
    """r_t = alpha c_t + beta g_t + [t is last] v R.

    c_t is the estimated contribution of the turn (scorer `progress-estimator`), whose sum over an attempt was fitted
    to its outcome; g_t is 1 where the environment could execute the action. v is 0 in the paper: the contributions
    replace the outcome. The attempt's outcome stays as it is.

    Bias: that of the estimator. With exact contributions (differences of the success probability) it is the return
    with a perfect baseline; beta > 0 adds an objective of its own, executable actions.

    Source: SPA-RL, arXiv 2505.20732, eqs. 4 to 6. Verified: read from the authors' public code; alpha = 1 and
    beta = 0.5 could not be checked against it.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns(
    ...     {"progress_score": [0.25, 0.5, 0.125], "fault": [False, False, True]})
    >>> Progress()(table)["reward"]
    array([0.75 , 1.   , 0.125])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"progress_score", "fault"})
    writes: ClassVar[frozenset[str]] = frozenset({"reward"})

    alpha: float = 1.0
    """Weight of the contribution."""
    beta: float = 0.5
    """Weight of grounding."""
    outcome_weight: float = 0.0
    """v, of the outcome, paid in the last turn."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward`."""
        grounded = (~table["fault"].astype(np.bool_)).astype(np.float64)
        end = np.where(table["done"], table["outcome"], 0.0)
        return {"reward": self.alpha * table["progress_score"] + self.beta * grounded + self.outcome_weight * end}
