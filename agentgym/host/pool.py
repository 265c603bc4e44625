"""`HostPool`: hands out hosts, keeps the good ones warm, replaces the broken ones."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from agentgym import registry
from agentgym.errors import UsageError
from agentgym.host import wire
from agentgym.host.inline import Host, InlineHost
from agentgym.host.process import ProcessHost, Worker, WorkerSettings

KINDS = ("auto", "inline", "process")


class Hosts(Protocol):
    """What the rollout engine needs of a pool; write your own to run environments elsewhere."""

    size: int | None
    """Most hosts at once; `None` for no limit."""

    async def acquire(self, alone: bool = False) -> Host:
        """A host that nobody else uses; `alone` asks for one that shares its fate with no other."""
        ...

    def release(self, host: Host, broken: bool = False) -> None:
        """Give a host back; a broken one is destroyed and never handed out again."""
        ...

    def close(self) -> None:
        """Destroy everything; may be called twice."""
        ...


class HostPool:
    """Hosts of one environment, made when they are needed and used again for later episodes."""

    def __init__(
        self,
        spec_id: str,
        options: Mapping[str, Any] | None = None,
        kind: str = "auto",
        size: int | None = None,
        step_deadline: float = 60.0,
        *,
        reset_deadline: float = 120.0,
        processes: int | None = None,
        memory: int | None = None,
    ) -> None:
        """Set the pool up; nothing is started.

        Args:
            spec_id: environment, as for `registry.make`.
            options: keyword arguments for it.
            kind: `"inline"`, `"process"`, or `"auto"` for what the environment's spec says.
            size: most hosts at once; `None` for no limit.
            step_deadline: seconds for one step in a process, after which the process is killed.
            reset_deadline: seconds for a reset, a process's start and the making of games included.
            processes: worker processes that share the environments; `None` gives each environment its own.
                Sharing saves start-up time and memory, and steps within a process are served one after the other;
                when one environment hangs or crashes the process, its neighbours' episodes are played again.
            memory: most bytes of private memory in one worker process.

        Raises:
            UsageError: an argument is wrong, or there is no such environment.
        """
        if kind not in KINDS:
            raise UsageError(f"host kind must be one of {', '.join(KINDS)}, not {kind!r}")
        if processes is not None and processes < 1:
            raise UsageError(f"processes must be at least 1, not {processes}")
        if size is not None and size < 1:
            raise UsageError(f"size must be at least 1, not {size}")
        self.kind = registry.spec(spec_id).host if kind == "auto" else kind
        if self.kind == "process":
            try:
                wire.frame(dict(options or {}))
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"options of {spec_id} go to another process and must be JSON values: {error}"
                ) from error
        self.size, self.processes = size, processes
        self.settings = WorkerSettings(spec_id, dict(options or {}), step_deadline, reset_deadline, memory)
        self._idle: list[Host] = []
        self._used: set[Host] = set()
        self._shared: list[Worker] = []
        self._own: set[Worker] = set()
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def acquire(self, alone: bool = False) -> Host:
        """See `Hosts.acquire`; waits while `size` hosts are out."""
        while self.size is not None and len(self._used) >= self.size:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        host = self._new(alone) if alone else self._warm() or self._new()
        self._used.add(host)
        return host

    def release(self, host: Host, broken: bool = False) -> None:
        """See `Hosts.release`."""
        self._used.discard(host)
        once = isinstance(host, ProcessHost) and self.processes is not None and host.worker in self._own
        if broken or once:
            host.close()
        else:
            self._idle.append(host)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def warm(self, count: int) -> None:
        """Start what `count` hosts need without waiting: processes load their environments and engines meanwhile."""
        missing = count - len(self._idle) - len(self._used)
        fresh = [self._new() for _ in range(missing)]
        for host in fresh:
            if isinstance(host, ProcessHost):
                host.warm()
        self._idle += fresh

    def close(self) -> None:
        """Destroy every host. Processes get a second to close their environments, then they are killed."""
        workers = [*self._shared, *self._own]
        for worker in workers:
            worker.quit()
        until = time.monotonic() + 1.0
        for worker in workers:
            worker.wait(max(0.0, until - time.monotonic()))
            worker.kill("the pool was closed")
        self._shared.clear()
        self._own.clear()
        for host in [*self._idle, *self._used]:
            host.close()
        self._idle.clear()
        self._used.clear()

    def _warm(self) -> Host | None:
        """A host that was used before and still lives."""
        while self._idle:
            host = self._idle.pop()
            if not isinstance(host, ProcessHost) or host.worker.dead is None:
                return host
            host.close()
        return None

    def _new(self, alone: bool = False) -> Host:
        settings = self.settings
        if self.kind == "inline":
            return InlineHost(lambda: registry.make(settings.spec, **settings.options))
        if alone or self.processes is None:
            worker = Worker(settings)
            self._own.add(worker)
            return ProcessHost(worker, self._retire)
        self._shared = [worker for worker in self._shared if worker.dead is None]
        if len(self._shared) < self.processes:
            self._shared.append(Worker(settings))
        return ProcessHost(min(self._shared, key=lambda worker: worker.hosts))

    def _retire(self, worker: Worker) -> None:
        """The only host of an own worker is gone: so is the worker."""
        self._own.discard(worker)
        worker.kill("its environment was closed")

    def __enter__(self) -> HostPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
