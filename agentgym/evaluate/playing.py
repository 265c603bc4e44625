"""Playing an evaluation: one policy (`evaluate`), or several side by side at the same tasks and seeds (`play`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from agentgym.errors import UsageError
from agentgym.evaluate.budget import Budget
from agentgym.evaluate.kinds import kinds_of
from agentgym.evaluate.result import EvalResult, metrics_of, summarise
from agentgym.host import HostPool, Hosts
from agentgym.limits import Limits
from agentgym.policy import Policy, Sampling
from agentgym.progress import Progress, Silent
from agentgym.rollout import Attempt, rollout
from agentgym.rollout import attempts as make_attempts
from agentgym.types import Ending, Task, Trajectory


@dataclass(frozen=True, slots=True)
class Setting:
    """What all contestants share."""

    env: str
    limits: Limits | None = None
    sampling: Sampling | None = None
    dialect: str | None = None
    system: str = ""
    slots: int = 64
    """Attempts in flight, of each contestant."""
    retries: int = 2


def play(
    contestants: Mapping[str, Policy],
    todo: Sequence[Attempt],
    setting: Setting,
    hosts: Hosts,
    *,
    budget: Budget | None = None,
    done: Mapping[str, Mapping[str, Trajectory]] | None = None,
    progress: Progress | None = None,
    on_trajectory: Callable[[str, Trajectory], None] | None = None,
) -> dict[str, list[Trajectory]]:
    """Every contestant plays every attempt, all at once.

    Args:
        contestants: policies by label.
        todo: what is played: the same for all, seeds included.
        setting: what else they share.
        hosts: where environments run.
        budget: limits on everything together: when one is reached, no further attempt begins.
        done: by label, what was played before, by the attempt's id: it is taken as it is.
        progress: hears of every attempt that ends.
        on_trajectory: called with the label and each new trajectory as it ends.

    Returns:
        The trajectories of each, in the order of `todo`; those that a limit kept from being played are missing.

    Raises:
        UsageError: an option is wrong, or this is called within an event loop.
    """
    if len({attempt.id for attempt in todo}) != len(todo):
        raise UsageError("two attempts have the same id; give each call of `attempts` its own prefix")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise UsageError("an evaluation cannot be started inside an event loop")
    budget, bar = budget or Budget(), progress or Silent()
    found = {label: {a.id: t for a in todo if (t := (done or {}).get(label, {}).get(a.id))} for label in contestants}
    shown = _Shown(list(contestants))
    bar.start("evaluate", sum(len(todo) - len(played) for played in found.values()))

    async def one(label: str, policy: Policy) -> None:
        waiting = [attempt for attempt in todo if attempt.id not in found[label]]
        episodes = rollout(
            budget.admit(waiting),
            env=setting.env,
            policy=policy,
            limits=setting.limits,
            sampling=setting.sampling,
            dialect=setting.dialect,
            hosts=hosts,
            slots=setting.slots,
            retries=setting.retries,
            system=setting.system,
            on_turn=lambda attempt, turn: budget.turn(label, attempt, turn),
        )
        async with aclosing(episodes):
            async for trajectory in episodes:
                found[label][trajectory.id] = trajectory
                budget.ended(label, trajectory)
                if on_trajectory is not None:
                    on_trajectory(label, trajectory)
                bar.advance(1, **shown.add(label, trajectory))

    async def everyone() -> None:
        tasks = [asyncio.create_task(one(label, policy)) for label, policy in contestants.items()]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(everyone())
    return {label: [played[a.id] for a in todo if a.id in played] for label, played in found.items()}


def evaluate(
    env: str,
    policy: Policy,
    tasks: Sequence[Task],
    *,
    attempts: int = 1,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    sampling: Sampling | None = None,
    dialect: str | None = None,
    system: str = "",
    hosts: Hosts | None = None,
    processes: int = 2,
    slots: int = 64,
    retries: int = 2,
    progress: Progress | None = None,
    on_trajectory: Callable[[Trajectory], None] | None = None,
) -> EvalResult:
    """Play `attempts` attempts at each task and sum them up.

    Args:
        env: environment id.
        policy: who plays.
        tasks: what is played.
        attempts: at each task; more than one gives pass@k.
        seed: of sampling and of the environments.
        options: of the environment.
        limits: when an attempt is cut off; the environment's own number of turns if not given.
        sampling: how tokens are drawn; greedy by default for one attempt, temperature 1 for more.
        dialect: how text becomes an action; the environment's own if not given.
        system: put before each task's prompt.
        hosts: where environments run; a pool is made and closed if not given.
        processes: worker processes of that pool, where the environment runs in processes.
        slots: attempts in flight.
        retries: fresh environments tried after an infra error.
        progress: hears of every attempt that ends.
        on_trajectory: called with every trajectory as it ends.

    Raises:
        UsageError: an option is wrong.
    """
    todo = make_attempts(tasks, attempts, seed)
    drawn = sampling or Sampling(temperature=0.0 if attempts == 1 else 1.0)
    pool = hosts or HostPool(env, dict(options or {}), processes=processes)
    try:
        played = play(
            {"policy": policy},
            todo,
            Setting(env, limits, drawn, dialect, system, slots, retries),
            pool,
            progress=progress,
            on_trajectory=None if on_trajectory is None else lambda _, trajectory: on_trajectory(trajectory),
        )
    finally:
        if hosts is None:
            pool.close()
    return summarise(played["policy"], metrics_of(env), kinds_of(tasks, env))


class _Shown:
    """The numbers beside the bar: success and reward of one contestant, the success of each of several."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._sums = {label: [0, 0.0, 0.0] for label in labels}

    def add(self, label: str, trajectory: Trajectory) -> dict[str, float]:
        sums = self._sums[label]
        if trajectory.ending is not Ending.INFRA_ERROR:
            sums[0], sums[1], sums[2] = sums[0] + 1, sums[1] + trajectory.success, sums[2] + trajectory.score
        if len(self._sums) == 1:
            return {"success": sums[1] / sums[0], "reward": sums[2] / sums[0]} if sums[0] else {}
        return {name: wins / n for name, (n, wins, _) in self._sums.items() if n}
