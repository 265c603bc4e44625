"""Trajectories to score, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.credit import TurnTable
from agentgym.errors import CreditError
from agentgym.scorers import ScorerContext
from agentgym.types import Completion, Ending, Observation, Task, Trajectory, Turn


def turn(text: str = "look", action: str | None = "look", seen: str = "a hall", **info: Any) -> Turn:
    return Turn(Observation(seen), Completion(text), action, info=info)


def attempt(*turns: Turn, name: str = "a", task: str = "t", group: str = "g", broken: bool = False) -> Trajectory:
    ending = Ending.INFRA_ERROR if broken else Ending.FAILURE
    return Trajectory(name, "env", task, group, 0, 0, tuple(turns), ending, final=Observation("the end"))


def context(tasks: Mapping[str, Mapping[str, Any]] | None = None, **more: Any) -> ScorerContext:
    known = {name: Task(name, prompt="Find the coin.", data=data) for name, data in (tasks or {"t": {}}).items()}

    def task(name: str) -> Task:
        if name not in known:
            raise CreditError(f"no task {name!r}")
        return known[name]

    return ScorerContext(task, **more)


def table_of(played: Sequence[Trajectory]) -> TurnTable:
    return TurnTable.from_trajectories(played)
