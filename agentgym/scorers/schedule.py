"""Counts the iterations of training, for modules whose weights change with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.errors import StoreError
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.types import Trajectory

if TYPE_CHECKING:
    from torch import Tensor


class Schedule(Scorer):
    """Writes `iteration`: how many iterations were trained before this one, the same in all rows (float64).

    Its only memory is that number, which is in checkpoints.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"iteration"})

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work; it uses nothing of the context."""
        return _Working()


class _Working(Working):
    def __init__(self) -> None:
        self.iteration = 0

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """`iteration`, float64 `[n]`."""
        return {"iteration": np.full(len(table), float(self.iteration))}

    def learn(self, played: Sequence[Trajectory], table: TurnTable) -> dict[str, float]:
        """One iteration more, also where it had no turns that could be trained on."""
        self.iteration += 1
        return {"iteration": float(self.iteration)}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The number."""
        return {}, {"iteration": self.iteration}

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Continue counting.

        Raises:
            StoreError: the state is of another scorer.
        """
        iteration = meta.get("iteration")
        if not isinstance(iteration, int) or isinstance(iteration, bool) or iteration < 0:
            raise StoreError(f"scorer 'schedule': the checkpoint's iteration is {iteration!r}, not a count")
        self.iteration = iteration
