"""Novelty bonuses: pay for states that are new, within the attempt and over the whole of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.segments import Float, shift
from agentgym.credit.table import TurnTable
from agentgym.credit.terms import Term


class Novelty(Term):
    """r'_t = r_t + w b(s_{t+1}), the bonus of the state that the turn led to.

    The last turn leads to no state of the table and gets none. With e the times the attempt was in the state before,
    and v those of earlier iterations (`visits`), `episodic` is one of
    `count` 1 / sqrt(e + 1); `first` 1 if e = 0, else 0; `elliptical` 1 / (e + ridge), which is the elliptical bonus
    of features that are 1 for the state and 0 for all others;
    the global bonus is 1 / sqrt(v + 1). `combine` says which counts: their `product`, `sum`, or one of them.

    Bias: yes: with bonuses the return is another one. Global bonuses fade with training, episodic ones do not. A
    bonus in every turn also pays for more turns.

    Source: Henaff, Jiang and Raileanu, "A study of global and episodic bonuses", arXiv 2306.03236, of whose
    combinations these are those with counts. Features that are learned (its elliptical bonuses on images) are not
    here. From the paper; no authors' numbers to compare with.

    >>> table = TurnTable.from_rewards([[[0.0, 0.0, 0.0, 1.0]]], states=[[["hall", "attic", "hall", "attic"]]])
    >>> table = table.with_columns({"visits": [8.0, 3.0, 8.0, 3.0]})
    >>> Novelty(weight=1.0, combine="global")(table)["reward"].round(3)
    array([0.5  , 0.333, 0.5  , 1.   ])
    >>> Novelty(weight=1.0, episodic="first")(table)["reward"].round(3)
    array([0.5, 0. , 0. , 1. ])
    """

    weight: float = Field(default=0.1, ge=0)
    """w."""
    episodic: Literal["count", "first", "elliptical"] = "count"
    """The bonus within the attempt."""
    ridge: float = Field(default=0.1, gt=0)
    """Of the elliptical bonus: what stands for visits that there have not been."""
    combine: Literal["product", "sum", "episodic", "global"] = "product"
    """Which bonuses count."""
    into: Literal["reward", "outcome", "both"] = "reward"
    """What the bonus is added to; the outcome gets the mean of the attempt's bonuses."""

    def required(self) -> frozenset[str]:
        """`visits`, unless only the attempt counts."""
        return frozenset() if self.combine == "episodic" else frozenset({"visits"})

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        return self.add(table, self.weight * shift(self._bonus(table), table.trajectories, -1))

    def _bonus(self, table: TurnTable) -> Float:
        """b of the state that each turn began in `[n]`."""
        if self.combine == "episodic":
            return self._within(table)
        everywhere = 1.0 / np.sqrt(np.maximum(table["visits"], 0) + 1.0)
        if self.combine == "global":
            return everywhere
        return self._within(table) * everywhere if self.combine == "product" else self._within(table) + everywhere

    def _within(self, table: TurnTable) -> Float:
        earlier = times_before(table)
        if self.episodic == "count":
            return 1.0 / np.sqrt(earlier + 1.0)
        return (earlier == 0).astype(np.float64) if self.episodic == "first" else 1.0 / (earlier + self.ridge)


def times_before(table: TurnTable) -> Float:
    """How often the attempt began an earlier turn in the same state `[n]`."""
    return table.trajectories.split(table["state"]).ranks(table["turn"])
