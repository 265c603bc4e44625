"""Boxes for the environments of a process: one pool for each back end, which lives as long as somebody uses it.

An agent's box comes from the pool and goes back to it, where it is used again only if it can be shown to be clean. The
grader's is always a new one, that no agent was ever in; `expect` starts it while the agent still works.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from agentgym.sandbox.base import Box, BoxSpec
from agentgym.sandbox.pools import alive
from agentgym.types import Task
from agentgym_envs.swe import images

if TYPE_CHECKING:
    from agentgym.sandbox.base import Backend
    from agentgym.sandbox.pool import Pools

MOST = 512
"""Boxes of one process at most, those in use and those that wait for the next episode."""


class _Shared:
    """A pool, and how many use it."""

    def __init__(self, backend: Backend, pools: Pools) -> None:
        self.backend, self.pools, self.users = backend, pools, 0


_shared: dict[tuple[int, str], _Shared] = {}
_lock = threading.Lock()


class Boxes:
    """One environment's part in the pool. Nothing is started before the first `take`."""

    def __init__(self, backend: str) -> None:
        """Args: `backend` its name, or `auto`."""
        self._name = backend
        self._mine: _Shared | None = None
        self._pid = 0
        self._coming: list[tuple[BoxSpec, Future[Box]]] = []

    def ready(self, task: Task) -> None:
        """Have what a task's boxes are made from.

        Raises:
            ImageError: its image has to be built and cannot be.
            SandboxError: anything else.
        """
        images.ensure(task, self._open().backend)

    def take(self, spec: BoxSpec) -> Box:
        """A box as after its start.

        Raises:
            NoSandboxError: nothing here isolates; there is no way without.
            SandboxError: none could be started.
        """
        return self._open().pools.take(spec)

    def give(self, box: Box) -> None:
        """Give a box back, whatever state it is in."""
        if self._mine is not None and self._pid == os.getpid():
            self._mine.pools.give(box)

    def start(self, spec: BoxSpec) -> Box:
        """A new box, that nobody was in, the caller's to close: one that was started ahead, if there is one.

        Raises:
            SandboxError: none could be started.
        """
        mine = self._open()
        for at, (of, coming) in enumerate(self._coming):
            if of == spec:
                del self._coming[at]
                try:
                    box = coming.result()
                except Exception:  # The start below says what it was.
                    break
                if alive(box):
                    return box
                box.close()
                break
        return mine.backend.start(spec)

    def expect(self, spec: BoxSpec, count: int) -> None:
        """Have boxes for `start` under way, as many as are not yet; returns at once."""
        backend = self._open().backend
        self._drop([one for one in self._coming if one[0] != spec])
        for _ in range(count - len(self._coming)):
            coming: Future[Box] = Future()
            self._coming.append((spec, coming))
            # No daemon: the interpreter waits for a start under way, so that none is left half made.
            threading.Thread(target=_start, args=(backend, spec, coming), name="box-ahead").start()

    def _drop(self, boxes: list[tuple[BoxSpec, Future[Box]]]) -> None:
        self._coming = [one for one in self._coming if one not in boxes]
        for _, coming in boxes:
            if coming.exception() is None:  # This waits: nothing is to be left behind.
                coming.result().close()

    def warm(self) -> None:
        """Load what the first `take` needs.

        Raises:
            NoSandboxError: nothing here isolates.
        """
        self._open()

    def close(self) -> None:
        """Leave the pool; the last one to leave closes it. May be called twice."""
        mine, self._mine = self._mine, None
        if mine is None or self._pid != os.getpid():
            return
        self._drop(self._coming)
        with _lock:
            mine.users -= 1
            last = mine.users == 0
            if last:
                _shared.pop((self._pid, self._name), None)
        if last:
            mine.pools.close()

    def _open(self) -> _Shared:
        if self._mine is not None and self._pid == os.getpid():
            return self._mine
        from agentgym.sandbox import backend
        from agentgym.sandbox.pool import Pools

        pid = os.getpid()
        with _lock:
            found = _shared.get((pid, self._name))
            if found is None:
                made = backend(self._name)
                found = _shared[pid, self._name] = _Shared(made, Pools(made, MOST))
            found.users += 1
        self._mine, self._pid = found, pid
        self._coming = []  # In a forked child they are the parent's.
        return found


def _start(backend: Backend, spec: BoxSpec, coming: Future[Box]) -> None:
    try:
        coming.set_result(backend.start(spec))
    except BaseException as error:
        coming.set_exception(error)
