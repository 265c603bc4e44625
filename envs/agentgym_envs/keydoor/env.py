"""The game: rooms in a row, a key in one, a locked door in another, and a reward when the door opens."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from agentgym.env import TextEnv
from agentgym.errors import UsageError
from agentgym.types import Observation, Step, Task


class State(NamedTuple):
    """Everything there is."""

    rooms: int
    at: int
    key: int
    """Room of the key; -1 once it is carried."""
    door: int


class KeyDoor(TextEnv):
    """Actions: `left`, `right`, `take`, `open`. One reward, 1, when the door is opened with the key."""

    _state: State

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `rooms`, and the places `at`, `key` and `door`, all different but for `at`."""
        try:
            self._state = State(*(int(task.data[name]) for name in State._fields))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"task {task.id!r} is not of keydoor: it needs {', '.join(State._fields)}") from error
        return self._look()

    def act(self, action: str) -> Step:
        """Play one action; what is not possible here is a fault and changes nothing."""
        action = action.strip().lower()
        if action not in self._possible():
            return Step.fault(self._look("you can not. "), "invalid", progress=self._progress())
        s = self._state
        if action == "open":
            return Step.success(self._look("the door is open. "), 1.0, progress=1.0)
        if action == "take":
            self._state = s._replace(key=-1)
        else:
            self._state = s._replace(at=s.at + (1 if action == "right" else -1))
        return Step.on(self._look(), progress=self._progress())

    def oracle(self) -> str | None:
        """To the key, take it, to the door, open it."""
        s = self._state
        goal = s.door if s.key < 0 else s.key
        if s.at == goal:
            return "open" if s.key < 0 else "take"
        return "right" if s.at < goal else "left"

    def snapshot(self) -> Any:
        """The state as a plain tuple."""
        return tuple(self._state)

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot; the episode is open again."""
        self._state = State(*snapshot)
        self._open = True
        return self._look()

    def _possible(self) -> tuple[str, ...]:
        s = self._state
        can = {
            "left": s.at > 0,
            "open": s.at == s.door and s.key < 0,
            "right": s.at < s.rooms - 1,
            "take": s.at == s.key,
        }
        return tuple(name for name, possible in can.items() if possible)

    def _progress(self) -> float:
        return 0.5 if self._state.key < 0 else 0.0

    def _look(self, said: str = "") -> Observation:
        s = self._state
        things = [name for name, place in (("key", s.key), ("door", s.door)) if place == s.at]
        words = [f"room {s.at}", *things, *(["you hold the key"] if s.key < 0 else [])]
        return Observation(text=said + ", ".join(words), state=",".join(map(str, s)), actions=self._possible())
