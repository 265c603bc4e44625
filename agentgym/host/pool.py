"""`HostPool`: hands out hosts, keeps the good ones warm, replaces the broken ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from agentgym import registry
from agentgym.errors import UsageError
from agentgym.host.inline import Host, InlineHost

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
        processes: int | None = None,
    ) -> None:
        if kind not in KINDS:
            raise UsageError(f"host kind must be one of {', '.join(KINDS)}, not {kind!r}")
        self.spec_id, self.options, self.size = spec_id, dict(options or {}), size
        self.kind = registry.spec(spec_id).host if kind == "auto" else kind
        self._idle: list[Host] = []
        self._used: set[Host] = set()
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def acquire(self, alone: bool = False) -> Host:
        """See `Hosts.acquire`; waits while `size` hosts are out."""
        while self.size is not None and len(self._used) >= self.size:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        host = self._idle.pop() if self._idle else InlineHost(lambda: registry.make(self.spec_id, **self.options))
        self._used.add(host)
        return host

    def release(self, host: Host, broken: bool = False) -> None:
        """See `Hosts.release`."""
        self._used.discard(host)
        if broken:
            host.close()
        else:
            self._idle.append(host)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def close(self) -> None:
        """Destroy every host."""
        for host in [*self._idle, *self._used]:
            host.close()
        self._idle.clear()
        self._used.clear()

    def __enter__(self) -> HostPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
