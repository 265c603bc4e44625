"""A process that has everything imported and forks a child for each job, so that a hundred killed runs take minutes.

It reads one job a line from its input and answers with one line when the child is gone. A job is a command of
`agentgym`, and what is to go wrong in it:

    argv    words of the command
    root    folder whose changes are counted: opening to write, making, renaming, removing, flushing to disk
    out     where the child's output goes
    kill    {"event": n, "after": microseconds}: SIGKILL so long after the n-th change began, by a timer of the kernel
    trace   file that gets [seconds, what, path] of each change
    fsize   most bytes of one file (RLIMIT_FSIZE)
    clock   seconds by which the wall clock jumps at each look at it, forwards and backwards in turn
    number  comes back with the answer
    modules imports these first, and answers with those the job had imported

Run by `faults_run.py`; imports nothing of the tests.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import time
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}


FIRST = ("agentgym.train", "agentgym.report", "agentgym.models.scratch", "agentgym_policies.transformers")
"""Imported before anything is forked; what else a run imports its `modules` say."""


class Sigevent(ctypes.Structure):
    """The kernel's `struct sigevent`."""

    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    ]


class Itimerspec(ctypes.Structure):
    """The kernel's `struct itimerspec`: an interval, and the time of the first ring."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


def kill_after(microseconds: int) -> None:
    """SIGKILL for this process by a timer of the kernel, wherever it is then: no Python code runs between."""
    libc = ctypes.CDLL(None, use_errno=True)
    event, timer = Sigevent(signo=signal.SIGKILL, notify=0), ctypes.c_void_p()
    if libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
        raise OSError(ctypes.get_errno(), "timer_create")
    seconds, rest = divmod(microseconds, 1_000_000)
    spec = Itimerspec(0, 0, seconds, max(1, rest * 1000))
    if libc.timer_settime(timer, 0, ctypes.byref(spec), None):
        raise OSError(ctypes.get_errno(), "timer_settime")


def watch(job: dict[str, Any]) -> None:
    """Count changes below the job's root, write them down, and die at the chosen one."""
    root, kill = job["root"], job.get("kill")
    # Unbuffered: what a killed run had done stays known.
    trace = open(job["trace"], "ab", buffering=0) if job.get("trace") else None  # noqa: SIM115
    count, began, inside = 0, time.monotonic(), False

    def change(what: str, path: str) -> None:
        nonlocal count, inside
        if root not in path or inside:
            return
        inside = True
        if trace is not None:
            trace.write(
                json.dumps([round(time.monotonic() - began, 6), what, path.partition(root)[2]]).encode() + b"\n"
            )
        if kill is not None and count == kill["event"]:
            if not kill["after"]:
                os.kill(os.getpid(), signal.SIGKILL)
            kill_after(kill["after"])
        count += 1
        inside = False

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if isinstance(path, (str, os.PathLike)) and (writes or set(str(mode or "")) & set("wxa+")):
                change("open", os.fspath(path))
        elif event in CHANGES and isinstance(args[0], (str, os.PathLike)):
            change(event, str(os.fspath(args[0])))

    fsync = os.fsync

    def counted(fd: int) -> None:
        change("fsync", os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)
        change("fsynced", os.readlink(f"/proc/self/fd/{fd}"))

    os.fsync = counted
    sys.addaudithook(hook)


def jumping(seconds: float) -> None:
    """Have every look at the wall clock find it moved; the monotonic clock stays."""
    real, looks = time.time, iter(range(1 << 60))
    time.time = lambda: real() + seconds * ((-1) ** next(looks)) * (1 + next(looks) % 5)
    time.time_ns = lambda: int(time.time() * 1e9)


def child(job: dict[str, Any], answers: int) -> int:
    """Do one job; the exit status."""
    out = os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if job.get("fsize"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["fsize"], job["fsize"]))
    if job.get("clock"):
        jumping(job["clock"])
    if job.get("root"):
        watch(job)
    from agentgym.cli import main

    code = main(job["argv"])
    if job.get("modules") is not None:
        os.write(answers, json.dumps(sorted(sys.modules)).encode())
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def serve() -> None:
    """Answer jobs until the input ends."""
    import torch

    torch.set_num_threads(1)  # No threads here: they would not come along into the children.
    for name in FIRST:
        importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        for name in job.get("modules") or ():
            if name not in sys.modules and name.partition(".")[0] != "__main__":
                try:
                    importlib.import_module(name)
                except BaseException:  # What cannot be imported out of order is imported by who needs it.
                    sys.modules.pop(name, None)
        came, went = os.pipe()
        pid = os.fork()
        if not pid:
            code = 99
            try:
                os.close(came)
                code = child(job, went)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(went)
        with os.fdopen(came, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(pid, 0)
        answer = {
            "number": job["number"],
            "code": os.waitstatus_to_exitcode(status),
            "modules": json.loads(said) if said else [],
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
