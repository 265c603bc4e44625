"""What a host is, and the simplest one: the environment in this very process.

A host is where an environment runs. The engine awaits it and never sees the environment itself, so that a cheap
environment costs a function call while one that can hang lives in a process that can be killed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from agentgym.errors import EnvCrashedError, InfraError, UsageError
from agentgym.types import Observation, Step, Task

type_name = "{0.__class__.__name__}: {0}".format


class Host(Protocol):
    """One environment instance, wherever it runs. A host plays one episode at a time and may play many."""

    async def reset(self, task: Task, seed: int) -> Observation:
        """Start an episode.

        Raises:
            UsageError: the task or the environment's options are wrong: a bug in the recipe, not a broken world.
            EnvCrashedError: the environment raised or died.
            EnvTimeoutError: it did not answer in time and was killed.
        """
        ...

    async def step(self, action: str) -> Step:
        """Play one turn; raises `EnvCrashedError` or `EnvTimeoutError`."""
        ...

    async def oracle(self) -> str | None:
        """The next action of a solution, if there is one; raises as `step` does."""
        ...

    def close(self) -> None:
        """Free the environment; may be called twice. Never blocks on a hung environment."""
        ...


class InlineHost:
    """The environment in this process: a call is a function call; nothing can be killed.

    For cheap, trusted environments. Exceptions of the environment become `EnvCrashedError`; a hang is a hang.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        """Args: `make` makes the environment; it is called at the first reset."""
        self._make = make
        self._env: Any = None

    async def reset(self, task: Task, seed: int) -> Observation:
        """See `Host.reset`."""
        try:
            if self._env is None:
                self._env = self._make()
            return self._env.reset(seed=seed, options={"task": task})[0]
        except (UsageError, InfraError):
            raise
        except (Exception, SystemExit) as error:
            raise EnvCrashedError(f"reset raised {type_name(error)}") from error

    async def step(self, action: str) -> Step:
        """See `Host.step`."""
        try:
            step = self._env.step(action)
            return step if type(step) is Step else Step(*step)
        except InfraError:
            raise
        except (Exception, SystemExit) as error:
            raise EnvCrashedError(f"step raised {type_name(error)}") from error

    async def oracle(self) -> str | None:
        """See `Host.oracle`."""
        try:
            return self._env.oracle()
        except InfraError:
            raise
        except (Exception, SystemExit) as error:
            raise EnvCrashedError(f"oracle raised {type_name(error)}") from error

    async def snapshot(self) -> Any:
        """The environment's state, for `restore`; raises as `step` does, and `UsageError` where there is no such."""
        return copy.deepcopy(self._kept("snapshot"))  # It may be the live state itself, which changes.

    async def restore(self, snapshot: Any) -> Observation:
        """Go back to a snapshot of the task that was reset to last; raises as `snapshot` does."""
        return self._kept("restore", copy.deepcopy(snapshot))

    def _kept(self, operation: str, *values: Any) -> Any:
        try:
            return getattr(self._env, operation)(*values)
        except (UsageError, InfraError):
            raise
        except (Exception, SystemExit) as error:
            raise EnvCrashedError(f"{operation} raised {type_name(error)}") from error

    def close(self) -> None:
        """Close the environment; what it raises while closing is of no use to anybody."""
        env, self._env = self._env, None
        if env is not None:
            with suppress(Exception, SystemExit):
                env.close()
