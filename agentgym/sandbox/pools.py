"""Boxes of several specs, started ahead and used again, in bounded room: what `pool.py` is made from.

Where all the room is taken, a box that waits for a spec that was not asked for lately makes way. All state is behind
one lock; boxes are started, reset and closed in threads that do not hold it. A start that fails is told to one taker,
not to all of them, and is not tried again until somebody asks.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from agentgym.errors import AgentgymError, SandboxError, UsageError
from agentgym.sandbox.base import Backend, Box, BoxSpec

SIDE_BY_SIDE = 8
"""Starts that run at the same time at most; more only wait for each other."""
SIGN_OF_LIFE = 5.0
"""Seconds that a waiting box has to answer before it counts as dead."""
CLOSING = 60.0
"""Seconds that `close` waits for starts and resets under way."""


@dataclass(slots=True)
class PoolStats:
    """What a pool has done so far."""

    started: int = 0
    """Boxes started."""
    failed: int = 0
    """Starts that failed."""
    taken: int = 0
    """Boxes handed out."""
    reused: int = 0
    """Of these, those that had been used and were reset."""
    unclean: int = 0
    """Boxes closed because they could not be shown to be clean: a reset that failed, or a box that died in use."""
    lost: int = 0
    """Boxes that were dead when they were to be handed out or reset."""
    evicted: int = 0
    """Boxes closed to make room for those of another spec."""
    waited: float = 0.0
    """Seconds that takers waited, together."""
    longest_wait: float = 0.0
    """Seconds that the unluckiest one waited."""


@dataclass(slots=True, eq=False)
class _Shelf:
    """The boxes of one spec."""

    spec: BoxSpec
    ahead: int
    idle: deque[Box] = field(default_factory=deque[Box])
    coming: int = 0
    """Boxes that are being started or reset."""
    waiting: int = 0
    """Takers that wait."""
    errors: deque[Exception] = field(default_factory=deque[Exception])
    """Failed starts, one for each taker that is to hear of it."""
    broken: bool = False
    """Whether the last start failed: none is started ahead until one succeeds for a taker."""


class Pools:
    """Boxes of several specs. Thread-safe; a forked child has an empty one and leaves the parent's boxes alone."""

    def __init__(self, backend: Backend, size: int, ahead: int = 0) -> None:
        """Start nothing yet.

        Args:
            backend: where boxes come from.
            size: boxes alive at most, of all specs, in use or not.
            ahead: boxes of each spec to have ready from its first use on, as far as there is room.

        Raises:
            UsageError: `size` or `ahead` makes no sense.
        """
        if size < 1 or not 0 <= ahead <= size:
            raise UsageError(f"a pool needs size >= 1 and 0 <= ahead <= size, not size={size}, ahead={ahead}")
        self.backend = backend
        self.size = size
        self.ahead = ahead
        self._inherited: list[tuple[OrderedDict[BoxSpec, _Shelf], dict[int, tuple[Box, _Shelf]]]] = []
        self._empty()
        _pools.add(self)

    def _empty(self) -> None:
        """As new, in this process."""
        self._change = threading.Condition()
        self._shelves: OrderedDict[BoxSpec, _Shelf] = OrderedDict()
        self._out: dict[int, tuple[Box, _Shelf]] = {}
        self._used: set[int] = set()
        self._alive = 0
        self._starting = 0
        self._jobs = 0
        self._closed = False
        self._reaped = False
        self._stats = PoolStats()

    def _forked(self) -> None:
        """In a child: the boxes are the parent's, as are the threads that looked after them; the lock may be held."""
        self._inherited.append((self._shelves, self._out))  # Kept, so that nothing ends them when they are freed.
        self._empty()

    def prepare(self, spec: BoxSpec, count: int) -> None:
        """Have `count` boxes of a spec ready from now on, as far as there is room; returns at once."""
        with self._change:
            self._shelf(spec).ahead = max(0, min(count, self.size))
            self._plan()

    def take(self, spec: BoxSpec, deadline: float = 60.0) -> Box:
        """A box as after its start, the caller's until it is given back.

        Args:
            spec: what it is made from.
            deadline: seconds to wait for one.

        Raises:
            SandboxError: none could be started, or none became free in time.
            UsageError: the pool is closed.
        """
        began = time.monotonic()
        while True:
            box, shelf = self._next(spec, began, deadline)
            try:
                answers = alive(box)
            except BaseException:  # An interrupt: nobody would give the box back.
                self._drop(box)
                raise
            if answers:
                break
            self._drop(box, lost=True)
        with self._change:
            stats, waited = self._stats, time.monotonic() - began
            stats.taken += 1
            stats.reused += id(box) in self._used
            stats.waited += waited
            stats.longest_wait = max(stats.longest_wait, waited)
            shelf.broken = False
            self._plan()
        return box

    def give(self, box: Box) -> None:
        """Give a box back; returns at once. It is reset in the background, or closed where it cannot be.

        Raises:
            UsageError: it was not taken from here, or was given back before.
        """
        with self._change:
            known = self._out.pop(id(box), None)
            if known is None:
                if any(id(box) in out for _, out in self._inherited):
                    return
                raise UsageError(f"box {box.name} is not out: it was given back before, or is another pool's")
            shelf = known[1]
            shelf.coming += 1
            self._used.add(id(box))
            self._job(self._renew, box, shelf)

    @contextmanager
    def lent(self, spec: BoxSpec, deadline: float = 60.0) -> Generator[Box, None, None]:
        """A box for a `with` block."""
        box = self.take(spec, deadline)
        try:
            yield box
        finally:
            self.give(box)

    def stats(self) -> PoolStats:
        """What was done so far."""
        with self._change:
            return replace(self._stats)

    def idle(self) -> int:
        """Boxes that are ready now."""
        with self._change:
            return sum(len(shelf.idle) for shelf in self._shelves.values())

    def close(self) -> None:
        """Close all boxes that are not out, and wait for what is under way; may be called twice.

        A box that is out is its user's still: it is closed when it is given back.
        """
        with self._change:
            self._closed = True
            rest = [box for shelf in self._shelves.values() for box in shelf.idle]
            for shelf in self._shelves.values():
                shelf.idle.clear()
            for box in rest:
                self._job(self._finish, box)
            self._change.notify_all()
            self._change.wait_for(lambda: self._jobs == 0, CLOSING)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Below, where not said otherwise, the lock is held.

    def _shelf(self, spec: BoxSpec) -> _Shelf:
        if spec not in self._shelves:
            self._shelves[spec] = _Shelf(spec, self.ahead)
        self._shelves.move_to_end(spec)
        return self._shelves[spec]

    def _next(self, spec: BoxSpec, began: float, deadline: float) -> tuple[Box, _Shelf]:
        """Wait for a box that is ready. The lock is not held."""
        with self._change:
            shelf = self._shelf(spec)
            shelf.waiting += 1
            try:
                while True:
                    if self._closed:
                        raise UsageError("the pool of boxes is closed")
                    if shelf.idle:
                        box = shelf.idle.pop()  # The latest one: its pages are the warmest.
                        self._out[id(box)] = (box, shelf)
                        return box, shelf
                    if shelf.errors:
                        raise shelf.errors.popleft()
                    self._plan()
                    left = began + deadline - time.monotonic()
                    if left <= 0:
                        raise SandboxError(
                            f"no box became free within {deadline:g} s ({len(self._out)} of {self.size} are in use): "
                            "give boxes back, make the pool larger, or wait longer"
                        )
                    self._change.wait(left)
            finally:
                shelf.waiting -= 1

    def _plan(self) -> None:
        """Start what takers wait for, then what is to be ready ahead."""
        if self._closed:
            return
        for urgent in (True, False):
            for shelf in reversed(self._shelves.values()):
                asked = shelf.waiting - len(shelf.errors)
                wanted = asked if urgent else (0 if shelf.broken else max(asked, 0) + shelf.ahead)
                while wanted > len(shelf.idle) + shelf.coming and self._starting < SIDE_BY_SIDE:
                    victim = None
                    if self._alive >= self.size:
                        victim = self._victim(shelf) if urgent else None
                        if victim is None:
                            break
                        self._stats.evicted += 1
                    else:
                        self._alive += 1
                    shelf.coming += 1
                    self._starting += 1
                    self._job(self._start, shelf, victim)

    def _victim(self, asking: _Shelf) -> Box | None:
        """A waiting box that nobody waits for, of the spec that was asked for longest ago."""
        for shelf in self._shelves.values():
            if shelf is not asking and len(shelf.idle) > shelf.waiting:
                return shelf.idle.popleft()
        return None

    def _job(self, work: Callable[..., None], *arguments: object) -> None:
        # No daemon: the interpreter waits for a start under way, so that none is left half made.
        self._jobs += 1
        threading.Thread(target=self._work, args=(work, *arguments), name="box-pool").start()

    def _drop(self, box: Box, lost: bool = False) -> None:
        """Close a box that is out. The lock is not held."""
        with self._change:
            self._out.pop(id(box), None)
            self._stats.lost += lost
            self._jobs += 1
        self._work(self._finish, box)

    # What threads do; the lock is not held.

    def _work(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        finally:
            with self._change:
                self._jobs -= 1
                self._plan()
                self._change.notify_all()

    def _start(self, shelf: _Shelf, victim: Box | None) -> None:
        box, failure = None, None
        try:
            if victim is not None:
                _close(victim)
            self._reap()
            box = self.backend.start(shelf.spec)
        except AgentgymError as error:
            failure = error
        except Exception as error:
            failure = SandboxError(f"a box could not be started: {type(error).__name__}: {error}")
            failure.__cause__ = error
        with self._change:
            self._starting -= 1
            shelf.coming -= 1
            if box is not None:
                self._stats.started += 1
                if not self._closed:
                    shelf.idle.append(box)
                    return
            else:
                self._alive -= 1
                self._stats.failed += 1
                shelf.broken = True
                if failure is not None and shelf.waiting > len(shelf.errors) + len(shelf.idle):
                    shelf.errors.append(failure)
                return
        self._finish(box)

    def _renew(self, box: Box, shelf: _Shelf) -> None:
        clean = lost = False
        if not self._closed:
            try:
                clean = box.reset()
            except Exception:
                lost = True  # It died in use, or while it was reset.
        with self._change:
            shelf.coming -= 1
            self._stats.lost += lost
            self._stats.unclean += not (clean or lost or self._closed)
            if clean and not self._closed:
                shelf.idle.append(box)
                return
        self._finish(box)

    def _finish(self, box: Box) -> None:
        _close(box)
        with self._change:
            self._used.discard(id(box))
            self._alive -= 1

    def _reap(self) -> None:
        """Remove what crashed runners left, once; where that fails, the start says why."""
        with self._change:
            if self._reaped:
                return
            self._reaped = True
        try:
            self.backend.reap()
        except SandboxError:
            return


def alive(box: Box) -> bool:
    """Whether a box that waited still answers."""
    try:
        return box.run(":", deadline=SIGN_OF_LIFE).ok
    except Exception:
        return False


def _close(box: Box) -> None:
    try:
        box.close()
    except Exception:
        return  # It is gone, or its engine is: the next start reaps what is left.


def _forget_parents() -> None:
    for pool in list(_pools):
        pool._forked()  # pyright: ignore[reportPrivateUsage]


_pools: weakref.WeakSet[Pools] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_parents)
