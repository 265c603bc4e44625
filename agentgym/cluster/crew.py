"""Hands attempts to workers, one by one, and to another worker when theirs is gone.

Each attempt is one call of one worker at a time, and the first reply to its newest call is its result: none can be
lost, none counted twice. A worker gets its next attempt when it has finished one, so a slow worker holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentgym.cluster.connect import Connection
from agentgym.cluster.incidents import Incidents
from agentgym.cluster.sampler import Box
from agentgym.cluster.weights import Weights
from agentgym.cluster.worker import Reply
from agentgym.errors import InfraError, UsageError
from agentgym.policy import Sampling
from agentgym.rollout import Attempt
from agentgym.types import Ending, Trajectory

ALONE_AFTER = 1
"""After so many workers lost, an attempt gets a whole worker: if it is what kills them, it takes no other along."""
LOST_LIMIT = 3
"""After so many workers lost, an attempt is recorded as an infra error."""
RETRY = 0.2
"""Seconds between two looks at a worker that is being restarted."""


@dataclass(eq=False)
class Member:
    """A worker, as the crew sees it."""

    name: str
    actor: Any
    free: int = 0
    """Attempts that it can take."""
    up: bool = False
    gone: bool = False
    """Ray starts it no more."""
    life: int = 0
    """How many times it has come up; what belongs to an earlier life is settled already."""


class Crew:
    """The rollout workers of a run. All coroutines belong to one event loop."""

    def __init__(
        self,
        connection: Connection,
        actors: Sequence[Any],
        incidents: Incidents,
        *,
        env: str,
        slots: int,
        deadline: float,
        wait: float,
    ) -> None:
        """Args: `actors` of `RolloutWorker`; `env` the environment's id; `slots` attempts at once in each; `deadline`
        seconds for one attempt; `wait` seconds without any worker until the run stops."""
        self._ray, self._incidents = connection.ray, incidents
        self._env, self._slots, self._deadline, self._wait = env, slots, deadline, wait
        self.members = [Member(f"rollout worker {number}", actor) for number, actor in enumerate(actors)]
        self._queue: deque[tuple[bool, asyncio.Future[tuple[Member, int]]]] = deque()
        self._edition, self._box = 0, Box()
        self._failure: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def up(self) -> int:
        """Workers that are at work."""
        return sum(member.up for member in self.members)

    async def start(self) -> None:
        """Wait for the first worker; the others join as Ray places them.

        Raises:
            UsageError: a worker cannot open what the recipe asks for.
            InfraError: Ray has placed none within the time.
        """
        for member in self.members:
            self._spawn(self._revive(member))
        self._spawn(self._watch())
        await self._take(False, back=True)

    async def publish(self, weights: Weights, push: bool) -> None:
        """Have attempts that begin from now on played with these weights.

        Args:
            weights: of the model that learns.
            push: send them to workers at once, so that attempts in flight go on with them.
        """
        self._edition += 1
        self._box = [self._ray.put(weights)]
        if push:
            for member in self.members:
                if member.up:
                    member.actor.load.remote(self._edition, self._box)

    async def play(self, attempt: Attempt, sampling: Sampling) -> Trajectory:
        """Have an attempt played, again from its start on another worker when its own is lost.

        Raises:
            UsageError: a worker says that the recipe is wrong.
            InfraError: no worker is left, or weights do not arrive whole.
        """
        lost = 0
        while True:
            alone, why = lost >= ALONE_AFTER, ""
            member, life = await self._take(alone)
            try:
                call = member.actor.play.remote(attempt, sampling, self._edition, self._box)
                reply: Reply = await asyncio.wait_for(call, self._deadline)
            except TimeoutError:
                self._ray.kill(member.actor, no_restart=False)
                why = f"hung: attempt {attempt.id} took longer than {self._deadline:g} s"
            except self._ray.exceptions.RayTaskError:
                raise  # A bug in a policy or an environment's host, as it would be raised here.
            except self._ray.exceptions.RayError as error:
                why = f"gone ({type(error).__name__})"
            else:
                for kind, text in reply.losses:
                    self._incidents.report(kind, text)
                if reply.trajectory is not None:
                    return reply.trajectory
                kind, text = reply.error or ("InfraError", "it gave no reason")
                if kind == "UsageError":
                    raise UsageError(text)
                if lost + 1 >= LOST_LIMIT:
                    raise InfraError(f"{member.name}: {text}")
                why = text
            finally:
                if why:
                    self._lose(member, life, why)
                self._give(member, life, alone)
            lost += 1
            self._incidents.report("replayed_attempts", f"attempt {attempt.id} is played again: {member.name} {why}")
            if lost >= LOST_LIMIT:
                return _broken(attempt, self._env, lost, why)

    async def close(self) -> None:
        """Cancel what watches the workers; they themselves belong to whoever made them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Who is free ----------------------------------------------------------------------------------------------------

    async def _take(self, alone: bool, back: bool = False) -> tuple[Member, int]:
        """A worker with room, in the order in which it was asked for; `back` gives the room back at once."""
        if self._failure is not None:
            raise self._failure
        future: asyncio.Future[tuple[Member, int]] = asyncio.get_running_loop().create_future()
        # What has lost its worker is asked for first: everybody else of its group may be waiting for it.
        (self._queue.appendleft if alone else self._queue.append)((alone, future))
        self._serve()
        member, life = await future
        if back:
            self._give(member, life, alone)
        return member, life

    def _give(self, member: Member, life: int, alone: bool) -> None:
        if member.life == life and member.up:
            member.free += self._slots if alone else 1
        self._serve()

    def _serve(self) -> None:
        """Give room to who waits. One that needs a whole worker keeps its turn until there is one."""
        while self._queue:
            alone, future = self._queue[0]
            if not future.done():
                need = self._slots if alone else 1
                member = max((m for m in self.members if m.up), key=lambda m: m.free, default=None)
                if member is None or member.free < need:
                    return
                member.free -= need
                future.set_result((member, member.life))
            self._queue.popleft()

    # Who lives ------------------------------------------------------------------------------------------------------

    def _lose(self, member: Member, life: int, why: str) -> None:
        """The worker is gone: counted once, however many attempts notice."""
        if member.life == life and member.up:
            member.up, member.free = False, 0
            left = self.up
            self._incidents.report("lost_workers", f"{member.name} is lost, {left} of {len(self.members)} left: {why}")
            self._spawn(self._revive(member))

    async def _revive(self, member: Member) -> None:
        """Wait until Ray has placed the worker (again), and give it work."""
        exceptions = self._ray.exceptions
        while True:
            try:
                said: str = await member.actor.hello.remote()
            except exceptions.RayTaskError as error:
                self._fail(UsageError(f"{member.name} cannot begin: {error}"))
                return
            except (exceptions.ActorDiedError, exceptions.ActorUnschedulableError) as error:
                member.gone = True
                self._incidents.report("lost_workers", f"{member.name} is not started again ({type(error).__name__})")
                if all(each.gone for each in self.members):
                    self._fail(InfraError(f"none of {len(self.members)} rollout workers is left: {_first_line(error)}"))
                return
            except exceptions.RayError:
                await asyncio.sleep(RETRY)
                continue
            if said:
                self._fail(UsageError(f"{member.name} cannot begin: {said}"))
                return
            member.life += 1
            member.up, member.free = True, self._slots
            self._serve()
            return

    async def _watch(self) -> None:
        """Stop the run when for too long no worker was at work."""
        idle = 0.0
        while True:
            await asyncio.sleep(RETRY)
            idle = 0.0 if self.up else idle + RETRY
            if idle >= self._wait:
                self._fail(
                    InfraError(
                        f"no rollout worker for {self._wait:g} s: the cluster has no room for even one of "
                        f"{len(self.members)}, or lost its nodes; add nodes, or lower cluster.cpus or cluster.gpus, "
                        "then `agentgym resume` goes on"
                    )
                )
                return

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        while self._queue:
            _, future = self._queue.popleft()
            if not future.done():
                future.set_exception(self._failure)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _broken(attempt: Attempt, env: str, lost: int, why: str) -> Trajectory:
    """The record of an attempt that no worker survived: never trained on, never scored."""
    return Trajectory(
        id=attempt.id,
        env=env,
        task_id=attempt.task.id,
        group=attempt.group,
        attempt=attempt.attempt,
        seed=attempt.env_seed,
        turns=(),
        ending=Ending.INFRA_ERROR,
        error=f"InfraError: {lost} workers were lost while they played it, the last one: {why}",
        retries=lost - 1,
        split=attempt.task.split,
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
