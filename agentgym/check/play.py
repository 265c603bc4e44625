"""The rules about playing well and playing badly: hostile actions, and the claims that a player can rely on."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from agentgym.check.basics import valid_step
from agentgym.check.hostile import hostile_actions
from agentgym.check.subject import Broken, Subject, deadline, score_of, shown
from agentgym.env import Ability, TextEnv
from agentgym.errors import AgentgymError
from agentgym.types import Observation, Step, Task

STEP_SECONDS = 5.0
"""Most time for one hostile action."""


def hostile(subject: Subject) -> str:
    """Any string is an answer that the environment takes, in bounded time."""
    count = 200 if subject.quick else 1000
    task = subject.tasks[0]
    slowest = 0.0
    with subject.env() as env:
        before = subject.walk(env, task, 0, 5)
        env.reset(seed=0, options={"task": task})
        for number, (kind, action) in enumerate(hostile_actions(count)):
            where = f"{kind} action {shown(action)} ({len(action)} characters)"
            begin = time.perf_counter()
            try:
                with deadline(STEP_SECONDS, where):
                    step: Any = env.step(action)
            except Broken:
                raise
            except Exception as error:
                raise Broken(f"{where} raised {type(error).__name__}: {shown(str(error), 200)}") from error
            slowest = max(slowest, time.perf_counter() - begin)
            if not isinstance(step, Step):
                raise Broken(f"{where}: {type(step).__name__} instead of a Step")
            if "records" not in subject.broken:
                valid_step(step, where)
            if step.terminated or step.truncated:
                env.reset(seed=number, options={"task": subject.tasks[number % len(subject.tasks)]})
        if subject.settled and subject.replay(env, task, 0, before.actions) != before.points:
            raise Broken("after the hostile actions, an episode is not what it was before")
    return f"{count} actions, the slowest took {1000 * slowest:.0f} ms"


def admissible(subject: Subject) -> str:
    """Each observation of an open episode lists actions, and they are taken."""
    count = 0
    with subject.env() as env:
        for task, seed, length in subject.episodes(10 if subject.quick else 30):
            observation, rng = env.reset(seed=seed, options={"task": task})[0], np.random.default_rng(seed)
            for turn in range(length):
                where = f"task {task.id!r}, seed {seed}, turn {turn}"
                listed = observation.actions
                if not listed:
                    raise Broken(f"{where}: no admissible actions are listed")
                if len(set(listed)) != len(listed):
                    raise Broken(f"{where}: an admissible action is listed twice")
                action = listed[int(rng.integers(len(listed)))]
                step = env.step(action)
                count += 1
                if "fault" in step.info:
                    raise Broken(f"{where}: the admissible action {shown(action)} is a fault: {step.info['fault']!r}")
                observation = step.observation
                if step.terminated or step.truncated:
                    break
    return f"{count} actions taken"


def progress(subject: Subject) -> str:
    """Progress is in [0, 1], below 1 until the success, and on the oracle's way it never falls."""
    count = 0
    with subject.env() as env:
        for task, seed, length in subject.episodes(10 if subject.quick else 30):
            walk = subject.walk(env, task, seed, length)
            env.reset(seed=seed, options={"task": task})
            for turn, action in enumerate(walk.actions):
                _progress(env.step(action), f"task {task.id!r}, seed {seed}, turn {turn} (action {shown(action)})")
                count += 1
        if subject.claims(Ability.ORACLE) and "oracle" not in subject.broken:
            for task in subject.tasks:
                last = 0.0
                for turn, step in enumerate(solve(env, task, subject.spec.max_turns)):
                    where = f"task {task.id!r}, turn {turn} of the oracle"
                    now = _progress(step, where)
                    if now < last - 1e-9:
                        raise Broken(f"{where}: progress falls from {last} to {now}")
                    last, count = now, count + 1
    return f"{count} steps"


def _progress(step: Step, where: str) -> float:
    value = step.info.get("progress")
    if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise Broken(f"{where}: info['progress'] is {value!r}, not a number from 0 to 1")
    won = bool(step.info.get("success"))
    if won and not math.isclose(value, 1.0):
        raise Broken(f"{where}: the task is solved, and progress is {value}")
    if not won and value >= 1.0:
        raise Broken(f"{where}: progress is 1, and the task is not solved")
    return float(value)


def solve(env: TextEnv, task: Task, most: int) -> list[Step]:
    """The steps of the oracle."""
    env.reset(seed=0, options={"task": task})
    steps: list[Step] = []
    while len(steps) < most and not (steps and (steps[-1].terminated or steps[-1].truncated)):
        action = env.oracle()
        if action is None:
            break
        steps.append(env.step(action))
    return steps


def oracle(subject: Subject) -> str:
    """The oracle solves every task within the turns there are, scores 1, and asking it changes nothing."""
    turns: list[int] = []
    with subject.env() as env:
        for task in subject.tasks:
            first = env.reset(seed=0, options={"task": task})[0]
            _asked(env, first, task)
            steps = solve(env, task, subject.spec.max_turns)
            if not steps or not steps[-1].info.get("success"):
                raise Broken(f"task {task.id!r}: the oracle does not solve it in {len(steps)} turns")
            score = score_of(steps)
            if not math.isclose(score, 1.0, abs_tol=1e-6):
                raise Broken(f"task {task.id!r}: the oracle scores {score}, not 1")
            turns.append(len(steps))
    return f"{len(turns)} tasks solved in {min(turns)} to {max(turns)} turns"


def _asked(env: TextEnv, observation: Observation, task: Task) -> None:
    one: Any = env.oracle()
    if not isinstance(one, str):
        raise Broken(f"task {task.id!r}: at the beginning the oracle gives {one!r}, not an action")
    if env.oracle() != one:
        raise Broken(f"task {task.id!r}: asked twice, the oracle gives two answers")
    # Off the path it may know no way, but it may not break.
    rng = np.random.default_rng(0)
    for _ in range(5):
        listed = observation.actions or ("look",)
        step = env.step(listed[int(rng.integers(len(listed)))])
        observation = step.observation
        if step.terminated or step.truncated:
            return
        try:
            env.oracle()
        except AgentgymError as error:
            raise Broken(f"task {task.id!r}: off its path the oracle raises {type(error).__name__}: {error}") from error


def empty_policy(subject: Subject) -> str:
    """Saying nothing solves nothing and scores 0."""
    turns = 0
    with subject.env() as env:
        for task in subject.tasks:
            env.reset(seed=0, options={"task": task})
            steps: list[Step] = []
            while len(steps) < subject.most and not (steps and (steps[-1].terminated or steps[-1].truncated)):
                steps.append(env.step(""))
            turns += len(steps)
            if steps[-1].info.get("success") or abs(score_of(steps)) > 1e-6:
                raise Broken(f"task {task.id!r}: a policy that says nothing scores {score_of(steps)}")
    return f"{turns} empty turns"


def answer(subject: Subject) -> str:
    """Each task has its private answer."""
    for task in subject.tasks:
        found = task.data.get("answer")
        if not isinstance(found, str) or not found:
            raise Broken(f"task {task.id!r}: data['answer'] is {found!r}, not a text")
    return f"{len(subject.tasks)} tasks"
