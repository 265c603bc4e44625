"""Statistics over a group's trajectories, each of which counts once however long it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.segments import Float, Segments
from agentgym.credit.table import TurnTable


def over_trajectories(table: TurnTable, compare: Callable[[Segments, NDArray[Any]], Float]) -> Float:
    """`compare(groups, outcomes)` with one row a trajectory, spread over the trajectory's turns. `[n]` float64."""
    last = table.last
    compared = compare(Segments.of_sorted(table["group"][last]), table["outcome"][last])
    return np.asarray(compared, dtype=np.float64)[table.trajectories.ids]
