"""The maze: chambers in a row, a locked door between each two, keys that lie about, one hand to carry them with.

A map has the characters `#` wall, ` ` floor, `@` player, `$` treasure, `a` to `e` keys, `A` to `E` their doors.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np

from agentgym.env import TextEnv
from agentgym.errors import UsageError
from agentgym.types import Observation, Step, Task

MOVES = {"north": (-1, 0), "south": (1, 0), "west": (0, -1), "east": (0, 1)}
KEYS = "abcde"
Place = tuple[int, int]


class State(NamedTuple):
    """What can change."""

    at: Place
    held: str
    """Letter of the key in the hand, or nothing."""
    keys: tuple[tuple[Place, str], ...]
    """The keys that lie about, sorted."""
    doors: tuple[tuple[Place, str], ...]
    """The doors that are locked, sorted."""


class LockGrid(TextEnv):
    """Actions: `north`, `south`, `west`, `east`, `take`, `open`. One reward, 1, at the treasure."""

    _state: State

    def __init__(self, view: int = 2) -> None:
        """Args: `view` is how many places one sees in each direction; 0 shows the whole map."""
        super().__init__()
        if view < 0:
            raise UsageError(f"view must be 0 (everything) or more, not {view}")
        self._view = view

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `rows`, the map as text."""
        rows = task.data.get("rows")
        if not isinstance(rows, list | tuple) or len({len(str(row)) for row in rows}) != 1:
            raise UsageError(f"task {task.id!r} is not of lockgrid: it needs rows, texts of one length")
        self._map = {(r, c): mark for r, row in enumerate(map(str, rows)) for c, mark in enumerate(row)}
        found = {mark: place for place, mark in self._map.items() if mark not in "# "}
        doors = tuple(sorted((place, mark.lower()) for mark, place in found.items() if mark in KEYS.upper()))
        keys = tuple(sorted((place, mark) for mark, place in found.items() if mark in KEYS))
        if not {"@", "$"} <= found.keys() or not {door for _, door in doors} <= {key for _, key in keys}:
            raise UsageError(f"task {task.id!r}: a map needs a player @, a treasure $, and a key for each door")
        self._all, self._goal = len(doors), found["$"]
        self._state = State(found["@"], "", keys, doors)
        return self._look()

    def act(self, action: str) -> Step:
        """Play one action; what is not possible here is a fault and changes nothing."""
        action = action.strip().lower()
        if action not in self._possible():
            return Step.fault(self._look("you can not.\n"), "invalid", progress=self._progress())
        s = self._state
        if action == "take":  # With a key in the hand, it is put down in the other's place.
            keys = {place: key for place, key in s.keys if place != s.at} | ({s.at: s.held} if s.held else {})
            self._state = s._replace(held=dict(s.keys)[s.at], keys=tuple(sorted(keys.items())))
        elif action == "open":  # The key stays in the lock.
            doors = tuple(door for door in s.doors if door[1] != s.held)
            self._state = s._replace(held="", doors=doors)
        else:
            self._state = s._replace(at=_next(s.at, action))
        if self._state.at == self._goal:
            return Step.success(self._look("you have the treasure.\n"), 1.0, progress=1.0)
        return Step.on(self._look(), progress=self._progress())

    def oracle(self) -> str | None:
        """The next thing that is in reach and needed: the treasure, a door whose key is held, that door's key."""
        s, ways = self._state, self._ways()
        if self._goal in ways:
            return ways[self._goal]
        beside = {door: [p for m in MOVES if (p := _next(place, m)) in ways] for place, door in s.doors}
        reached = [door for door in beside if beside[door]]
        if s.held in reached:
            return min((ways[p] for p in beside[s.held]), key=lambda way: way != "") or "open"
        keys = [place for place, key in s.keys if key in reached and place in ways]
        return (ways[keys[0]] or "take") if keys else None

    def snapshot(self) -> Any:
        """The state as plain tuples."""
        return tuple(self._state)

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot; the episode is open again."""
        self._state, self._open = State(*snapshot), True
        return self._look()

    def _ways(self) -> dict[Place, str]:
        """Every place that can be walked to, with the first step of a shortest way; nothing for where one stands."""
        ways, todo = {self._state.at: ""}, deque([self._state.at])
        while todo:
            place = todo.popleft()
            for move in MOVES:
                to = _next(place, move)
                if to not in ways and self._free(to):
                    ways[to] = ways[place] or move
                    todo.append(to)
        return ways

    def _free(self, place: Place) -> bool:
        return self._map.get(place, "#") != "#" and place not in dict(self._state.doors)

    def _possible(self) -> tuple[str, ...]:
        s, can = self._state, [move for move in MOVES if self._free(_next(self._state.at, move))]
        near = [dict(s.doors).get(_next(s.at, move)) for move in MOVES]
        return (*can, *(["take"] if s.at in dict(s.keys) else []), *(["open"] if s.held and s.held in near else []))

    def _progress(self) -> float:
        """Doors that are open, of all doors and the treasure."""
        return (self._all - len(self._state.doors)) / (self._all + 1)

    def _look(self, said: str = "") -> Observation:
        s = self._state
        things = {p: key for p, key in s.keys} | {p: door.upper() for p, door in s.doors} | {self._goal: "$", s.at: "@"}
        (top, left), (bottom, right) = min(self._map), max(self._map)
        if self._view:
            top, left, bottom, right = (s.at[i % 2] + (self._view if i > 1 else -self._view) for i in range(4))
        rows = [
            "".join(
                things.get((r, c)) or ("#" if self._map.get((r, c), "#") == "#" else ".")
                for c in range(left, right + 1)
            )
            for r in range(top, bottom + 1)
        ]
        under = dict(s.keys).get(s.at)
        told = [
            *([f"key {under} lies here"] if under else []),
            f"you hold {'key ' + s.held if s.held else 'nothing'}",
        ]
        return Observation(
            text=said + "\n".join([*rows, ", ".join(told)]), state=repr(tuple(s)), actions=self._possible()
        )


def _next(place: Place, move: str) -> Place:
    return place[0] + MOVES[move][0], place[1] + MOVES[move][1]
