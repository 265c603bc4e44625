"""Dynamic contrastive selection: of each group the shortest attempts that are right and the longest that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.segments import Float, Int, Segments
from agentgym.credit.table import TurnTable
from agentgym.select.base import Selecting, Selection, SelectionContext
from agentgym.select.groups import members
from agentgym.types import Trajectory


class Contrastive(Selection):
    """Keeps up to `pairs` right and as many wrong attempts of each group: quality first, then cost.

    Right attempts (`Trajectory.success`) are taken from the highest outcome down, among equals from the cheapest up;
    wrong ones from the lowest outcome up, among equals from the dearest down. What is still equal is taken in the order
    of its attempts. A group without a right or without a wrong attempt has no contrast: it is left out, or kept whole
    with `lone = "keep"`.

    What is kept is a group of its own for everything after it: means, deviations and the batch are those of the kept
    attempts, which the policy would not have drawn in this proportion. Group-relative advantages of it are biased on
    purpose: towards short solutions, away from long failures.

    Source: the method's name and rule (DCPO) as this project's collection of formulas has it. The paper itself could
    not be consulted: its measure of quality, its measure of cost and what it does with one-sided groups may differ.
    """

    pairs: int = Field(default=1, ge=1)
    """Most right attempts, and most wrong ones; never more of one than there are of the other."""
    cost: Literal["tokens", "turns"] = "tokens"
    """What length is measured in: tokens that the policy wrote (0 from a text-only policy), or turns."""
    lone: Literal["drop", "keep"] = "drop"
    """What happens to groups that are all right or all wrong."""

    def open(self, context: SelectionContext) -> Selecting:
        """The module at work; it uses nothing of the context and remembers nothing."""
        return _Working(self)


class _Working(Selecting):
    def __init__(self, config: Contrastive) -> None:
        self.config = config
        self._kept = self._lone = 0

    def keep(self, table: TurnTable, played: Sequence[Trajectory]) -> NDArray[np.bool_]:
        """Rows of the attempts that are chosen `[n]`."""
        outcome, groups = members(table)
        right = table["success"][table.last]
        length = table.trajectories.sum(table["tokens"]) if self.config.cost == "tokens" else table.trajectories.sizes
        chosen, lone = contrast(groups, outcome, right, length, self.config.pairs)
        self._kept += int(chosen.sum())
        self._lone += int(lone.sum())
        if self.config.lone == "keep":
            chosen |= lone[groups.ids]
        return chosen[table.trajectories.ids]

    def metrics(self) -> dict[str, float]:
        """`chosen`: attempts that are half of a pair; `lone_groups`: groups without contrast."""
        found = {"chosen": float(self._kept), "lone_groups": float(self._lone)}
        self._kept = self._lone = 0
        return found


def contrast(
    groups: Segments, outcome: Float, right: NDArray[np.bool_], cost: Float | Int, pairs: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which attempts are chosen.

    Args:
        groups: of the m attempts, consecutive.
        outcome: `[m]`.
        right: `[m]` whether the attempt succeeded.
        cost: `[m]`.
        pairs: most of each side.

    Returns:
        The attempts that are chosen `[m]`, and the groups that have one side only `[groups.count]`.

    >>> groups = Segments.of_sorted(np.array([0, 0, 0, 0]))
    >>> right, cost = np.array([True, True, False, False]), np.array([9, 4, 5, 7])
    >>> contrast(groups, right.astype(float), right, cost, 1)[0]
    array([False,  True, False,  True])
    """
    many = groups.sum(right).astype(np.int64)
    each = np.minimum(np.minimum(many, groups.sizes - many), pairs)
    # Right ones first in each group, wrong ones after them, both best choice first.
    order = np.lexsort((np.where(right, cost, -cost), np.where(right, -outcome, outcome), ~right, groups.ids))
    begins = np.cumsum(groups.sizes) - groups.sizes
    place = np.empty(len(right), dtype=np.int64)
    place[order] = np.arange(len(right)) - begins[groups.ids[order]]
    place -= np.where(right, 0, many[groups.ids])
    return place < each[groups.ids], each == 0
