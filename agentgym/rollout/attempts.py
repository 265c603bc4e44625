"""What is to be played: attempts at tasks, in groups that credit may compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agentgym.errors import UsageError
from agentgym.seeding import derive
from agentgym.types import Observation, Task, Turn


@dataclass(frozen=True, slots=True)
class Prefix:
    """Turns that an attempt begins with and that nobody is asked for: those of an earlier attempt, as they were."""

    turns: tuple[Turn, ...]
    """Part of the attempt's trajectory: their rewards count, and so do they themselves where turns are limited."""
    observation: Observation
    """What the environment had answered to the last of them: what the next turn sees."""
    snapshot: Any = None
    """Of the environment after them, for hosts that restore. Without one their actions are played again, and what the
    environment answers must be what it answered then."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one task."""

    id: str
    """Becomes the trajectory's id: unique within a run."""
    task: Task
    group: str
    """Attempts with equal `group` share task, `env_seed` and so the initial state."""
    attempt: int
    """Index within the group."""
    seed: int
    """Seed of the sampling: turn t is sampled with `derive(seed, t)`."""
    env_seed: int = 0
    """Seed that the environment is reset with."""
    prefix: Prefix | None = None
    """Where to begin, if not at the beginning."""


def attempts(tasks: Iterable[Task], group_size: int, seed: int, prefix: str = "") -> list[Attempt]:
    """`group_size` attempts at each task, group by group.

    Args:
        tasks: what to play; a task that comes twice makes two groups.
        group_size: attempts in a group, at least 1.
        seed: every attempt's seeds are a function of this one and of the attempt's id.
        prefix: put before each group's id, e.g. `"train/3/"`, to make ids unique within a run.

    Raises:
        UsageError: `group_size` is below 1.
    """
    if group_size < 1:
        raise UsageError(f"group_size must be at least 1, not {group_size}")
    seen: Counter[str] = Counter()
    found: list[Attempt] = []
    for task in tasks:
        seen[task.id] += 1
        again = f"~{seen[task.id]}" if seen[task.id] > 1 else ""
        group = f"{prefix}{task.id}{again}"
        env_seed = derive(seed, "env", group)
        for k in range(group_size):
            name = f"{group}#{k}"
            found.append(Attempt(name, task, group, k, derive(seed, name), env_seed))
    return found
