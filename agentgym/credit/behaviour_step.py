"""Behaviour-labelled calls (steerable step reward): how an attempt searched changes what its outcome is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.reworked import Gated
from agentgym.credit.table import TurnTable


class BehaviourStep(Gated):
    """R' = R - min(cap, c rho) for an attempt that got it right, R' = R + b min(1, U / U_0) for one that did not.

    rho is the share of redundant turns among those that were labelled at all, U the number of useful ones (scorer
    `behaviour`: `redundant`, `useful`); an attempt without labelled turns keeps its outcome. Both caps are there so
    that no amount of calls makes a wrong attempt worth a right one: that holds while cap + b is less than what right
    and wrong outcomes differ by.

    Bias: by design: how tools are used becomes part of the objective, which is what "steerable" means.

    Source: Fathom-DeepResearch, arXiv 2509.24107, steerable step-level reward. That right outcomes are lowered by
    redundant calls, wrong ones raised by useful ones, and both capped, is the paper's; its numbers and the form of
    its counts (it treats search and page queries apart) could not be checked, so the sizes here are ours.

    >>> table = TurnTable.from_rewards([[[0.0, 0.0, 1.0], [0.0, 0.0]]]).with_columns(
    ...     {"success": [True] * 3 + [False] * 2, "redundant": [0, 1, 0, 0, 1], "useful": [1, 0, 0, 1, 0]})
    >>> BehaviourStep(penalty=0.5, bonus=0.25, enough=2)(table)["outcome"]
    array([0.75 , 0.75 , 0.75 , 0.125, 0.125])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"redundant", "useful"})

    penalty: float = Field(default=1.0, ge=0)
    """c, for redundant calls of a right attempt."""
    cap: float = Field(default=0.5, ge=0)
    """Most that a right attempt loses."""
    bonus: float = Field(default=0.2, ge=0)
    """b, most that a wrong attempt gains."""
    enough: int = Field(default=5, ge=1)
    """U_0, how many useful turns bring the whole bonus."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        turns = table.trajectories
        redundant, useful = turns.sum(table["redundant"] != 0), turns.sum(table["useful"] != 0)
        lost = np.minimum(self.cap, self.penalty * redundant / np.maximum(redundant + useful, 1.0))
        gained = self.bonus * np.minimum(1.0, useful / self.enough)
        change = np.where(self.right(table), -lost[turns.ids], gained[turns.ids])
        return self.give(table, table["outcome"] + change)
