"""What kinds of tasks there are, and how each fares.

Environments keep what they know of a task in its private data, under words such as `type` or `difficulty`; one that
keeps it elsewhere names a function in its spec (`EnvSpec.kinds`). Only these words leave here, never an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, cast

from agentgym import registry
from agentgym.errors import UsageError
from agentgym.evaluate.statistics import effective_attempts, wilson
from agentgym.evaluate.turns import fault_of
from agentgym.types import Ending, Task, Trajectory

KEYS = ("type", "kind", "category", "domain", "twist", "difficulty", "level", "hops", "engine", "repo")
"""Where tasks say what kind they are of, at the top of their data or one table deeper; the most telling first."""
MOST = 24
"""A property with more different values than this tells tasks apart and not kinds."""

Kinds = Mapping[str, str]
"""Of a task: by property, which kind it is of."""


@dataclass(frozen=True, slots=True)
class Part:
    """How some of the attempts fared. Means are over them."""

    attempts: int
    tasks: int
    success: float
    interval: tuple[float, float]
    """Of the success, 95 %."""
    score: float
    turns: float
    valid_actions: float | None
    """Share of their turns without a fault; `None` without a turn."""

    @classmethod
    def of(cls, played: Sequence[Trajectory]) -> Part:
        """Of attempts that count, at least one."""
        groups: dict[str, list[bool]] = {}
        for t in played:
            groups.setdefault(t.group, []).append(t.success)
        tallies = [(len(wins), sum(wins)) for wins in groups.values()]
        effective = effective_attempts(tallies)
        rate = fmean(float(t.success) for t in played)
        turns = [fault_of(turn) is None for t in played for turn in t.turns]
        return cls(
            attempts=len(played),
            tasks=len(groups),
            success=rate,
            interval=wilson(rate * effective, effective),
            score=fmean(t.score for t in played),
            turns=fmean(len(t.turns) for t in played),
            valid_actions=fmean(turns) if turns else None,
        )


def kinds_of(tasks: Iterable[Task], env: str) -> dict[str, Kinds]:
    """By task id: the kinds that each task is of; empty for tasks that say nothing.

    Args:
        tasks: which.
        env: whose they are; its `kinds` function is asked where it has one.

    Raises:
        UnknownNameError: there is no such environment.
        UsageError: its function gives something else than a word or a table of words.
    """
    spec = registry.spec(env)
    ask: Callable[[Task], Any] = in_data if spec.kinds is None else registry.resolve(spec.kinds, spec.extra)
    return {task.id: _words(ask(task), env) for task in tasks}


def in_data(task: Task) -> dict[str, str]:
    """What the data of a task says in the usual words.

    >>> in_data(Task("t", data={"game": {"engine": "cooking"}, "difficulty": 2, "answer": "x"}))
    {'difficulty': '2', 'engine': 'cooking'}
    """
    tables: list[Mapping[str, Any]] = [task.data]
    tables += [cast(Mapping[str, Any], value) for value in task.data.values() if isinstance(value, Mapping)]
    found: dict[str, str] = {}
    for key in KEYS:
        for table in tables:
            value = table.get(key)
            if key not in found and isinstance(value, str | int) and 0 < len(str(value)) <= 60:
                found[key] = str(value)
    return found


def breakdown(played: Sequence[Trajectory], kinds: Mapping[str, Kinds]) -> dict[str, dict[str, Part]]:
    """How the attempts fared by kind of task: for each property that has from 2 to 24 values here, by value.

    Args:
        played: the attempts that count.
        kinds: of each task, as `kinds_of` gives them.
    """
    parts: dict[str, dict[str, list[Trajectory]]] = {}
    for t in played:
        for name, kind in kinds.get(t.task_id, {}).items():
            parts.setdefault(name, {}).setdefault(kind, []).append(t)
    return {
        name: {kind: Part.of(group) for kind, group in sorted(found.items(), key=lambda item: _order(item[0]))}
        for name, found in parts.items()
        if 2 <= len(found) <= MOST
    }


def by_ending(played: Iterable[Trajectory]) -> dict[str, Part]:
    """How the attempts that count fared by how they ended, in the order of `Ending`."""
    parts: dict[Ending, list[Trajectory]] = {}
    for t in played:
        if t.ending is not Ending.INFRA_ERROR:
            parts.setdefault(t.ending, []).append(t)
    return {ending.value: Part.of(parts[ending]) for ending in Ending if ending in parts}


def _order(kind: str) -> tuple[bool, float, str]:
    """Numbers by size, words after them."""
    return (False, float(kind), kind) if kind.isdecimal() else (True, 0.0, kind)


def _words(said: Any, env: str) -> Kinds:
    if isinstance(said, str):
        return {"kind": said}
    if isinstance(said, Mapping):
        return {str(name): str(kind) for name, kind in cast(Mapping[Any, Any], said).items()}
    raise UsageError(f"{env}: kinds must give a word or a table of words for a task, not {type(said).__name__}")
