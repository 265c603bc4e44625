"""Copies that play at the same time, and processes that differ in what nobody set: do they disturb an episode?"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from contextlib import ExitStack
from typing import Any

import numpy as np

from agentgym.certify.worker import Job
from agentgym.check.replay import differ, global_rng_kept, global_states, path_of, seed_globals
from agentgym.check.subject import Broken, Point, Walk, point
from agentgym.seeding import generator


def isolation(job: Job) -> tuple[str, dict[str, Any]]:
    """Interleaved episodes of several copies equal lone ones, whatever happens to global generators between steps."""
    subject, copies = job.subject, job.settings.copies
    rounds = 2 if job.settings.quick else 5
    steps = 0
    with global_rng_kept():
        for number in range(rounds):
            episodes = subject.episodes(copies * (number + 1))[-copies:]
            lone: list[Walk] = []
            for task, seed, _ in episodes:
                job.at(f"a lone episode of {task.id!r}", job.settings.reset_deadline)
                seed_globals(0)
                with subject.env() as env:
                    lone.append(subject.walk(env, task, seed, subject.most))
            job.at("interleaved episodes", job.settings.budget + job.settings.reset_deadline)
            steps += _interleaved(job, episodes, lone, generator(job.settings.seed, "certify", "turns", number))
            job.progress(number + 1, rounds)
            if job.over:
                rounds = number + 1
                break
    figures = {"copies": copies, "rounds": rounds, "steps": steps}
    return (
        f"{copies} copies at the same time, {rounds} times, {steps} steps: as alone; global generators unmoved",
        figures,
    )


def _interleaved(job: Job, episodes: list[Any], lone: list[Walk], rng: np.random.Generator) -> int:
    steps = 0
    with ExitStack() as stack:
        envs = [stack.enter_context(job.subject.env()) for _ in episodes]
        shown: list[list[Point]] = []
        for i, (task, seed, _) in enumerate(episodes):
            before = _disturb(int(rng.integers(1 << 30)))
            shown.append([point(envs[i].reset(seed=seed, options={"task": task})[0])])
            _unmoved(before, f"the reset of task {task.id!r}, seed {seed}")
        todo = [i for i, walk in enumerate(lone) for _ in walk.actions]
        rng.shuffle(todo)
        for i in todo:
            walk, at = lone[i], len(shown[i]) - 1
            before = _disturb(int(rng.integers(1 << 30)))
            step = envs[i].step(walk.actions[at])
            _unmoved(before, f"a step of task {episodes[i][0].id!r}, seed {episodes[i][1]}")
            shown[i].append(point(step.observation, step))
            steps += 1
            wrong = differ(walk.points[: at + 2], shown[i])
            if wrong:
                raise Broken(
                    f"with {len(envs)} copies at the same time, task {episodes[i][0].id!r}, seed {episodes[i][1]}: "
                    f"alone and among others, {wrong}{path_of(walk.actions[:at])}"
                )
            if walk.points[at + 1].ended not in ("", "False False") and at % 2:
                envs[i].close()  # One that ends must take nothing from the others.
    return steps


def _disturb(seed: int) -> tuple[str, str]:
    seed_globals(seed)
    return global_states(), _others()


def _unmoved(before: tuple[str, str], what: str) -> None:
    if (global_states(), _others()) != before:
        raise Broken(f"{what} moved a global random generator")


def _others() -> str:
    """Global generators of other libraries, where the environment has loaded them."""
    torch = sys.modules.get("torch")
    try:
        state: Any = torch.get_rng_state() if torch is not None else None
    except AttributeError:  # half imported
        return ""
    return "" if state is None else hashlib.blake2b(bytes(state.tolist())).hexdigest()


def digests(job: Job) -> None:
    """One digest an episode, for the parent to compare with those of other processes; `show` gives one in full."""
    subject, shown = job.subject, job.args.get("show")
    episodes = subject.episodes(job.settings.compared)
    if job.args.get("reverse"):
        episodes.reverse()
    with subject.env() as env:
        for number, (task, seed, length) in enumerate(episodes):
            if shown is not None and seed != shown:
                continue
            job.at(f"task {task.id!r}, seed {seed}", job.settings.reset_deadline + job.settings.step_deadline)
            seed_globals(random.SystemRandom().randrange(1 << 30))
            walk = subject.walk(env, task, seed, length)
            text = json.dumps([task.id, task.prompt, dict(task.data), walk.actions, walk.points], default=repr)
            digest = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
            job.say(episode=seed, task=task.id, digest=digest, steps=len(walk.actions))
            if shown is not None:
                data = json.dumps([task.id, task.prompt, dict(task.data)], default=repr)
                job.say(points=[list(p) for p in walk.points], actions=list(walk.actions), data=data)
            job.progress(number + 1, len(episodes))
