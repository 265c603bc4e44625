"""Gated reward accumulation (G-RA): immediate rewards count only where the long-term goal was reached."""

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


class Low(Config):
    """An immediate reward, in order of priority."""

    column: str
    """Its column, for instance `reward.format`."""
    weight: float = 1.0
    """Factor of what counts."""
    threshold: float | None = None
    """What its sum over the trajectory must reach for rewards of lower priority to count; none if not given."""


class GatedAccumulation(CreditModule):
    """r'_t = [t is last] R + sum over k of w_k r_{k,t} [R >= delta and every higher component reached its threshold].

    R is the outcome (r_high), which always counts; `low` are the immediate rewards by falling priority. What a closed
    gate holds back is gone: no part of it reaches reward or outcome. The new outcome is the sum of the new rewards.

    Bias: by design: with gates open it adds what the low rewards pay; with gates closed nothing. Because low rewards
    without success count nothing, the policy cannot live on them (in the paper the ungated sum collapses training:
    completion 47.6 against 93.8 with the gate).

    Source: G-RA, arXiv 2508.10548, from the paper; the form with several priorities is its general form. No authors'
    numbers to compare with.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"reward.format": [1.0, 1.0, 1.0]})
    >>> module = GatedAccumulation(low=[{"column": "reward.format", "weight": 0.1}], threshold=1.0)
    >>> module(table)["reward"], module(table)["outcome"]
    (array([0.1, 1.1, 0. ]), array([1.2, 1.2, 0. ]))
    """

    writes: ClassVar[frozenset[str]] = frozenset({"reward", "outcome"})

    low: tuple[Low, ...] = Field(default=(Low(column="reward"),), min_length=1)
    """Immediate rewards by falling priority. By default the turn reward, which must then not contain the outcome."""
    threshold: float = 1.0
    """delta, what the outcome must reach."""

    def required(self) -> frozenset[str]:
        """The columns of the immediate rewards."""
        return frozenset(low.column for low in self.low)

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        turns = table.trajectories
        high = table["outcome"]
        sums = [turns.sum(table[low.column])[turns.ids] for low in self.low]
        gates = opened([high, *sums], [self.threshold, *(low.threshold for low in self.low)])
        reward = np.where(table["done"], high, 0.0)
        for low, gate in zip(self.low, gates[1:], strict=True):
            reward = reward + np.where(gate, low.weight * table[low.column], 0.0)
        return {"reward": reward, "outcome": turns.sum(reward)[turns.ids]}
