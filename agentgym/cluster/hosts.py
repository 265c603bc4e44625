"""Environments on other machines: an actor that holds a pool of them, and the pool that rollouts see.

For environments that are heavy (containers, engines) and need machines of their own. A step is one call of the actor;
what an environment does to its process stays there.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from agentgym.cluster.connect import library
from agentgym.errors import EnvCrashedError, EnvTimeoutError, InfraError, UsageError
from agentgym.host import Host, HostLostError, HostPool
from agentgym.recipe import Recipe
from agentgym.types import Observation, Step, Task

RETRY = 0.2
"""Seconds between two looks for a host actor that lives."""
SLACK = 30.0
"""Seconds that an answer may be under way beyond the environment's own deadline."""
ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (UsageError, HostLostError, EnvTimeoutError, EnvCrashedError, InfraError)
}


def pool(recipe: Recipe, default: str) -> HostPool:
    """The pool of environments that a recipe asks for, in this process; `default` is the environment's own kind."""
    return HostPool(
        recipe.env.id,
        dict(recipe.env.options),
        kind=default if recipe.rollout.host == "auto" else recipe.rollout.host,
        processes=recipe.rollout.processes,
        step_deadline=recipe.rollout.step_deadline,
    )


def tell(error: Exception) -> tuple[str, str]:
    """An error as it goes over the wire: errors with arguments of their own do not survive pickling."""
    kind = next((name for name, cls in ERRORS.items() if isinstance(error, cls)), EnvCrashedError.__name__)
    return kind, str(error)


class HostActor:
    """Holds environments; becomes a Ray actor. `hello`, then `call` with a key that names the environment."""

    def __init__(self, recipe: Recipe, default: str) -> None:
        self._pool = pool(recipe, default)
        self._hosts: dict[str, Host] = {}

    async def hello(self) -> str:
        """Nothing to complain of."""
        return ""

    async def call(self, key: str, operation: str, *values: Any) -> tuple[str, Any]:
        """`("", result)` of `acquire`, `reset`, `step`, `oracle` or `release`, or an error's name and text."""
        try:
            if operation == "acquire":
                self._hosts[key] = await self._pool.acquire(*values)
            elif operation == "release":
                host = self._hosts.pop(key, None)
                if host is not None:
                    self._pool.release(host, *values)
            elif key not in self._hosts:  # This process is a new one; the environment was in the one before.
                return HostLostError.__name__, "the environment was lost with its host"
            else:
                return "", await getattr(self._hosts[key], operation)(*values)
        except (UsageError, InfraError) as error:
            return tell(error)
        return "", None

    def close(self) -> None:
        """End the environments and their processes."""
        self._pool.close()


class RemoteHost:
    """One environment in a host actor."""

    def __init__(self, actor: Any, key: str, deadline: float) -> None:
        self._actor, self._key, self._deadline = actor, key, deadline
        self._ray = library()
        self.lost = ""
        """Why it is gone, once its actor is."""

    async def acquire(self, alone: bool) -> None:
        """Have the actor make room for it."""
        await self._ask("acquire", alone)

    async def reset(self, task: Task, seed: int) -> Observation:
        """See `Host.reset`."""
        return await self._ask("reset", task, seed)

    async def step(self, action: str) -> Step:
        """See `Host.step`."""
        return await self._ask("step", action)

    async def oracle(self) -> str | None:
        """See `Host.oracle`."""
        return await self._ask("oracle")

    def close(self) -> None:
        """Have the actor drop it."""
        self.release(True)

    def release(self, broken: bool) -> None:
        """Give it back; nobody waits for that."""
        self._actor.call.remote(self._key, "release", broken)

    async def _ask(self, operation: str, *values: Any) -> Any:
        try:
            kind, value = await asyncio.wait_for(self._actor.call.remote(self._key, operation, *values), self._deadline)
        except TimeoutError:
            self._ray.kill(self._actor, no_restart=False)
            self.lost = "hung"
            raise EnvTimeoutError(
                f"{operation} did not answer within {self._deadline:g} s; its host was killed"
            ) from None
        except self._ray.exceptions.RayError as error:
            self.lost = type(error).__name__
            raise HostLostError(f"{operation}: the environment's host is gone ({type(error).__name__})") from error
        if kind:
            raise ERRORS.get(kind, EnvCrashedError)(value)
        return value


class RemoteHosts:
    """A pool over host actors, in turn; an actor that does not answer is passed over (see `agentgym.host.Hosts`)."""

    size: int | None = None

    def __init__(self, actors: Sequence[Any], deadline: float, wait: float, report: Callable[[str, str], None]) -> None:
        """Args: `actors` of `HostActor`; `deadline` seconds for one call, the environment's own included; `wait`
        seconds for an actor that is being restarted; `report` is told each loss, kind and sentence."""
        self._actors, self._deadline, self._wait, self._report = list(actors), deadline, wait, report
        self._turn = itertools.count()
        # Keys must differ between all pools that share an actor, and between lives of this process.
        self._base = uuid.uuid4().hex[:12]

    async def acquire(self, alone: bool = False) -> Host:
        """A host on the next actor that answers.

        Raises:
            EnvCrashedError: none answers.
        """
        until = time.monotonic() + self._wait
        while True:
            reason = "there is none"
            for _ in self._actors:
                turn = next(self._turn)
                at = turn % len(self._actors)
                host = RemoteHost(self._actors[at], f"{self._base}-{turn}", self._deadline)
                try:
                    await host.acquire(alone)
                    return host
                except InfraError as error:
                    reason = f"environment host {at}: {error}"
            if time.monotonic() >= until:
                raise EnvCrashedError(f"no environment host answers: {reason}")
            await asyncio.sleep(RETRY)

    def release(self, host: Host, broken: bool = False) -> None:
        """See `Hosts.release`."""
        assert isinstance(host, RemoteHost)
        if host.lost:
            self._report("lost_hosts", f"an environment's host is gone ({host.lost}); its episode is played again")
        host.release(broken)

    def close(self) -> None:
        """The actors belong to whoever made them."""
