"""A guardian between trainer and server: when the trainer is gone, however it went, so is the server.

A server on its own outlives a trainer that is killed, and holds memory and cores. The guardian is a small process that
starts the server, waits for either end, and leaves nothing behind: its standard input is a pipe that only the trainer
holds, so the end of the file is the end of the trainer. Used as a script; imports the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the pipe alone must do."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _dies_with_guardian() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def children(parent: int) -> list[int]:
    """Process ids whose parent is `parent`; empty where there is no /proc."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in brackets may hold anything; the parent's id is the second field after it.
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def reap(group: int, grace: float) -> None:
    """Stop a process group, politely and then not, and all who were left to us."""
    for how, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, how)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and children(os.getpid()):
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.02)
    for child in children(os.getpid()):  # Such as left the group.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def main() -> int:
    """`vllm_guard.py FOLDER GRACE COMMAND...`: FOLDER is removed at the end if the trainer is gone."""
    folder, grace, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_dies_with_guardian)
    orphaned = False
    while child.poll() is None:
        ready, _, _ = select.select([0], [], [], 0.2)
        if ready:
            # A byte is the trainer's own wish to stop; the end of the file is the trainer's end.
            orphaned = not os.read(0, 1)
            break
    code = child.returncode
    reap(child.pid, grace)
    if orphaned:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    return code if code is not None and 0 <= code < 256 else 128 + abs(code or 0)


if __name__ == "__main__":
    sys.exit(main())
