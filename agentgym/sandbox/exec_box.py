"""Boxes of images without a Python: commands by the engine's `exec`, files by the image's own shell, `cat` and `tar`.

Slower than the command server (tens of milliseconds a command) and weaker in what can be told: a command that a signal
ended shows as 128 and the signal's number, strays are counted as none or some, a reset is never proven clean, and PID 1
is a shell that a command can disturb. That no process survives is seen from outside, by the engine's own list; where
one does, the box is lost. What the container denies is denied here, too; the second filter of system calls is missing.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from agentgym.errors import BoxFileError, BoxLostError, SandboxError
from agentgym.sandbox import tars
from agentgym.sandbox.base import MIB, BoxSpec, Result
from agentgym.sandbox.cgroups import count_kills
from agentgym.sandbox.docker_container import (
    AttachedStream,
    Frames,
    come_already,
    counters,
    hang_up,
    remove,
    why_ended,
)
from agentgym.sandbox.docker_engine import Engine
from agentgym.sandbox.server import Kept

HEADROOM = 16
"""Processes that commands may use less than the box: its PID 1 must still be able to act."""
_SWEEP = 10.0
_FILES = 120.0
# Dash's option for processes is -p, bash's -u.
_RUN = 'ulimit -p "$1" 2>/dev/null || ulimit -u "$1" 2>/dev/null; cd -- "$2" || exit 126; shift 2; exec "$@" 2>&1'
_READ = '[ -f "$1" ] || { echo "is no regular file" >&2; exit 1; }; head -c "$2" -- "$1"'
_WRITE = (
    '[ ! -e "$1" ] || [ -f "$1" ] || { echo "is no regular file" >&2; exit 1; }; '
    'd=${1%/*}; [ -z "$d" ] || mkdir -p -- "$d" && head -c "$2" >"$1" && chmod "$3" "$1"'
)
_EMPTY = 'cd -- "$1" && chmod -R u+rwx . && rm -rf -- ..?* .[!.]* *'
_UNPACK = 'mkdir -p -- "$1" && cd -- "$1" && tar -xf -'
_PACK = 'cd -- "$1" && tar -cf - .'


class ExecBox:
    """A container without a command server. Made by `Docker.start`."""

    def __init__(self, engine: Engine, container: str, name: str, spec: BoxSpec, stream: AttachedStream) -> None:
        self.name = name
        self.spec = spec
        self.container = container
        self._engine = engine
        self._stream = stream
        self._broken: str | None = None
        self._counter = next((path for path in counters(container) if path.exists()), None)
        self._kills = 0
        self._shell = "/bin/sh"
        self._seed: bytes | None = None
        self._pid = os.getpid()

    def begin(self, deadline: float, seed: bytes | None = None) -> None:
        """Wait for PID 1, and fill `work`.

        Args:
            deadline: seconds for PID 1's first answer.
            seed: a tar that `work` starts with, if any.
        """
        self._sweep(deadline)
        if self._follow(["/bin/bash", "-c", ":"], {}, b"", time.monotonic() + deadline, Kept(0)) == 0:
            self._shell = "/bin/bash"
        if seed is not None:
            self._seed = seed
            self._unpack(self.spec.work, seed)

    def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        deadline: float = 60.0,
        output: int = 64 * 1024,
    ) -> Result:
        """Run a command; see `Box.run`."""
        begun = time.monotonic()
        argv = [self._shell, "-c", command] if isinstance(command, str) else list(command)
        processes = str(max(self.spec.pids - HEADROOM, 8))
        argv = ["/bin/sh", "-c", _RUN, "sh", processes, self._at(cwd or ""), *argv]
        kept = Kept(output)
        code = self._follow(argv, {**self.spec.env, **(env or {})}, stdin, begun + deadline, kept)
        strays = self._sweep() if code is not None else 0
        held, cut, dropped = kept.result()
        kills = self._oom_kills()
        killed, self._kills = kills > self._kills, kills
        seconds = time.monotonic() - begun
        return Result(code, held, dropped, cut, seconds, code is None, strays, out_of_memory=killed)

    def read(self, path: str, limit: int = 16 * MIB) -> bytes:
        """A file's bytes; see `Box.read`."""
        data = self._sh(path, _READ, self._at(path), str(limit + 1), most=limit + 1)
        if len(data) > limit:
            raise BoxFileError(f"{path}: has more than {limit} bytes")
        return data

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file; see `Box.write`."""
        self._sh(path, _WRITE, self._at(path), str(len(data)), f"{mode & 0o777:o}", stdin=data)

    def pack(self, path: str, limit: int = 512 * MIB) -> bytes:
        """A folder as a tar; see `Box.pack`."""
        # Padding and headers of the image's tar differ from ours: the limit holds for what is handed out.
        raw = self._sh(path, _PACK, self._at(path), most=2 * limit + MIB)
        packed = tars.plain(raw)
        if len(packed) > limit:
            raise BoxFileError(f"{path}: packs to more than {limit} bytes")
        return packed

    def unpack(self, path: str, archive: bytes, clean: bool = False) -> None:
        """Unpack a tar; see `Box.unpack`."""
        checked = tars.plain(archive, strict=True)
        if clean:
            self._sh(path, f'mkdir -p -- "$1"; {_EMPTY}', self._at(path))
        self._unpack(path, checked)

    def snapshot(self) -> bytes:
        """`work` as a tar; see `Box.snapshot`."""
        return self.pack(self.spec.work)

    def restore(self, snapshot: bytes) -> None:
        """`work` as it was; see `Box.restore`."""
        self._sweep()
        for folder in ("/tmp", "/dev/shm", self.spec.work):
            self._sh(folder, _EMPTY, folder)
        self._unpack(self.spec.work, tars.plain(snapshot))

    def reset(self) -> bool:
        """Never: that PID 1 is as it was cannot be shown."""
        return False

    def close(self) -> None:
        """End it and remove all that it had."""
        self._broken = self._broken or "it is closed"
        self._stream.close()
        if self._pid == os.getpid():
            remove(self._engine, self.container)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _at(self, path: str) -> str:
        return os.path.join(self.spec.work, path)

    def _unpack(self, path: str, archive: bytes) -> None:
        self._sh(path, _UNPACK, self._at(path), stdin=archive)

    def _sh(self, path: str, script: str, *args: str, stdin: bytes = b"", most: int = 0) -> bytes:
        """What a line of shell writes. Raises: BoxFileError with what it complains of."""
        if any("\0" in arg for arg in args):
            raise BoxFileError(f"{path!r}: a NUL in the path")
        out, complaint = Kept(2 * most), Kept(2000)
        argv = ["/bin/sh", "-c", script, "sh", *args]
        code = self._follow(argv, {}, stdin, time.monotonic() + _FILES, out, complaint)
        if code is None:
            raise BoxFileError(f"{path}: not done within {_FILES:.0f} s")
        data, _, dropped = out.result()
        if code or dropped:
            said = bytes(complaint.result()[0]).decode("utf-8", "backslashreplace").strip()
            raise BoxFileError(f"{path}: {said[:300] or 'too large'}")
        return data

    def _follow(
        self,
        argv: list[str],
        env: Mapping[str, str],
        stdin: bytes,
        until: float,
        kept: Kept,
        complaint: Kept | None = None,
    ) -> int | None:
        """Run a program to its end; its exit code, or `None` where it was ended at its deadline."""
        if self._broken:
            raise BoxLostError(f"box {self.name} is lost: {self._broken}; close it and start another")
        try:
            with self._engine.asking("run a command") as client:
                environment = [f"{name}={value}" for name, value in env.items()]
                made: Any = client.exec_create(self.container, argv, stdin=bool(stdin), environment=environment)
                attached: Any = client.exec_start(made["Id"], socket=True)
            try:
                connection: Any = getattr(attached, "_sock", attached)
                connection.setblocking(False)
                add = _adder(kept, complaint or kept)
                add(come_already(attached))
                if not _move(connection, stdin, until, add):
                    self._sweep()
                    _move(connection, b"", time.monotonic() + 2.0, add)
                    return None
            finally:
                hang_up(attached)
            with self._engine.asking("see how a command ended") as client:
                return int(client.exec_inspect(made["Id"])["ExitCode"])
        except BoxLostError:
            raise
        except (SandboxError, OSError, TypeError) as error:
            raise self._lost(str(error)) from error

    def _sweep(self, deadline: float = _SWEEP) -> int:
        """End every process but PID 1; 1 where there was any. The engine, not the box, tells that none is left."""
        until = time.monotonic() + deadline
        try:
            self._stream.send(b"\n", until)
            said = b""
            while not said.endswith(b"\n"):
                data = self._stream.receive(until)
                if not data or len(said) > 64:
                    raise OSError("its PID 1 ended or babbles")
                said += data
            while True:
                with self._engine.asking("list a box's processes") as client:
                    left = len(client.top(self.container)["Processes"])
                if left == 1:
                    return int(said.strip() == b"1")
                if time.monotonic() > until:
                    raise OSError(f"{left - 1} processes cannot be ended")
                time.sleep(0.01)
        except (SandboxError, OSError) as error:
            raise self._lost(str(error) or type(error).__name__) from error

    def _lost(self, why: str) -> BoxLostError:
        self._broken = why
        known = why_ended(self._engine, self.container, self._stream.complaint)
        return BoxLostError(f"box {self.name} is lost: {why}; close it and start another ({known})")

    def _oom_kills(self) -> int:
        try:
            return (count_kills(self._counter.read_bytes()) or 0) if self._counter else 0
        except OSError:
            return 0


def _adder(kept: Any, complaint: Any) -> Callable[[bytes], None]:
    frames = Frames()

    def add(data: bytes) -> None:
        for source, part in frames.parts(data):
            (kept if source == 1 else complaint).add(part)

    return add


def _move(connection: Any, stdin: bytes, until: float, add: Callable[[bytes], None]) -> bool:
    """Move bytes in and out until the program's output ends; `False` where it is late."""
    left = memoryview(stdin)
    poll = select.poll()
    poll.register(connection, select.POLLIN | (select.POLLOUT if left else 0))
    while True:
        wait = until - time.monotonic()
        if wait <= 0:
            return False
        for _, event in poll.poll(wait * 1000 + 1):
            if event & select.POLLOUT and left:
                with contextlib.suppress(BlockingIOError):
                    try:
                        left = left[connection.send(left[: 1 << 16]) :]
                    except (BrokenPipeError, ConnectionResetError):  # nobody reads it
                        left = left[:0]
                if not left:
                    poll.modify(connection, select.POLLIN)
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_WR)
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                with contextlib.suppress(BlockingIOError):
                    data = connection.recv(1 << 18)
                    if not data:
                        return True
                    add(data)
