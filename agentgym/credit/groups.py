"""Statistics over a group's trajectories, each of which counts once however long it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from agentgym.credit.segments import Float, Segments
from agentgym.credit.table import TurnTable


def over_trajectories(table: TurnTable, compare: Callable[[Segments, NDArray[Any]], Float]) -> Float:
    """`compare(groups, outcomes)` with one row a trajectory, spread over the trajectory's turns.

    Args:
        table: n turns of m trajectories.
        compare: given the groups of the m trajectories and their outcomes `[m]`, gives `[m]`.

    Returns:
        `[n]` float64.
    """
    last = table.last
    compared = compare(Segments.of_sorted(table["group"][last]), table["outcome"][last])
    return compared[table.trajectories.ids]
