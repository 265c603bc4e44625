"""The parent's end of a stage: a process of its own, with an environment of its own, that is killed when it hangs.

The child says in JSON lines on a pipe what it is about to do, how long that may take, and what it found. What the
environment under test prints, forks or breaks stays over there; the whole process group ends with the stage.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, cast

BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[3]); "
    "from agentgym.certify.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
GRACE = 2.0
"""Seconds past a deadline that a child may break off by itself."""
LINE = 16_000_000
"""Most bytes of a line that are read."""
KEPT = 2_000
"""Bytes of the error stream that are kept."""


@dataclass(slots=True)
class Played:
    """How a child ended, and what it said."""

    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """All but remarks on progress."""
    ended: bool = False
    """Whether it came to its end."""
    problem: str = ""
    """Why it did not."""
    at: str = ""
    """What it was about to do, last it said."""
    clean: bool = False
    """Whether it left with exit code 0 (a fuzzer leaves before the end is said)."""


def run(
    request: Mapping[str, Any],
    seconds: float,
    environ: Mapping[str, str] | None = None,
    cwd: str | None = None,
    on_message: Callable[[dict[str, Any]], None] | None = None,
) -> Played:
    """Run one stage in a process of its own.

    Args:
        request: what `agentgym.certify.worker` reads.
        seconds: after which it is killed.
        environ: changes of its environment variables.
        cwd: its working folder; this one's if not given.
        on_message: called with every message as it comes.

    Returns:
        What it said. It is gone, and so is what it started and left in its process group.
    """
    ours, theirs = os.pipe()
    parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
    path = json.dumps([os.path.abspath(entry) for entry in sys.path])
    with os.fdopen(ours, "rb", buffering=0) as reader:
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", BOOT, str(theirs), str(parent), path],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs,),
                env={"OMP_NUM_THREADS": "1", **os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        with process:
            stdin = cast(IO[bytes], process.stdin)
            with suppress(BrokenPipeError), stdin:
                stdin.write(json.dumps(dict(request)).encode())
            try:
                return _watch(process, reader, seconds, on_message)
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()


def _watch(
    process: subprocess.Popen[bytes],
    reader: IO[bytes],
    seconds: float,
    on_message: Callable[[dict[str, Any]], None] | None,
) -> Played:
    played, said, tail = Played(), bytearray(), bytearray()
    errors = cast(IO[bytes], process.stderr)
    end = time.monotonic() + seconds
    due = end
    with selectors.DefaultSelector() as selector:
        for stream in (reader, errors):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        while True:
            gone = process.poll() is not None
            ready = selector.select(0.0 if gone else min(0.2, max(0.0, due - time.monotonic())))
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is errors:
                    tail = (tail + data)[-KEPT:]
                else:
                    said += data
                    for message in _lines(said):
                        due = _heard(played, message, due, end)
                        if on_message is not None:
                            on_message(message)
            if played.ended or len(said) > LINE or (gone and not ready):
                break
            if not gone and time.monotonic() >= due:
                what = played.at or "its start"
                played.problem = f"{what} took too long: it hangs, and was killed"
                return played
            if not gone and not selector.get_map():
                time.sleep(0.05)  # It closed both streams and lives on.
    if not played.ended and not played.problem:
        code = process.wait()
        played.clean = code == 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        words = tail.decode(errors="replace").strip().splitlines()
        last = f": {words[-1][:300]}" if words else ""
        played.problem = f"its process died ({how}) {'in ' + played.at if played.at else 'at its start'}{last}"
    return played


def _lines(said: bytearray) -> list[dict[str, Any]]:
    *whole, rest = said.split(b"\n")
    said[:] = rest
    found: list[dict[str, Any]] = []
    for line in whole:
        with suppress(ValueError):
            value: Any = json.loads(line)
            if isinstance(value, dict):
                found.append(cast(dict[str, Any], value))
    return found


def _heard(played: Played, message: dict[str, Any], due: float, end: float) -> float:
    """Keep a message; gives when the child must be further."""
    if "at" in message:
        played.at = str(message["at"])
        limit = message.get("seconds")
        return min(end, time.monotonic() + float(limit) + GRACE) if limit is not None else end
    if message.get("end"):
        played.ended = True
    elif "progress" not in message:
        played.messages.append(message)
    return due
