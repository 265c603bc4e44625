"""Wall clocks that jump by hours, forwards and backwards, at every look: deadlines do not, and nothing is negative."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from faults_envs import DEADLINE, GRACE, played
from faults_run import ForkServer, Tally, bits, differences

from agentgym.types import Ending, Task

HOURS = 3 * 3600.0


def numbers(record: Any, clocks: tuple[str, ...] = ("seconds", "env_seconds")) -> list[float]:
    """All times that a record holds."""
    if isinstance(record, list):
        return [n for value in record for n in numbers(value, clocks)]
    if not isinstance(record, dict):
        return []
    own = [float(v) for k, v in record.items() if k in clocks or k == "time/seconds"]
    return own + [n for value in record.values() for n in numbers(value, clocks)]


def jumped_runs(server: ForkServer) -> Tally:
    """Runs under a jumping clock, named by themselves: same bits, names of their own, no negative time."""
    tally, known = Tally("runs under a clock that jumps by hours: the same bits"), set(server.root.iterdir())
    argv = ["train", str(server.recipe), "--root", str(server.root)]
    for jump in (HOURS, -HOURS):
        ended = server.do(*argv, clock=jump)
        made = set(server.root.iterdir()) - known
        known |= made
        trouble = "" if ended.code == 0 and len(made) == 1 else f"ended with {ended.code}: {ended.said[-500:]}"
        if not trouble:
            (folder,) = made
            trouble = ", ".join(differences(bits(folder), server.bits))
            logs = [folder / "metrics.jsonl", folder / "trajectories.jsonl"]
            times = numbers([json.loads(line) for log in logs for line in log.read_text().splitlines()])
            if min(times) < 0 or max(times) > 600:
                trouble += f" times from {min(times)} to {max(times)} s"
        tally.add(trouble)
    return tally


def jumped_episodes(work: Path, patch: pytest.MonkeyPatch) -> Tally:
    """Healthy episodes and hung ones while this process's clock jumps: only the hung ones end, and in time."""
    tally, real, looks = Tally("episodes under a clock that jumps by hours"), time.time, iter(range(1 << 60))
    todo = [Task(f"t{i}", data={"length": 4}) for i in range(10)]
    todo[4] = Task("t4", data={"break": "hang", "began": str(work / "hung")})
    with patch.context() as patched:
        patched.setattr(time, "time", lambda: real() + HOURS * (next(looks) % 3 - 1))
        found, over = played(todo, processes=2)
    for task, trajectory in zip(todo, found, strict=True):
        wanted = Ending.INFRA_ERROR if task.data.get("break") else Ending.SUCCESS
        good = trajectory.ending is wanted and 0 <= trajectory.seconds < 60
        tally.add("" if good else f"{task.id}: {trajectory.ending} after {trajectory.seconds} s")
    took = over["t4"] - float((work / "hung").read_text())
    if not DEADLINE - 0.1 <= took < DEADLINE + GRACE:
        tally.failed.append(f"the hung one was over after {took:.1f} s")
    tally.note = f"a deadline of {DEADLINE:g} s kept after {took:.1f} s"
    return tally
