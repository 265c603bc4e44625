"""The child's side of a process host: a loop that plays environments for the parent.

One process may hold many environments, each under a number; calls are served one after the other. The child lives as
long as its parent: it leaves when the connection closes, and the kernel kills it when the parent's thread dies.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

from agentgym.errors import InfraError, UsageError
from agentgym.host import wire

PR_SET_PDEATHSIG = 1
SPENT = 70
"""Exit status of a process that has run out of what all in it share: memory, descriptors, threads."""


def main(fd: int, parent: int) -> None:
    """Serve calls on the socket `fd` until it closes.

    Args:
        fd: an inherited, connected stream socket.
        parent: process id of the parent, or 0 if its death should not kill this process at once.
    """
    connection = socket.socket(fileno=fd)
    connection.set_inheritable(False)
    # What an environment forks must not keep the connection open, or the parent would not see this process die.
    os.register_at_fork(after_in_child=lambda: _close_fd(fd))
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
    frames = wire.Frames()
    envs: dict[int, Any] = {}
    settings: dict[str, Any] = {}
    while True:
        try:
            data = connection.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            _leave(envs)
        for message in frames.feed(data):
            number, operation, value = message
            if operation == "settings":
                settings = value
                if settings["memory"] is not None:
                    resource.setrlimit(resource.RLIMIT_DATA, (settings["memory"], settings["memory"]))
                continue
            if operation == "quit":
                _leave(envs)
            try:
                connection.sendall(_serve(envs, settings, number, operation, value))
            except OSError:
                _leave(envs)


def _serve(envs: dict[int, Any], settings: dict[str, Any], number: int, operation: str, value: Any) -> bytes:
    """Do what is asked and give the framed reply: `["ok", value]` or `[kind of error, text]`."""
    try:
        if operation == "drop":
            env = envs.pop(number, None)
            if env is not None:
                with suppress(Exception):
                    env.close()
            return wire.frame(["ok", None])
        try:
            return wire.frame(["ok", _call(envs, settings, number, operation, value)])
        except MemoryError:
            raise
        except UsageError as error:
            # Only what the caller asked for can be the caller's mistake; a step is asked for by the engine.
            return wire.frame(["usage" if operation in ("make", "warm", "reset") else "crash", f"{operation}: {error}"])
        except InfraError as error:
            return wire.frame(["crash", f"{operation}: {error}"])
        except BaseException as error:
            if _spent(error):
                os.write(2, f"{error}\n".encode())
                os._exit(SPENT)
            return wire.frame(
                ["crash", f"{operation} raised {type(error).__name__}: {str(error)[:2000]}{_where(error)}"]
            )
    except MemoryError:
        # Nothing in this process can be trusted to work any more.
        os.write(2, b"out of memory\n")
        os._exit(SPENT)


def _call(envs: dict[int, Any], settings: dict[str, Any], number: int, operation: str, value: Any) -> Any:
    if operation == "step":
        return wire.from_step(envs[number].step(value))
    if operation == "oracle":
        return envs[number].oracle()
    if operation not in ("make", "warm", "reset"):
        raise UsageError(f"unknown operation {operation!r}")
    if number not in envs:
        from agentgym import registry

        envs[number] = registry.make(settings["spec"], **settings["options"])
    if operation == "warm":
        envs[number].warm()
    if operation != "reset":
        return None
    task, seed = value
    return wire.from_observation(envs[number].reset(seed=seed, options={"task": wire.to_task(task)})[0])


def _spent(error: BaseException) -> bool:
    """Whether the process has nothing left of something: whoever meets that first need not be who took it."""
    if isinstance(error, OSError):
        return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def _where(error: BaseException) -> str:
    """The place an exception comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""


def _leave(envs: dict[int, Any]) -> None:
    for env in envs.values():
        with suppress(BaseException):
            env.close()
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)  # threads an environment left behind cannot hold us


def _close_fd(fd: int) -> None:
    with suppress(OSError):
        os.close(fd)
