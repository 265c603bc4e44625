"""The engine: many episodes in flight, each at its own pace, and every one ends in a typed way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from agentgym import dialects, registry
from agentgym.dialects import Dialect
from agentgym.errors import InfraError, PolicyError, UsageError
from agentgym.host import Host, HostLostError, HostPool, Hosts, HostSpentError
from agentgym.limits import Limits
from agentgym.policy import Policy, Sampling
from agentgym.rollout.attempts import Attempt
from agentgym.rollout.batcher import desk
from agentgym.rollout.episode import Episode, Plan
from agentgym.types import Ending, Trajectory, Turn

Schedule = Literal["eager", "ordered"]
log = logging.getLogger("agentgym.rollout")

ALONE_AFTER = 3
"""After so many tries lost to a neighbour's crash, an attempt gets a host of its own."""


async def rollout(
    attempts: Iterable[Attempt],
    *,
    env: str,
    policy: Policy,
    limits: Limits | None = None,
    sampling: Sampling | None = None,
    dialect: str | Dialect | None = None,
    hosts: Hosts | None = None,
    slots: int = 64,
    retries: int = 2,
    backoff: float = 0.1,
    schedule: Schedule = "eager",
    system: str = "",
    on_turn: Callable[[Attempt, Turn], None] | None = None,
    on_trajectory: Callable[[Trajectory], None] | None = None,
) -> AsyncGenerator[Trajectory, None]:
    """Play attempts and yield their trajectories as they end.

    Episodes run independently of each other: none waits for another's environment. An infra error (environment
    crashed, hung, policy server gone) throws the host away and plays the attempt again from the start on a fresh one;
    when the retries are used up the trajectory ends as `INFRA_ERROR` and the rest goes on. An exception of the policy
    other than `PolicyError` is a bug, not a broken world: it ends the rollout and is raised here.

    Leaving the iterator early (`aclose`, cancellation, Ctrl-C) cancels what is in flight; with no `hosts` given,
    the processes made for it are gone as well.

    Args:
        attempts: what to play, admitted in this order; may be lazy.
        env: id of the environment, recorded in each trajectory.
        policy: who acts.
        limits: when an episode is cut; the environment's own number of turns by default.
        sampling: how to draw tokens.
        dialect: how text becomes an action, by name or as an object; the environment's own by default.
        hosts: where environments run; a pool for `env` is made, and closed at the end, if not given.
        slots: episodes in flight.
        retries: fresh environments tried after an attempt's own infra errors. A try that was lost because a
            neighbour in the same process crashed or hung is played again without being counted against it.
        backoff: seconds before the first retry, doubled for each further one.
        schedule: `"eager"`, or `"ordered"` where a batch policy's batches, and so its bits, must not depend on timing.
        system: put before the task's prompt in the system message.
        on_turn: called with each turn as it is played (turns of a try that breaks later included).
        on_trajectory: called with each trajectory as it ends.

    Raises:
        UsageError: a task or an option is wrong, or the policy broke its contract.
    """
    if slots < 1 or retries < 0:
        raise UsageError(f"slots must be at least 1 and retries at least 0, not {slots} and {retries}")
    if schedule not in ("eager", "ordered"):
        raise UsageError(f"schedule must be 'eager' or 'ordered', not {schedule!r}")
    limits = limits or Limits()
    if dialect is None or limits.turns is None:  # an episode without end would be a rollout without end
        spec = registry.spec(env)
        dialect, limits = dialect or spec.dialect, replace(limits, turns=limits.turns or spec.max_turns)
    plan = Plan(
        env=env,
        policy=policy,
        desk=desk(policy, schedule == "ordered"),
        limits=limits,
        sampling=sampling or Sampling(),
        dialect=dialects.get(dialect) if isinstance(dialect, str) else dialect,
        system=system,
        on_turn=on_turn,
    )
    pool = HostPool(env) if hosts is None else hosts
    # An episode that waits for a host would keep the others waiting in an ordered round: never more slots than hosts.
    count = slots if pool.size is None else min(slots, pool.size)
    queue = iter(enumerate(attempts))
    done: asyncio.Queue[Trajectory | BaseException | None] = asyncio.Queue()
    plan.desk.join(count)
    workers = [asyncio.create_task(_slot(plan, queue, pool, retries, backoff, done)) for _ in range(count)]
    try:
        while count:
            ended = await done.get()
            if ended is None:
                count -= 1
            elif isinstance(ended, BaseException):
                raise ended
            else:
                if on_trajectory is not None:
                    on_trajectory(ended)
                yield ended
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await plan.desk.close()
        if hosts is None:
            pool.close()


def collect(
    attempts: Iterable[Attempt],
    *,
    env: str,
    policy: Policy,
    limits: Limits | None = None,
    sampling: Sampling | None = None,
    dialect: str | Dialect | None = None,
    hosts: Hosts | None = None,
    slots: int = 64,
    retries: int = 2,
    backoff: float = 0.1,
    schedule: Schedule = "eager",
    system: str = "",
    on_turn: Callable[[Attempt, Turn], None] | None = None,
    on_trajectory: Callable[[Trajectory], None] | None = None,
) -> list[Trajectory]:
    """`rollout` for callers without an event loop: all trajectories, in the order of the attempts.

    Raises:
        UsageError: as `rollout`, or called from within an event loop.
    """
    listed = list(attempts)
    if len({attempt.id for attempt in listed}) != len(listed):
        raise UsageError("collect: two attempts have the same id; give each call of `attempts` its own prefix")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise UsageError("collect cannot be called inside an event loop; use `async for ... in rollout(...)`")

    async def gather() -> dict[str, Trajectory]:
        episodes = rollout(
            listed,
            env=env,
            policy=policy,
            limits=limits,
            sampling=sampling,
            dialect=dialect,
            hosts=hosts,
            slots=slots,
            retries=retries,
            backoff=backoff,
            schedule=schedule,
            system=system,
            on_turn=on_turn,
            on_trajectory=on_trajectory,
        )
        try:
            async with aclosing(episodes):
                return {trajectory.id: trajectory async for trajectory in episodes}
        finally:
            # A policy with connections cannot close them any more when this loop is gone.
            disconnect = getattr(policy, "disconnect", None)
            if disconnect is not None:
                await disconnect()

    found = asyncio.run(gather())
    return [found[attempt.id] for attempt in listed]


async def _slot(
    plan: Plan,
    queue: Iterator[tuple[int, Attempt]],
    hosts: Hosts,
    retries: int,
    backoff: float,
    done: asyncio.Queue[Trajectory | BaseException | None],
) -> None:
    """Play one attempt after the other until none is left. The end, or what broke, goes through `done` as well."""
    try:
        for rank, attempt in queue:
            done.put_nowait(await _attempt(plan, attempt, rank, hosts, retries, backoff))
            await asyncio.sleep(0)  # cheap episodes never suspend: let the consumer and the other slots in
        done.put_nowait(None)
    except Exception as error:
        done.put_nowait(error)
    finally:
        plan.desk.leave()


async def _attempt(plan: Plan, attempt: Attempt, rank: int, hosts: Hosts, retries: int, backoff: float) -> Trajectory:
    """Play one attempt, again on a fresh host after each infra error, up to `retries` times."""
    own = crashes = lost = 0
    while True:
        episode = Episode(plan, attempt, rank)
        host: Host | None = None
        broken = True
        alone = crashes > 0 or lost >= ALONE_AFTER  # what crashed once shall take no neighbour with it again
        try:
            host = await hosts.acquire(alone)
            ending, last = await episode.run(host)
            broken = False
            return episode.trajectory(ending, last, own + lost)
        except InfraError as error:
            broken = not isinstance(error, PolicyError)
            if isinstance(error, HostLostError) and not alone:
                lost = ALONE_AFTER if isinstance(error, HostSpentError) else lost + 1
            else:
                own += 1
                crashes += broken
            log.warning("%s, turn %d: %s", attempt.id, len(episode.turns), error)
            if own > retries:
                return episode.trajectory(Ending.INFRA_ERROR, None, own + lost - 1, f"{type(error).__name__}: {error}")
        finally:
            plan.policy.forget(attempt.id)
            if host is not None:
                hosts.release(host, broken)
        if own:
            await asyncio.sleep(backoff * 2 ** (own - 1))
