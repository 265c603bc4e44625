"""The processes of ranks as their parent sees them: started, asked, watched and ended.

A rank that dies takes its part of the weights along, and one that hangs has all others wait for it. Either is found out
and named: a closed line is a death, and each rank counts layers in memory that the parent can see, so that the one that
holds the others up is the one that is stopped, or that got least far.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from torch import Tensor

from agentgym.errors import InfraError, StoreError, UsageError
from agentgym.learner.rank_process import BEAT

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[3]); "
    "from agentgym.learner.rank_process import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
GRACE = 2.0
"""Seconds for the rest of the news once a rank has failed: which of them died, and not merely lost the others."""
DEAF = 10 * BEAT
"""A process without a sign of life for so many seconds is stopped, and not merely waiting for others."""


class RankProcess:
    """One rank's process and the line to it."""

    def __init__(self, threads: int) -> None:
        ours, theirs = socket.socketpair()
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        environ = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if sys.platform == "linux":
            environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), str(parent), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environ,
                start_new_session=True,  # Its own group; and Ctrl-C reaches only the parent.
            )
        self.connection = Connection(ours.detach())

    def ended(self) -> str:
        """How."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        code = self.process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """End it and wait until it has."""
        self.connection.close()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class RankProcesses:
    """All ranks of one learner."""

    def __init__(self) -> None:
        self.members: list[RankProcess] = []
        self._awaited = 0

    @property
    def running(self) -> bool:
        """Whether there are any."""
        return bool(self.members)

    def start(self, world: int, threads: int) -> None:
        """Start so many processes, of so many threads each."""
        self.members += [RankProcess(threads) for _ in range(world)]

    def end(self) -> None:
        """Kill all and wait until they are gone."""
        while self.members:
            self.members.pop().kill()

    def ask(
        self, what: str, messages: Sequence[Mapping[str, Any]], pulse: Tensor, timeout: float
    ) -> list[dict[str, Any]]:
        """Have every rank do something, and wait until all have.

        Args:
            what: it is called so in error messages.
            messages: one for each rank, JSON values.
            pulse: `[ranks, 2]` int64, in memory they write to: layers computed, time of the last sign of life.
            timeout: seconds in which no rank computes a further layer, after which one of them hangs.

        Returns:
            Their answers.

        Raises:
            InfraError: one died, hangs or failed; all have been ended.
            UsageError, StoreError: one said so; the ranks live on if all said so.
        """
        if not self.running:
            raise InfraError("the learner's ranks have been ended: load_state starts them again")
        try:
            for rank, message in zip(self.members, messages, strict=True):
                with suppress(OSError):  # It is dead, which is found out below.
                    rank.connection.send_bytes(json.dumps(message).encode())
            return self._answers(what, pulse, timeout)
        except BaseException:
            if self._awaited:  # Who has not answered waits for the others, and will for long.
                self.end()
            raise

    def _answers(self, what: str, pulse: Tensor, timeout: float) -> list[dict[str, Any]]:
        answers: dict[int, dict[str, Any]] = {}
        gone: list[int] = []
        self._awaited = len(self.members)
        seen, until = pulse[:, 0].tolist(), time.monotonic() + timeout
        while len(answers) < len(self.members):
            waiting = {r.connection: i for i, r in enumerate(self.members) if i not in answers and i not in gone}
            for ready in wait(list(waiting), timeout=BEAT):
                index = waiting[ready]  # pyright: ignore[reportArgumentType]
                try:
                    answers[index] = json.loads(self.members[index].connection.recv_bytes())
                    self._awaited -= 1
                except (EOFError, OSError):
                    gone.append(index)
            failed = gone or [i for i, answer in answers.items() if "ok" not in answer]
            now, counts = time.monotonic(), pulse[:, 0].tolist()
            if counts != seen and not failed:
                seen, until = counts, now + timeout
            if failed:
                until = min(until, now + GRACE)
            if (failed and (now >= until or len(waiting) <= 1)) or len(gone) == len(self.members):
                self._fail(what, gone, answers)
            if now >= until:
                if failed:
                    self._fail(what, gone, answers)
                raise InfraError(
                    self._hung(what, [i for i in range(len(self.members)) if i not in answers], pulse, timeout)
                )
        self._fail(what, gone, answers)
        return [answers[i]["ok"] for i in range(len(self.members))]

    def _fail(self, what: str, gone: Sequence[int], answers: Mapping[int, Mapping[str, Any]]) -> None:
        """Say what went wrong, if something did; who died is to blame rather than who lost a peer by it."""
        world = len(self.members)
        if gone:
            codes = ", ".join(f"learner rank {i} of {world} died ({self.members[i].ended()})" for i in sorted(gone))
            raise InfraError(f"{codes} in {what}; all ranks are ended. Memory may have run out: see the system's log")
        bad = {i: answer for i, answer in sorted(answers.items()) if "ok" not in answer}
        kinds = {"UsageError": UsageError, "StoreError": StoreError}
        for index, answer in sorted(bad.items(), key=lambda entry: entry[1]["kind"] not in kinds):
            if answer["kind"] in kinds:
                raise kinds[answer["kind"]](answer["text"])
            raise InfraError(f"learner rank {index} of {world} failed in {what}: {answer['text']}; all ranks are ended")

    def _hung(self, what: str, silent: Sequence[int], pulse: Tensor, timeout: float) -> str:
        """Who holds the others up: a process that is stopped, else those that got least far."""
        beats, counts = pulse[:, 1].tolist(), pulse[:, 0].tolist()
        deaf = [i for i in silent if time.monotonic_ns() - beats[i] > DEAF * 1e9]
        behind = [i for i in silent if counts[i] == min(counts[j] for j in silent)]
        names = ", ".join(map(str, deaf or behind))
        return (
            f"learner rank {names} of {len(self.members)} hangs in {what}: nothing moved for "
            f"{timeout:g} seconds; all ranks are ended. "
            "If a layer or an update may take longer, raise trainer.rank_timeout"
        )
