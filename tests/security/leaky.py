"""An environment that tells all it can find: its variables, forwards and backwards, in every place there is.

What is told backwards shows that the process had it; what is told forwards shows that nobody took it out.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from agentgym.env import EnvSpec, TextEnv
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task


def told() -> str:
    return " ".join(f"{name}={value} {value[::-1]}" for name, value in sorted(os.environ.items()) if "CANARY" in value)


class Leaky(TextEnv):
    """Says the same whatever is done; `break` in the task's data says how it ends."""

    def __init__(self, note: str = "", quiet: bool = False) -> None:
        super().__init__()

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        self._how = str(task.data["break"])
        return Observation(f"you see {told()}", state=told())

    def act(self, action: str) -> Step:
        print(told(), file=sys.stderr, flush=True)
        if self._how == "raise":
            raise RuntimeError(f"no room: {told()} {action}")
        if self._how == "die":
            os._exit(3)
        return Step.success(Observation(f"{action} {told()}", actions=(told() or "go",)), 1.0, note={told(): [told()]})

    def oracle(self) -> str | None:
        return "go"


def tasks(split: str, quiet: bool = False, **options: Any) -> TaskSet:
    ways = [""] * 6 if quiet else WAYS
    made = [Task(f"{split}-{i}", "say something", {"break": how}, split) for i, how in enumerate(ways)]
    return TaskSet.of(split, made)


WAYS = ("", "raise", "die", "", "", "")
SPEC = EnvSpec(
    id="leaky-v0",
    entry=f"{__name__}:Leaky",
    tasks=f"{__name__}:tasks",
    summary="Tells all it can find",
    abilities=frozenset(),
    max_turns=2,
    host="process",
)
