"""The warehouse: walls, goals, boxes that can be pushed and never pulled. A planning game in which moves can be final.

A level has the usual characters: `#` wall, `@` player, `$` box, `.` goal, `*` box on a goal, `+` player on one.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from agentgym.env import TextEnv
from agentgym.errors import UsageError
from agentgym.types import Observation, Step, Task

SEARCHED = 40_000
"""States that the oracle looks at before it gives up."""


class State(NamedTuple):
    """What can change; places are row * width + column."""

    player: int
    boxes: frozenset[int]


class Sokoban(TextEnv):
    """Actions: `up`, `down`, `left`, `right`. One reward, 1, when every box is on a goal."""

    _state: State

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `rows`, the level as text."""
        rows = task.data.get("rows")
        if not isinstance(rows, list | tuple) or len({len(str(row)) for row in rows}) != 1:
            raise UsageError(f"task {task.id!r} is not of sokoban: it needs rows, texts of one length")
        self._width, text = len(str(rows[0])), "".join(map(str, rows))
        self._moves = {"up": -self._width, "down": self._width, "left": -1, "right": 1}
        self._floor = {i for i, c in enumerate(text) if c != "#"}
        self._goals = frozenset(i for i, c in enumerate(text) if c in ".*+")
        boxes = frozenset(i for i, c in enumerate(text) if c in "$*")
        players = [i for i, c in enumerate(text) if c in "@+"]
        rim = {*range(self._width), *range(len(text) - self._width, len(text))}
        rim |= {i for i in range(len(text)) if i % self._width in (0, self._width - 1)}
        if len(players) != 1 or len(boxes) != len(self._goals) or boxes == self._goals or self._floor & rim:
            raise UsageError(f"task {task.id!r}: a level has a player, as many boxes as goals, and a wall all around")
        self._places = range(len(text))
        self._state, self._best, self._plan = State(players[0], boxes), len(boxes & self._goals), dict[State, str]()
        return self._look()

    def act(self, action: str) -> Step:
        """Move or push; a wall, or a box with something behind it, is a fault and changes nothing."""
        move = self._moves.get(action.strip().lower())
        after = None if move is None else self._after(self._state, move)
        if after is None:
            return Step.fault(self._look("you can not.\n"), "invalid", progress=self._progress())
        self._state = after
        self._best = max(self._best, len(after.boxes & self._goals))
        if after.boxes == self._goals:
            return Step.success(self._look("solved.\n"), 1.0, progress=1.0)
        return Step.on(self._look(), progress=self._progress())

    def oracle(self) -> str | None:
        """A way found by search from here; `None` where a box is stuck or the search gives up."""
        if self._state not in self._plan:
            self._plan = self._search()
        return self._plan.get(self._state)

    def snapshot(self) -> Any:
        """The state, and the best so far (for progress)."""
        return self._state.player, tuple(sorted(self._state.boxes)), self._best

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot; the episode is open again."""
        self._state, self._best, self._open = State(snapshot[0], frozenset(snapshot[1])), snapshot[2], True
        return self._look()

    def _after(self, state: State, move: int) -> State | None:
        to = state.player + move
        if to not in state.boxes:
            return State(to, state.boxes) if to in self._floor else None
        beyond = to + move
        return State(to, state.boxes - {to} | {beyond}) if beyond in self._floor - state.boxes else None

    def _search(self) -> dict[State, str]:
        """Best first by pushes to the nearest goal: the moves of a solution by state; empty if none is found."""
        pushes, edge = dict.fromkeys(self._goals, 0), list(self._goals)
        for place in edge:  # Backwards from the goals: a place that is never met here is one a box never leaves.
            for move in self._moves.values():
                if place - move in self._floor and place - 2 * move in self._floor and place - move not in pushes:
                    pushes[place - move] = pushes[place] + 1
                    edge.append(place - move)
        came: dict[State, tuple[State, str] | None] = {self._state: None}
        heap, number = [(0, 0, 0, self._state)], count(1)
        while heap and len(came) < SEARCHED:
            _, walked, _, state = heappop(heap)
            if state.boxes == self._goals:
                plan, step = dict[State, str](), came[state]
                while step is not None:
                    plan[step[0]] = step[1]
                    step = came[step[0]]
                return plan
            for name, move in self._moves.items():
                after = self._after(state, move)
                if after is None or after in came or not after.boxes <= pushes.keys():
                    continue
                came[after] = state, name
                left = 3 * sum(pushes[box] for box in after.boxes)
                heappush(heap, (walked + 1 + left, walked + 1, next(number), after))
        return {}

    def _progress(self) -> float:
        """The most boxes that were on goals at once. All of them at once is the end, so it stays below 1 before."""
        return self._best / len(self._goals)

    def _look(self, said: str = "") -> Observation:
        s, marks = self._state, list[str]()
        for i in self._places:
            on = i in self._goals
            mark = "+@" if i == s.player else "*$" if i in s.boxes else ". " if i in self._floor else "##"
            marks.append(mark[0 if on or mark == "##" else 1])
        rows = ["".join(marks[i : i + self._width]) for i in range(0, len(marks), self._width)]
        possible = tuple(name for name, move in self._moves.items() if self._after(s, move) is not None)
        grid = "\n".join(rows)
        return Observation(text=said + grid, state=grid, actions=possible)
