"""Levels drawn from a seed by playing backwards: boxes start on goals and are pulled off, so each level can be solved.

Which split a level is in is decided by the level itself, so that none is in both, whatever the size.
"""

from __future__ import annotations

import numpy as np

from agentgym.errors import UsageError
from agentgym.seeding import derive, generator
from agentgym.tasks import TaskSet
from agentgym.types import Task

SIZES = {"tiny": (5, 1, 0), "small": (6, 2, 1), "medium": (7, 2, 3), "large": (8, 3, 4)}
"""Side with the outer wall, boxes, inner walls."""
COUNTS = {"train": 1000, "heldout": 200}


def tasks(split: str, size: str = "small") -> TaskSet:
    """Levels of a split; the same index gives the same level on every machine.

    Args:
        split: `train` or `heldout`.
        size: `tiny` (5 by 5 with the wall, 1 box; levels come up more than once), `small` (6, 2 boxes), `medium` (7,
            2 boxes, inner walls) or `large` (8, 3 boxes, inner walls).

    Raises:
        UsageError: an unknown split or size.
    """
    if size not in SIZES:
        raise UsageError(f"size must be one of {', '.join(SIZES)}, not {size!r}")
    return TaskSet(split, COUNTS.get(split, 0), lambda index: _task(split, index, size))


def _task(split: str, index: int, size: str) -> Task:
    rng = generator(0, "sokoban", split, index, size)
    rows: list[str] = []
    while not rows or (derive(0, "sokoban-split", *rows) % 5 == 0) != (split == "heldout"):
        rows = _level(rng, *SIZES[size])  # Most drawings are of the wrong split, or end with a box on a goal.
    return Task(
        id=f"sokoban-{size}-{split}-{index}",
        prompt="push every box ($) onto a goal (.). you are @. say up, down, left or right.",
        data={"rows": rows},
        split=split,
        seed=derive(0, "sokoban-task", split, index),
    )


def _level(rng: np.random.Generator, side: int, boxes: int, walls: int) -> list[str]:
    """One drawing: rows, or nothing where a box did not get off its goal."""
    floor = [r * side + c for r in range(1, side - 1) for c in range(1, side - 1)]
    rng.shuffle(floor)
    floor = floor[walls:]
    free, goals, player = set(floor), floor[:boxes], floor[boxes]
    on, moves = set(goals), (-side, side, -1, 1)
    for _ in range(30 * side):
        move = moves[int(rng.integers(4))]
        if (to := player + move) not in free - on:
            continue
        if player - move in on and rng.random() < 0.7:  # Walking away from a box, with it: a push played backwards.
            on = on - {player - move} | {player}
        player = to
    if on & set(goals):
        return []
    marks = dict.fromkeys(free, " ") | dict.fromkeys(goals, ".") | dict.fromkeys(on, "$")
    marks[player] = "+" if player in goals else "@"
    return ["".join(marks.get(r * side + c, "#") for c in range(side)) for r in range(side)]
