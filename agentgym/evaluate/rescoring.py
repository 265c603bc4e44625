"""Grading stored trajectories again: their actions are replayed in the environment, and nobody is asked for new ones.

An attempt is what its task, its seed and its actions make of it, where the environment is deterministic. So a change in
the rules of the rewards, in a grader, or in an option shows in old attempts, without a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentgym import registry
from agentgym.env import Ability
from agentgym.errors import InfraError, UsageError
from agentgym.host import Host, HostPool
from agentgym.rollout.episode import ending_of
from agentgym.types import Ending, Observation, Step, Task, Trajectory, Turn

TOLERANCE = 1e-9
"""Rewards that differ by less are the same."""
LIMITS = (Ending.OUT_OF_TURNS, Ending.OUT_OF_TOKENS, Ending.OUT_OF_TIME)


@dataclass(frozen=True, slots=True)
class Rescored:
    """One attempt, before and after."""

    before: Trajectory
    after: Trajectory
    """The same turns with what the environment says now; `before` where it could not be replayed."""
    changed: tuple[str, ...] = ()
    """Which of `success`, `ending`, `score`, `rewards`, `turns` are different."""
    observations: int = 0
    """Turns after which the environment says something else: the actions after them were chosen for other words."""
    why: str | None = None
    """Why it could not be replayed."""


def refuse(env: str) -> None:
    """Raises a `UsageError` for an environment whose record does not determine what happens."""
    if Ability.DETERMINISTIC not in registry.spec(env).abilities:
        raise UsageError(
            f"{env} cannot be replayed: it is not deterministic, so the actions on record do not determine what "
            "happens; --metrics computes the metrics of what is on record"
        )


def tasks_by_id(env: str, played: Iterable[Trajectory], options: Mapping[str, Any]) -> dict[str, Task]:
    """The tasks of trajectories; those that the environment no longer has are missing.

    Raises:
        UsageError: an option is wrong.
    """
    wanted: dict[str, set[str]] = {}
    for t in played:
        wanted.setdefault(t.split, set()).add(t.task_id)
    found: dict[str, Task] = {}
    for split, ids in wanted.items():
        left = set(ids)
        for task in registry.tasks(env, split, **options):
            if task.id in left:
                found[task.id] = task
                left.discard(task.id)
            if not left:
                break
    return found


def rescore(
    env: str,
    played: Sequence[Trajectory],
    options: Mapping[str, Any],
    *,
    slots: int = 16,
    on_done: Callable[[Rescored], None] | None = None,
) -> list[Rescored]:
    """Replay trajectories in the environment as it is now.

    Those that met an infra error have nothing to be graded, those whose task is gone cannot be replayed: both come back
    as they were, and say why. An attempt that was cut by a limit keeps that ending, unless it ends before.

    Args:
        env: environment id.
        played: the trajectories.
        options: of the environment, as it is now.
        slots: attempts in flight.
        on_done: called with each as it is done.

    Raises:
        UsageError: the environment is not deterministic, or an option is wrong.
    """
    refuse(env)
    tasks = tasks_by_id(env, played, options)
    hosts = HostPool(env, options, processes=2, size=slots)

    async def one(trajectory: Trajectory) -> Rescored:
        if trajectory.ending is Ending.INFRA_ERROR:
            return Rescored(trajectory, trajectory, why="it met an infra error")
        task = tasks.get(trajectory.task_id)
        if task is None:
            return Rescored(trajectory, trajectory, why="the environment no longer has its task")
        broken, host = True, None
        try:
            host = await hosts.acquire()
            done = await _replay(host, task, trajectory)
            broken = False
            return done
        except InfraError as error:
            return Rescored(trajectory, trajectory, why=f"{type(error).__name__}: {error}")
        finally:
            if host is not None:
                hosts.release(host, broken)

    async def everyone() -> list[Rescored]:
        gate = asyncio.Semaphore(slots)

        async def next_one(trajectory: Trajectory) -> Rescored:
            async with gate:
                done = await one(trajectory)
            if on_done is not None:
                on_done(done)
            await asyncio.sleep(0)
            return done

        return list(await asyncio.gather(*(next_one(trajectory) for trajectory in played)))

    try:
        return asyncio.run(everyone())
    finally:
        hosts.close()


async def _replay(host: Host, task: Task, before: Trajectory) -> Rescored:
    said = await host.reset(task, before.seed)
    other = int(bool(before.turns) and not _alike(said, before.turns[0].observation))
    turns: list[Turn] = []
    ending: Ending | None = None
    step: Step | None = None
    for number, turn in enumerate(before.turns):
        if turn.action is None:  # The environment never saw it: what was answered then was the dialect's.
            turns.append(turn)
            continue
        step = await host.step(turn.action)
        info = {key: value for key, value in step.info.items() if key != "rewards"}
        rewards: Mapping[str, float] = step.info.get("rewards") or {}
        turns.append(replace(turn, reward=float(step.reward), rewards=rewards, info=info))
        following = before.turns[number + 1].observation if number + 1 < len(before.turns) else before.final
        other += following is not None and not _alike(step.observation, following)
        if step.terminated or step.truncated:
            ending = ending_of(step)
            break
    if ending is None:
        # Nothing more is on record: a limit that cut the attempt cuts it again, and what ended it before does not now.
        ending = before.ending if before.ending in LIMITS else Ending.OUT_OF_TURNS
    total = sum(turn.reward for turn in turns)
    after = replace(
        before,
        turns=tuple(turns),
        ending=ending,
        final=before.final if step is None or turns[-1].action is None else step.observation,
        score=float((step.info if step is not None else {}).get("outcome", total)),
        success=ending is Ending.SUCCESS,
    )
    return Rescored(before, after, _changes(before, after), other)


def _changes(before: Trajectory, after: Trajectory) -> tuple[str, ...]:
    found = {
        "success": before.success != after.success,
        "ending": before.ending is not after.ending,
        "score": abs(before.score - after.score) > TOLERANCE,
        "rewards": any(_other(a, b) for a, b in zip(before.turns, after.turns, strict=False)),
        "turns": len(before.turns) != len(after.turns),
    }
    return tuple(name for name, changed in found.items() if changed)


def _other(a: Turn, b: Turn) -> bool:
    """Whether the rewards of a turn differ."""
    if abs(a.reward - b.reward) > TOLERANCE or a.rewards.keys() != b.rewards.keys():
        return True
    return any(abs(a.rewards[name] - b.rewards[name]) > TOLERANCE for name in a.rewards)


def _alike(a: Observation, b: Observation) -> bool:
    return (a.text, a.role) == (b.text, b.role)
