"""Maps drawn from a seed: every key lies in a chamber that is open before its door, so every map can be solved."""

from __future__ import annotations

import numpy as np

from agentgym.errors import UsageError
from agentgym.seeding import derive, generator
from agentgym.tasks import TaskSet
from agentgym.types import Task

COUNTS = {"train": 1000, "heldout": 200}


def tasks(split: str, doors: int = 2, side: int = 3) -> TaskSet:
    """Maps of a split; the same index gives the same map on every machine.

    Args:
        split: `train` or `heldout`.
        doors: locked doors, 1 to 5; there is a chamber more than doors.
        side: of each square chamber, 2 to 9.

    Raises:
        UsageError: an unknown split, or numbers that do not fit.
    """
    if not 1 <= doors <= 5 or not 2 <= side <= 9:
        raise UsageError(f"lockgrid needs 1 to 5 doors and chambers of side 2 to 9, not {doors} and {side}")
    return TaskSet(split, COUNTS.get(split, 0), lambda index: _task(split, index, doors, side))


def _task(split: str, index: int, doors: int, side: int) -> Task:
    rng = generator(0, "lockgrid", split, index, doors, side)
    rows: list[str] = []
    while not rows or (derive(0, "lockgrid-split", *rows) % 5 == 0) != (split == "heldout"):
        rows = _map(rng, doors, side)  # The map decides which split it is in, so that none is in both.
    return Task(
        id=f"lockgrid-{doors}-{side}-{split}-{index}",
        prompt="reach the treasure $. a small letter is a key, its capital the door that it opens; you carry one key "
        "at a time. say north, south, west, east, take or open.",
        data={"rows": rows},
        split=split,
        seed=derive(0, "lockgrid-task", split, index),
    )


def _map(rng: np.random.Generator, doors: int, side: int) -> list[str]:
    step = side + 1
    cells = [
        ["#" if r in (0, step) or c % step == 0 else " " for c in range((doors + 1) * step + 1)]
        for r in range(step + 1)
    ]
    letters = [int(i) for i in rng.permutation(doors)]  # Doors are in no order of the alphabet.
    for n in range(doors):
        cells[1 + int(rng.integers(side))][(n + 1) * step] = "ABCDE"[letters[n]]

    def put(mark: str, chamber: int) -> None:
        while True:
            r, c = 1 + int(rng.integers(side)), chamber * step + 1 + int(rng.integers(side))
            if cells[r][c] == " ":
                cells[r][c] = mark
                return

    put("@", 0)
    put("$", doors)
    lying = [0] * (doors + 1)
    for n in range(doors):
        chamber = int(rng.integers(n + 1))
        if lying[chamber] == side * side - 2:  # Too full for another key beside player and treasure.
            chamber = n
        lying[chamber] += 1
        put("abcde"[letters[n]], chamber)
    return ["".join(row) for row in cells]
