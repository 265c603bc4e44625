"""Environments in a worker process that can be killed.

A hung thread cannot be killed; a process can. `Worker` is the parent's end of one process, which may hold many
environments (`ProcessHost`s): calls travel over one socket and are answered in order. When a call misses its deadline
the whole process group is killed, and with it every environment in the process: the price of sharing. The host whose
call was being served gets the blame; its neighbours get a `HostLostError`, which the engine does not count as theirs.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from agentgym.errors import EnvCrashedError, EnvTimeoutError, InfraError, UsageError
from agentgym.host import wire
from agentgym.host.worker import SPENT
from agentgym.secrets import named_in, scrubbed
from agentgym.types import Observation, Step, Task

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[3]); "
    "from agentgym.host.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
STDERR_KEPT = 4096
MARK = "AGENTGYM_WORKER"
"""Environment variable by which all that a worker started is found when it ends."""


class HostLostError(EnvCrashedError):
    """The process died through no fault of this environment: a neighbour hung or crashed it."""


class HostSpentError(HostLostError):
    """The process had no memory, descriptors or threads left, and this environment met that first: it, a neighbour or
    one that was there before took them. Only in a process of its own will it show whose fault it was."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker process is told when it starts."""

    spec: str
    options: dict[str, Any]
    step_deadline: float = 60.0
    """Seconds for one step, counted from when the process begins with it."""
    reset_deadline: float = 120.0
    """Seconds to make an environment and to reset it (games may be generated), the process's start included."""
    memory: int | None = None
    """Most bytes of private memory (`RLIMIT_DATA`); an environment that wants more takes its process down."""


class _Pending(NamedTuple):
    answer: asyncio.Future[Any] | None
    operation: str
    deadline: float


class Worker:
    """One worker process. Survives the event loop it was made in: the next call attaches it to the one that runs."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.hosts = 0
        """Environments that live here."""
        self.dead: str | None = None
        """Why it is gone, once it is."""
        self._resets = 0
        self._pending: deque[_Pending] = deque()
        self._frames = wire.Frames()
        self._out = bytearray()
        self._writing = False
        self._since = 0.0
        self._numbers = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._said = bytearray()
        ours, theirs = socket.socketpair()
        # The kernel's parent-death signal follows the *thread* that starts the process: only the main one lives on.
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        # Hash seeds decide set order in some engines; a fixed one makes environments repeatable across processes.
        # Keys are not for environments, but for those that their options name.
        given = scrubbed(os.environ, named_in(settings.options))
        environ = {**given, "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
        environ.setdefault("OMP_NUM_THREADS", "1")
        # What a process starts inherits it, also where it takes another session and another parent.
        self._mark = environ[MARK] = secrets.token_hex(16)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), str(parent), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                env=environ,
                start_new_session=True,  # its own group, to be killed as one; and Ctrl-C reaches only the parent
            )
        ours.setblocking(False)
        self._socket = ours
        assert self._process.stdout is not None
        self._stdout: IO[bytes] = self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._write(
            wire.frame([0, "settings", {"spec": settings.spec, "options": settings.options, "memory": settings.memory}])
        )

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self._process.pid

    def number(self) -> int:
        """A number for one more environment."""
        self.hosts += 1
        return next(self._numbers)

    async def call(self, number: int, operation: str, value: Any, deadline: float) -> Any:
        """Ask environment `number` something.

        Raises:
            UsageError: what was asked is wrong.
            EnvCrashedError: the environment raised, or its process died.
            HostLostError: the process died for another's fault.
            EnvTimeoutError: no answer within `deadline` seconds; the process is dead now.
        """
        self._attach()
        if self.dead is not None:
            raise HostLostError(self.dead)
        try:
            data = wire.frame([number, operation, value])
        except (TypeError, ValueError) as error:
            raise UsageError(f"{operation}: {error}") from error
        self._resets += operation == "reset"
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._send(_Pending(answer, operation, deadline), data)
        return await answer

    def ahead(self, number: int) -> None:
        """Have environment `number` made and its engine loaded. Nobody waits; the first reset says what went wrong."""
        if self.dead is None:
            self._send(_Pending(None, "warm", self.settings.reset_deadline), wire.frame([number, "warm", None]))

    def drop(self, number: int) -> None:
        """Forget an environment."""
        self.hosts -= 1
        if self.dead is None:
            # Answered like a call: an environment that hangs while it closes is found out, and nobody else is blamed.
            self._send(_Pending(None, "close", self.settings.step_deadline), wire.frame([number, "drop", None]))

    # The connection -------------------------------------------------------------------------------------------------

    def _attach(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop or self.dead is not None:
            return
        # Calls of a loop that is gone are still being answered; nobody listens, but the answers must be counted off.
        self._loop, self._timer, self._writing = loop, None, False
        if self._exited(0):  # between two loops, where nobody watched
            self.kill("")
            return
        loop.add_reader(self._socket.fileno(), self._readable)
        loop.add_reader(self._stdout.fileno(), self._listen)
        self._flush()
        self._arm()

    def _send(self, pending: _Pending, data: bytes) -> None:
        if not self._pending:
            self._since = time.monotonic()
        self._pending.append(pending)
        self._write(data)
        self._arm()

    def _write(self, data: bytes) -> None:
        self._out += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                sent = self._socket.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            return  # the reader sees the end, too, and knows more
        if bool(self._out) != self._writing and self._loop is not None and not self._loop.is_closed():
            self._writing = bool(self._out)
            if self._writing:
                self._loop.add_writer(self._socket.fileno(), self._flush)
            else:
                self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.kill("")
            return
        try:
            # What was whole before the garbage is an answer still, and the blame is for whom garbage came instead.
            while messages := self._frames.feed(data):
                data = b""
                for message in messages:
                    self._answered(*wire.to_reply(message))
        except EnvCrashedError as error:
            self.kill(str(error))

    def _answered(self, kind: str, value: Any) -> None:
        """Give an answer to who waits for it, the first in line."""
        if not self._pending:
            raise EnvCrashedError("the worker's connection carries garbage")
        answer = self._pending.popleft().answer
        self._since = time.monotonic()
        self._arm()
        if answer is None or answer.done() or answer.get_loop() is not self._loop:
            return
        if kind == "ok":
            answer.set_result(value)
        else:
            answer.set_exception(UsageError(value) if kind == "usage" else EnvCrashedError(value))

    def _listen(self) -> None:
        """Keep the last of what the process prints: it explains a death."""
        try:
            data = self._stdout.read(1 << 16)
        except (OSError, ValueError):
            data = b""
        if data == b"" and self._loop is not None:
            self._loop.remove_reader(self._stdout.fileno())
        self._said += data or b""
        del self._said[:-STDERR_KEPT]

    # Deadlines and death --------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        # One timer a worker, for the call being served. It is set again only when it would ring too late: a fast call
        # after a fast call costs no timer.
        if self._pending and self._loop is not None and not self._loop.is_closed():
            due = self._since + self._pending[0].deadline
            if self._timer is not None:
                if self._due <= due:
                    return
                self._timer.cancel()
            self._due = due
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._check)

    def _check(self) -> None:
        self._timer = None
        if self.dead is None and self._pending:
            first = self._pending[0]
            if time.monotonic() - self._since >= first.deadline:
                text = f"{first.operation} did not answer within {first.deadline:g} s; its process was killed"
                self.kill(text, timeout=True)
            else:
                self._arm()

    def kill(self, why: str, timeout: bool = False) -> None:
        """Kill the process and all it started, and tell everybody who waits. Only the first call counts."""
        if self.dead is not None:
            return
        self._listen()
        if self._loop is not None and not self._loop.is_closed():
            for fd in (self._socket.fileno(), self._stdout.fileno()):
                self._loop.remove_reader(fd)
            self._loop.remove_writer(self._socket.fileno())
            if self._timer is not None:
                self._timer.cancel()
        if not why:
            # The end of the connection comes a moment before the exit status: wait for it, to report how the process
            # died and not how we killed it.
            self._exited(0.2)
        code = self._end()
        if not why:
            said = self._said.decode("utf-8", "replace").strip().splitlines()[-5:]
            why = f"its process {_how(code)}" + (": " + " / ".join(said) if said else "")
        self.dead = why
        for place, waiting in enumerate(self._pending):
            answer = waiting.answer
            if answer is None or answer.done() or answer.get_loop() is not self._loop:
                continue
            error: InfraError = HostLostError(f"lost with its process: {why}")
            if place == 0 and code == SPENT and self._resets > 1:
                error = HostSpentError(f"{waiting.operation}: {why}")
            elif place == 0:
                error = EnvTimeoutError(why) if timeout else EnvCrashedError(f"{waiting.operation}: {why}")
            answer.set_exception(error)
        self._pending.clear()

    def _end(self) -> int:
        """Kill the group and its strays, reap, close; the exit status."""
        strays = descendants(self.pid)
        # The group's id cannot have been taken by another: its leader is reaped only below.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for stray in strays:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(stray, signal.SIGKILL)
        code = self._process.wait()
        # Daemons, which nothing else ties to the process. Again, as one may have started another meanwhile.
        for _ in range(5):
            left = marked(self._mark)
            for stray in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(stray, signal.SIGKILL)
            if not left:
                break
        self._socket.close()
        self._stdout.close()
        return code

    def quit(self) -> None:
        """Ask the process to close its environments and leave; `kill` it later if it does not."""
        if self.dead is None:
            with suppress(OSError):
                self._socket.setblocking(False)
                self._socket.send(bytes(self._out) + wire.frame([0, "quit", None]))

    def wait(self, seconds: float) -> None:
        """Give a process that was asked to quit some time to do so."""
        if self.dead is None:
            self._exited(seconds)

    def _exited(self, seconds: float) -> bool:
        """Whether the process ends within `seconds`. It is left unreaped, so that its id stays taken."""
        until = time.monotonic() + seconds
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() >= until:
                return False
            time.sleep(0.001)
        return True


class ProcessHost:
    """One environment in a worker process."""

    def __init__(self, worker: Worker, on_close: Callable[[Worker], None] | None = None) -> None:
        """Args: `on_close` is told the worker when this host is gone from it."""
        self.worker = worker
        self._number = worker.number()
        self._on_close = on_close
        self._closed = False

    async def reset(self, task: Task, seed: int) -> Observation:
        """See `Host.reset`."""
        record = await self._call("reset", [wire.from_task(task), seed], self.worker.settings.reset_deadline)
        return _read(wire.to_observation, record)

    async def step(self, action: str) -> Step:
        """See `Host.step`."""
        return _read(wire.to_step, await self._call("step", action, self.worker.settings.step_deadline))

    async def oracle(self) -> str | None:
        """See `Host.oracle`."""
        return await self._call("oracle", None, self.worker.settings.step_deadline)

    async def make(self) -> None:
        """Make the environment now, before the first reset."""
        await self._call("make", None, self.worker.settings.reset_deadline)

    def warm(self) -> None:
        """Have the environment made, and its engine loaded, without waiting for it."""
        self.worker.ahead(self._number)

    async def _call(self, operation: str, value: Any, deadline: float) -> Any:
        if self._closed:
            raise UsageError("this host is closed")
        return await self.worker.call(self._number, operation, value, deadline)

    def close(self) -> None:
        """Drop the environment; the worker process lives on for the others."""
        if not self._closed:
            self._closed = True
            self.worker.drop(self._number)
            if self._on_close is not None:
                self._on_close(self.worker)


def descendants(pid: int) -> list[int]:
    """Process ids of everything below `pid`, those that left its group included (Linux; elsewhere nothing)."""
    children: dict[int, list[int]] = {}
    try:
        found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for each in found:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{each}/stat", "rb") as stat:
            children.setdefault(int(stat.read().rpartition(b")")[2].split()[1]), []).append(each)
    below: list[int] = []
    todo = [pid]
    while todo:
        more = children.get(todo.pop(), [])
        below += more
        todo += more
    return below


def marked(mark: str) -> list[int]:
    """Process ids of all that began with `AGENTGYM_WORKER` set to `mark` (Linux; elsewhere nothing). A process that
    starts others with an environment of its own choice can hide them: what is hostile belongs into a sandbox."""
    wanted, found = f"{MARK}={mark}".encode(), list[int]()
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with suppress(OSError), open(f"/proc/{name}/environ", "rb") as environ:
                    if wanted in environ.read().split(b"\0"):
                        found.append(int(name))
    return found


def _read(decode: Callable[[list[Any]], Any], record: Any) -> Any:
    try:
        return decode(record)
    except (TypeError, ValueError) as error:
        raise EnvCrashedError(f"the worker's answer cannot be read: {error}") from error


def _how(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"exited with status {code}"
