"""Every placing of player, key and door is a task; a fifth of them is held out."""

from __future__ import annotations

from itertools import permutations

from agentgym.errors import UsageError
from agentgym.seeding import derive
from agentgym.tasks import TaskSet
from agentgym.types import Task


def tasks(split: str, rooms: int = 4) -> TaskSet:
    """All tasks of a split with `rooms` rooms, in an order that is fixed and mixed.

    Raises:
        UsageError: fewer than 3 rooms.
    """
    if rooms < 3:
        raise UsageError(f"keydoor needs at least 3 rooms, not {rooms}")
    places = [(at, key, door) for key, door in permutations(range(rooms), 2) for at in range(rooms)]
    places.sort(key=lambda place: derive(0, "keydoor", *place))
    cut = max(1, len(places) // 5)
    mine = places[:cut] if split == "heldout" else places[cut:]
    made = [
        Task(
            id=f"keydoor-{rooms}-{at}-{key}-{door}",
            prompt="find the key and open the door. say left, right, take or open.",
            data={"rooms": rooms, "at": at, "key": key, "door": door},
            split=split,
        )
        for at, key, door in mine
    ]
    return TaskSet.of(split, made)
