"""Log-ratio temporal differences (TRACE): what a turn adds to the log-probability of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.module import CreditModule
from agentgym.credit.table import TurnTable


class LogRatioTd(CreditModule):
    """r_t = w (V_t - V_{t-1}) + [t is last] v R, with V_t = log p_ref(answer | h_t) - log p_ref(answer | h_0).

    p_ref is a frozen reference: ask the scorer `answer-logprob` for `weights = "initial"`. The differences telescope
    to V_T; unlike a difference of probabilities they also pay for the first steps from very unlikely to unlikely. The
    outcome of the attempt stays as it is.

    Bias: the telescoping sum is a potential of the history, but the terminal value is not 0: what is paid in all is
    V_T, so that the objective becomes outcome plus w V_T.

    Source: TRACE, arXiv 2607.13988, from the paper; how it joins the outcome could not be checked, so both weights
    are parameters.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0]]]).with_columns(
    ...     {"answer_logprob": [-1.0, -0.5], "answer_logprob_before": [-3.0, -1.0]})
    >>> LogRatioTd()(table)["reward"]
    array([2. , 1.5])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer_logprob", "answer_logprob_before"})
    writes: ClassVar[frozenset[str]] = frozenset({"reward"})

    weight: float = 1.0
    """w, of the differences."""
    outcome_weight: float = 1.0
    """v, of the outcome, paid in the last turn."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward`."""
        difference = table["answer_logprob"] - table["answer_logprob_before"]
        end = np.where(table["done"], table["outcome"], 0.0)
        return {"reward": self.weight * difference + self.outcome_weight * end}
