"""Scheduled mix (Atom-Searcher): the process counts early in training, the outcome late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.reworked import Reworked
from agentgym.credit.table import TurnTable


class ScheduledMix(Reworked):
    """R' = (1 - w(s)) R + w(s) p, with w falling in a line from `start` at s = 0 to `end` at s = `steps`, then flat.

    p is the mean of the process scores of the attempt's turns (`column`), s the number of iterations trained so far
    (scorer `schedule`, column `iteration`).

    Bias: by design, as long as w > 0: the process score is part of the objective. With `end = 0` none is left.

    Source: Atom-Searcher, arXiv 2508.12800. That weights of process rewards fall in a line over training is the
    paper's; that they begin at 0.5, and that p is a mean over turns, could not be checked against it.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns(
    ...     {"judge_score": [1.0, 0.0, 0.75], "iteration": [50.0] * 3})
    >>> ScheduledMix(start=0.5, steps=100)(table)["outcome"]
    array([0.875 , 0.875 , 0.1875])
    """

    start: float = Field(default=0.5, ge=0, le=1)
    """w at the beginning."""
    end: float = Field(default=0.0, ge=0, le=1)
    """w from `steps` on."""
    steps: int = Field(default=100, ge=1)
    """Iterations over which w falls."""
    column: str = "judge_score"
    """Column of the process scores, for instance of the scorer `judge`."""

    def required(self) -> frozenset[str]:
        """`iteration`, and the column of the process scores."""
        return frozenset({"iteration", self.column})

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        turns = table.trajectories
        process = turns.mean(table[self.column])[turns.ids]
        done = np.clip(table["iteration"][table.last][turns.ids] / self.steps, 0.0, 1.0)
        weight = self.start + (self.end - self.start) * done
        return self.give(table, (1 - weight) * table["outcome"] + weight * process)
