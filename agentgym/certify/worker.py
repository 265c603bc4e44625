"""The child's end of a stage: reads what to do, does it, says what it found.

It runs an environment that nobody trusts yet: it dies with its parent, and nothing that the environment prints or forks
reaches the pipe by which it reports.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agentgym.certify.finding import Failed, Finding
from agentgym.certify.settings import Settings
from agentgym.check.subject import Broken, Subject, whereabouts

PR_SET_PDEATHSIG = 1
Stage = Callable[["Job"], None]


class Job:
    """A stage at work: what is looked at, and how to report."""

    def __init__(self, fd: int, request: dict[str, Any]) -> None:
        self._fd = fd
        self.name: str = request["stage"]
        self.env: str | None = request["env"]
        self.args: dict[str, Any] = request.get("args", {})
        self.settings = Settings.of(request["settings"])
        self._request = request
        self._subject: Subject | None = None
        self._last = 0.0
        self.begin = time.monotonic()

    @property
    def subject(self) -> Subject:
        """The environment under test; its module is imported at the first look."""
        if self._subject is None:
            from agentgym import registry
            from agentgym.certify.naming import from_record

            spec = registry.spec(self.env) if self.env else from_record(self._request["spec"])
            self._subject = Subject(spec, dict(self._request["options"]), self.settings.quick, name=self.env)
        return self._subject

    @property
    def over(self) -> bool:
        """Whether the stage's budget is used up."""
        return time.monotonic() - self.begin > self.settings.budget

    def say(self, **message: Any) -> None:
        """One message to the parent."""
        data = json.dumps(message, default=str).encode() + b"\n"
        while data:
            data = data[os.write(self._fd, data) :]

    def at(self, what: str, seconds: float | None = None) -> None:
        """What comes now, and how long it may take before everything is killed."""
        self.say(at=what, seconds=seconds)

    def progress(self, done: int, total: int) -> None:
        """How far it is; told at most five times a second."""
        if time.monotonic() - self._last > 0.2:
            self._last = time.monotonic()
            self.say(progress=[done, total], stage=self.name)

    def finding(self, finding: Finding) -> None:
        """One result."""
        self.say(
            finding={
                "name": finding.name,
                "ok": finding.ok,
                "detail": finding.detail,
                "seconds": finding.seconds,
                "figures": finding.figures,
            }
        )

    def judge(self, name: str, look: Callable[[Job], tuple[str, dict[str, Any]]]) -> bool:
        """Run one look and report what it found; what it raises is what is wrong."""
        begin = time.perf_counter()
        figures: dict[str, Any] = {}
        try:
            (detail, figures), ok = look(self), True
        except Broken as error:
            detail, ok = str(error), False
            figures = error.figures if isinstance(error, Failed) else {}
        except Exception as error:
            detail, ok = f"raised {type(error).__name__}: {str(error)[:300]}{whereabouts(error)}", False
        self.finding(Finding(name, ok, detail, time.perf_counter() - begin, figures))
        return ok


def main(fd: int, parent: int) -> None:
    """Do what standard input asks for, and report on `fd`; see `agentgym.certify.child`."""
    os.set_inheritable(fd, False)
    os.register_at_fork(after_in_child=lambda: _close_fd(fd))
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
    request: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    job = Job(fd, request)
    from agentgym.certify.stages import WORK

    job.at("the start of the stage")
    WORK[job.name](job)
    job.say(end=True)
    # What the environment left running (threads, exit handlers) has no say in when the stage is over.
    os._exit(0)


def _close_fd(fd: int) -> None:
    with suppress(OSError):
        os.close(fd)
