"""Oracle 1, silence 0: on many tasks, not only on the handful that `agentgym check` looks at."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any

from agentgym.certify.worker import Job
from agentgym.check.play import solve
from agentgym.check.subject import Broken, score_of, shown
from agentgym.tasks import TaskSet
from agentgym.types import Step, Task

SILENT = 12
"""Turns of silence in an episode."""


def spread(tasks: TaskSet, count: int) -> list[Task]:
    """`count` tasks, evenly spread over a set."""
    count = min(count, len(tasks))
    return [tasks[i * len(tasks) // count] for i in range(count)]


def solved(job: Job) -> tuple[str, dict[str, Any]]:
    """The oracle scores 1 on each task of the sample, and saying nothing scores 0."""
    subject, settings = job.subject, job.settings
    splits = (spread(subject.train, settings.tasks), spread(subject.heldout, settings.tasks))
    todo = [task for pair in zip_longest(*splits) for task in pair if task is not None]
    most, turns, done = subject.spec.max_turns, list[int](), 0
    with subject.env() as env:
        for done, task in enumerate(todo, 1):
            limit = settings.reset_deadline + settings.step_deadline
            job.at(f"the oracle on task {task.id!r}", limit)
            steps = solve(env, task, most)
            score = score_of(steps)
            if not steps or not steps[-1].info.get("success") or not math.isclose(score, 1.0, abs_tol=1e-6):
                raise Broken(f"{task.split} task {task.id!r}: the oracle scores {score:g} in {len(steps)} turns, not 1")
            turns.append(len(steps))
            job.at(f"silence on task {task.id!r}", limit)
            env.reset(seed=0, options={"task": task})
            silent: list[Step] = []
            while len(silent) < min(most, SILENT) and not (silent and (silent[-1].terminated or silent[-1].truncated)):
                silent.append(env.step(""))
            if silent[-1].info.get("success") or abs(score_of(silent)) > 1e-6:
                raise Broken(f"{task.split} task {task.id!r}: saying nothing scores {shown(str(score_of(silent)))}")
            job.progress(done, len(todo))
            if job.over:
                break
    asked = "" if done == len(todo) else f" of {len(todo)} (time was up)"
    figures = {"tasks": done, "train": len(subject.train), "heldout": len(subject.heldout), "turns": max(turns)}
    return (
        f"{done}{asked} tasks of both splits: the oracle scores 1 in {min(turns)} to {max(turns)} turns, silence 0",
        figures,
    )
