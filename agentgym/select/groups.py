"""Groups as selection sees them: their members, how many succeeded, and whether there is anything to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.segments import Float, Segments
from agentgym.credit.table import TurnTable
from agentgym.types import Trajectory


@dataclass(frozen=True)
class Group:
    """The attempts of one group; those that met an infra error, or have no turns, count for nothing."""

    name: str
    task_id: str
    members: tuple[int, ...]
    """Positions of the attempts that count."""
    successes: int
    """How many of them succeeded."""

    @property
    def share(self) -> float:
        """Successes over attempts that count; `nan` where none does, which is neither solved nor failed."""
        return self.successes / len(self.members) if self.members else float("nan")

    @property
    def failed(self) -> bool:
        """Whether there were attempts that count and none of them succeeded."""
        return bool(self.members) and not self.successes


def groups_of(played: Sequence[Trajectory]) -> list[Group]:
    """The groups in order of first appearance, those included in which no attempt counts."""
    members: dict[str, list[int]] = {}
    task: dict[str, str] = {}
    for position, trajectory in enumerate(played):
        mine = members.setdefault(trajectory.group, [])
        task.setdefault(trajectory.group, trajectory.task_id)
        if trajectory.trainable:
            mine.append(position)
    return [
        Group(name, task[name], tuple(mine), sum(played[i].success for i in mine)) for name, mine in members.items()
    ]


def spread(table: TurnTable) -> Float:
    """Largest outcome less the smallest of each group, over trajectories: `[table.groups.count]`.

    >>> spread(TurnTable.from_rewards([[[0.0, 1.0], [0.0]], [[0.5], [0.5]]]))
    array([1., 0.])
    """
    outcome, groups = members(table)
    if not groups.count:
        return np.zeros(0)
    high = np.maximum.reduceat(outcome, groups.first)
    return high - np.minimum.reduceat(outcome, groups.first)


def members(table: TurnTable) -> tuple[Float, Segments]:
    """Outcomes by trajectory `[m]`, and which group each trajectory is of."""
    last = table.last
    return table["outcome"][last], Segments.of_sorted(table["group"][last])


def rows_of_groups(table: TurnTable, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The rows `[n]` of the groups that are chosen `[table.groups.count]`."""
    return chosen[table.groups.ids]
