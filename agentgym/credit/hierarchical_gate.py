"""Hierarchical gates: each level of a reward is opened by the level below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.config import Config
from agentgym.credit.gates import opened
from agentgym.credit.module import CreditModule
from agentgym.credit.table import TurnTable


class Level(Config):
    """A level: a weighted sum of components."""

    columns: Mapping[str, float] = Field(min_length=1)
    """Column and weight of each component, for instance `{"reward.format" = 1.0}`."""
    threshold: float | None = None
    """What the level's sum over the trajectory must reach to open the next level; always open if not given."""


class HierarchicalGate(CreditModule):
    """R' = sum over levels l of open_l S_l, with open_l true where S_1, ..., S_{l-1} reached their thresholds.

    S_l is the weighted sum of the level's components over the trajectory. Levels come from the most basic (is the
    answer well-formed?) to the finest. The turn reward is what each open level pays in that turn, so that rewards sum
    to the outcome; a closed level pays nothing at all.

    Bias: by design, like `gated-accumulation`: the objective is the gated sum.

    Source: the hierarchical reward of ChatShopBuddy, from the paper's description (we could not check its arXiv
    number or its thresholds, so none is a default). No authors' numbers to compare with.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [1.0]]]).with_columns({"reward.format": [1.0, 1.0, 0.0]})
    >>> levels = [{"columns": {"reward.format": 0.5}, "threshold": 1.0}, {"columns": {"reward": 1.0}}]
    >>> HierarchicalGate(levels=levels)(table)["reward"]
    array([0.5, 1.5, 0. ])
    """

    writes: ClassVar[frozenset[str]] = frozenset({"reward", "outcome"})

    levels: tuple[Level, ...] = Field(min_length=1)
    """From the most basic to the finest."""

    def required(self) -> frozenset[str]:
        """The columns of all components."""
        return frozenset(column for level in self.levels for column in level.columns)

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        turns = table.trajectories
        nothing = np.zeros(len(table))
        paid = [sum((w * table[c] for c, w in level.columns.items()), nothing) for level in self.levels]
        gates = opened([turns.sum(p)[turns.ids] for p in paid], [level.threshold for level in self.levels])
        reward = sum((np.where(gate, p, 0.0) for gate, p in zip(gates, paid, strict=True)), nothing)
        return {"reward": reward, "outcome": turns.sum(reward)[turns.ids]}
