"""Potential-based shaping: pay for progress without changing which policy is best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.module import CreditModule
from agentgym.credit.segments import shift
from agentgym.credit.table import TurnTable


class Potential(CreditModule):
    """r'_t = r_t + w (gamma Phi(s_{t+1}) - Phi(s_t)).

    The column says Phi *after* each turn (as `progress` does); before the first one it is `initial`. With
    `terminal = "zero"` Phi after the last turn is 0, as the theorem wants; with `"keep"` the last value counts, and
    what is paid in all is the progress made. The attempt's outcome stays as it is.

    Bias: none with `terminal = "zero"` and the gamma of the estimator that follows: every policy's return changes by
    the same constant. `"keep"` adds progress to the objective.

    Source: Ng, Harada and Russell 1999, "Policy invariance under reward transformations" (no arXiv id), theorem 1.

    >>> table = TurnTable.from_rewards([[[0.0, 0.0, 1.0]]]).with_columns({"progress": [0.25, 0.75, 1.0]})
    >>> Potential()(table)["reward"]
    array([0.25, 0.5 , 0.25])
    >>> Potential(terminal="keep")(table)["reward"]
    array([0.25, 0.5 , 1.25])
    """

    writes: ClassVar[frozenset[str]] = frozenset({"reward"})

    column: str = "progress"
    """Column of Phi after each turn."""
    weight: float = 1.0
    """w."""
    gamma: float = Field(default=1.0, ge=0, le=1)
    """The discount of the returns that follow."""
    initial: float = 0.0
    """Phi before the first turn."""
    terminal: Literal["zero", "keep"] = "zero"
    """Phi after the last turn: 0, or what the column says."""

    def required(self) -> frozenset[str]:
        """The column of the potential."""
        return frozenset({self.column})

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward`."""
        after = table[self.column].astype(np.float64)
        before = shift(after, table.trajectories, 1, fill=self.initial)
        if self.terminal == "zero":
            after = np.where(table["done"], 0.0, after)
        return {"reward": table["reward"] + self.weight * (self.gamma * after - before)}
