"""Remembers over the whole of training how often each state was met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.errors import StoreError
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.types import Trajectory

if TYPE_CHECKING:
    from torch import Tensor


class Visits(Scorer):
    """Writes `visits`: how often turns of earlier iterations began in the turn's state (float64).

    States are told apart by the 64-bit hash of their key (column `state`). The turns of this iteration count from the
    next one on, each turn that reached the scorer once. 16 bytes a state are kept, in checkpoints too.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"visits"})

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work; it uses nothing of the context."""
        return _Working()


class _Working(Working):
    def __init__(self) -> None:
        self.states: NDArray[np.uint64] = np.zeros(0, np.uint64)
        """Sorted, each once."""
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """`visits`, float64 `[n]`."""
        state = table["state"]
        if not len(self.states):
            return {"visits": np.zeros(len(state))}
        place = np.minimum(np.searchsorted(self.states, state), len(self.states) - 1)
        return {"visits": np.where(self.states[place] == state, self.counts[place], 0).astype(np.float64)}

    def learn(self, played: Sequence[Trajectory], table: TurnTable) -> dict[str, float]:
        """Count this iteration's states."""
        new, counts = np.unique(table["state"], return_counts=True)
        before = len(self.states)
        states, where = np.unique(np.concatenate([self.states, new]), return_inverse=True)
        total = np.zeros(len(states), np.int64)
        np.add.at(total, where, np.concatenate([self.counts, counts]))
        self.states, self.counts = states, total
        return {"states": float(len(states)), "new_states": float(len(states) - before)}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """States, as the signed numbers of the same bits, and their counts."""
        import torch

        states, counts = torch.tensor(self.states.view(np.int64)), torch.tensor(self.counts)
        return {"states": states, "counts": counts}, {"kind": "visits"}

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Continue counting.

        Raises:
            StoreError: the state is of another scorer.
        """
        if meta.get("kind") != "visits" or set(tensors) != {"states", "counts"}:
            raise StoreError("scorer 'visits': the checkpoint's state is of another scorer")
        states = tensors["states"].cpu().numpy().astype(np.int64).view(np.uint64)
        counts = tensors["counts"].cpu().numpy().astype(np.int64)
        if len(states) != len(counts) or (states[1:] <= states[:-1]).any() or (counts < 1).any():
            raise StoreError("scorer 'visits': the checkpoint's states and counts do not fit each other")
        self.states, self.counts = states, counts
