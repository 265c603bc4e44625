"""Environments of which a tenth hang, crash, leak, fork, print and eat memory: what becomes of the others."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import psutil
from broken import HARMLESS, WAYS
from faults_run import Tally

from agentgym.host import HostPool
from agentgym.limits import Limits
from agentgym.rollout import attempts, collect
from agentgym.types import Ending, Task, Trajectory
from agentgym_policies.scripted import Oracle

BROKEN = f"{Path(__file__).parent / 'broken.py'}:SPEC"
DEADLINE, GRACE = 3.0, 2.0
MEMORY = 400 << 20


def tasks(episodes: int, work: Path, bad: bool) -> list[Task]:
    """Every tenth breaks, each in the next of all ways, in its first or second step, half of them with a daemon."""
    ways, found = sorted(WAYS), list[Task]()
    for i in range(episodes):
        data: dict[str, object] = {"length": 4}
        if bad and i % 10 == 5:
            nth = i // 10
            data |= {"break": ways[nth % len(ways)], "at": 1 + nth % 2, "began": str(work / f"began-{i}")}
            if nth % 2:
                data["daemon"] = str(work / "daemons")
        found.append(Task(f"t{i}", data=data))
    return found


def played(todo: list[Task], processes: int) -> tuple[list[Trajectory], dict[str, float]]:
    """Play the oracle; the trajectories, and when each was over."""
    over: dict[str, float] = {}
    with HostPool(
        BROKEN, kind="process", processes=processes, step_deadline=DEADLINE, reset_deadline=60, memory=MEMORY
    ) as hosts:
        found = collect(
            attempts(todo, 1, 0), env="broken-v0", policy=Oracle(), limits=Limits(turns=8), hosts=hosts, slots=16,
            retries=0, dialect="plain", on_trajectory=lambda t: over.update({t.task_id: time.monotonic()}),
        )  # fmt: skip
    return found, over


def timeless(trajectory: Trajectory) -> Trajectory:
    """Without what a clock says, and without how often a neighbour's end had it played again."""
    turns = tuple(replace(turn, env_seconds=0.0) for turn in trajectory.turns)
    return replace(trajectory, turns=turns, seconds=0.0, retries=0)


def tenth_broken(episodes: int, work: Path, processes: int = 4) -> Tally:
    """Healthy episodes are those of a run without broken ones; broken ones end in time; no process is left."""
    tally, before = (
        Tally("episodes of which every tenth breaks its environment"),
        {p.pid for p in psutil.process_iter()},
    )
    calm, _ = played(tasks(episodes, work, bad=False), processes)
    todo = tasks(episodes, work, bad=True)
    began = time.monotonic()
    found, over = played(todo, processes)
    seconds, slowest, broke = time.monotonic() - began, 0.0, 0
    for task, trajectory, wanted in zip(todo, found, calm, strict=True):
        way = str(task.data.get("break", "healthy"))
        if way in HARMLESS or way == "healthy":
            same = timeless(trajectory) == timeless(wanted) and trajectory.ending is Ending.SUCCESS
            tally.add("" if same else f"{task.id}, {way}: {trajectory.ending} {trajectory.error}")
            continue
        broke += 1
        if not Path(str(task.data["began"])).exists():
            tally.add(f"{task.id}, {way}: {trajectory.ending} {trajectory.error} before it broke")
            continue
        took = over[task.id] - float(Path(str(task.data["began"])).read_text())
        slowest = max(slowest, took)
        recorded = trajectory.ending is Ending.INFRA_ERROR and not trajectory.trainable and not trajectory.samples
        said = f"{task.id}, {way}: {trajectory.ending} {trajectory.error} after {took:.1f} s"
        tally.add("" if recorded and trajectory.error and took < DEADLINE + GRACE else said)
    daemons = [int(line) for line in (work / "daemons").read_text().split()]
    until = time.monotonic() + 5  # The kernel gets to what was killed when it does.
    while (left := remains(before, daemons)) and time.monotonic() < until:
        time.sleep(0.05)
    tally.failed += left
    tally.note = (
        f"{broke} broke, the last over {slowest:.1f} s after it broke (deadline {DEADLINE:g} s); "
        f"{len(daemons)} daemons, {len(left)} processes left; {seconds:.0f} s"
    )
    return tally


def remains(before: set[int], daemons: list[int]) -> list[str]:
    """Children of this process that were not there before, zombies among them, and daemons that still run."""
    children = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    found = [f"child {p.pid} is left" for p in children]
    for pid in daemons:
        # One that is over but not yet buried belongs to the machine's first process.
        if os.path.exists(f"/proc/{pid}") and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            found.append(f"daemon {pid} is left")
    return found
