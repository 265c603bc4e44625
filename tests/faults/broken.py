"""Environments that break in every way the engine must survive. What a task's data calls `break` says how."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np

from agentgym.env import EnvSpec, TextEnv
from agentgym.errors import UsageError
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task

HOARD: list[bytearray] = []
FILES: list[object] = []


def hang() -> None:
    time.sleep(3600)


def spin() -> None:
    while True:
        pass


def deaf() -> None:
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    ctypes.CDLL(None).sleep(3600)


def leave() -> None:
    os._exit(3)


def fail() -> None:
    raise RuntimeError("the world is gone")


def system_exit() -> None:
    sys.exit(5)


def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def garbage() -> None:
    """Prints at every level; harmless, and must be."""
    print("\x00\xff{garbage}" * 1000)
    os.write(1, b"\xff\xfe\x00[1,2]" * 1000)
    sys.stderr.write("noise\n" * 1000)


def fork() -> None:
    """Starts children that outlive it, one in a session of its own, and dies."""
    for session in (False, True):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=session)
    time.sleep(3600)


def daemonize(pids: str | None) -> None:
    """Has a grandchild that nothing ties to this process: another session, another parent."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    if pids is not None:
        with open(pids, "a") as file:
            file.write(f"{os.getpid()}\n")
    time.sleep(3600)
    os._exit(0)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)


def flood() -> None:
    """Prints and never stops."""
    while True:
        os.write(1, b"x" * 65536)


def descriptors() -> None:
    """Opens until there is nothing left to open with."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    while True:
        FILES.append(open(os.devnull))  # noqa: SIM115


def take() -> None:
    """Takes all descriptors and goes on as if nothing were."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    with suppress(OSError):
        while True:
            FILES.append(open(os.devnull))  # noqa: SIM115


def need() -> None:
    """Needs a descriptor, as any environment may."""
    open(os.devnull).close()


def unplug() -> None:
    """Closes everything, the connection included."""
    os.closerange(0, 4096)
    time.sleep(3600)


def become() -> None:
    """Is another program from here on."""
    os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(3600)"])


def threads() -> None:
    """Leaves threads behind that never end, and goes on."""
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(3600,)).start()


def hold() -> None:
    """Forks without exec, so that the child inherits every open file, and dies."""
    if os.fork() == 0:
        time.sleep(3600)
        os._exit(0)
    os._exit(4)


def leak() -> None:
    while True:
        HOARD.append(bytearray(16 << 20))


def forge() -> None:
    """Writes into the connection itself."""
    for fd in range(3, 4096):  # Wherever it is: the parent may have many files open.
        with suppress(OSError):
            os.write(fd, b"\xff" * 64)
    time.sleep(3600)


def unspeakable() -> Step:
    return Step.on(Observation("x"), weird=object())


WAYS = {
    f.__name__: f
    for f in (
        hang, spin, deaf, leave, fail, system_exit, segfault, garbage, fork, hold, leak, forge, unspeakable,
        stop, flood, descriptors, unplug, become, threads, take, need,
    )
}  # fmt: skip
HARMLESS = frozenset({"garbage", "threads", "take", "need"})
"""Ways that cost an episode nothing."""


class Broken(TextEnv):
    """Counts to `data["length"]`; at `data["at"]` it breaks as `data["break"]` says, if at all.

    With `data["once"]` (a path), it breaks only as long as nothing exists there. With `data["began"]` (a path) it
    writes there when, by the clock that all processes share, and with `data["daemon"]` (a path) it starts a daemon
    first, whose process id it writes there.
    """

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        if task.data.get("break") == "usage":
            raise UsageError("this task is not for this environment")
        self.turn = 0
        self.task_data, self.word = task.data, int(rng.integers(1000))
        return Observation(self._maybe() or f"0 {self.word}", actions=("go", "stop"))

    def act(self, action: str) -> Step:
        self.turn += 1
        broken = self._maybe()
        if isinstance(broken, Step):
            return broken
        if action == "unplug":
            return Step.failure(Observation("dark"))
        seen = Observation(f"{self.turn} {self.word} {action}", actions=("go", "stop"))
        if self.turn >= self.task_data.get("length", 3):
            return Step.success(seen)
        return Step.on(seen, 0.0)

    def oracle(self) -> str | None:
        return "go"

    def _maybe(self):
        data = self.task_data
        if data.get("at", 1) != self.turn or "break" not in data:
            return None
        once = data.get("once")
        if once is not None:
            if os.path.exists(once):
                return None
            with open(once, "w"):
                pass
        if "began" in data:
            with open(data["began"], "w") as file:
                file.write(str(time.monotonic()))
        if "daemon" in data:
            daemonize(data["daemon"])
        return WAYS[data["break"]]()


def tasks(split: str, size: int = 3) -> TaskSet:
    return TaskSet(split, size, lambda i: Task(f"{split}-{i}", split=split))


SPEC = EnvSpec(id="broken-v0", entry=f"{__name__}:Broken", tasks=f"{__name__}:tasks", host="process", max_turns=10)
