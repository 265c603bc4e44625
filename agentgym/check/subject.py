"""What is being checked, and how it is walked through: everything the rules share."""

from __future__ import annotations

import json
import signal
import threading
import time
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from agentgym import registry
from agentgym.env import Ability, EnvSpec, TextEnv
from agentgym.errors import AgentgymError
from agentgym.seeding import derive, generator
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task

WALK_SECONDS = 120.0
"""A walk that takes longer counts as a hang."""

UNSETTLED = {"deterministic", "global-rng", "reset", "state-keys"}
"""Rules that, where they are broken, are why two episodes may differ."""


class Broken(AgentgymError):
    """A rule is broken; the message says where, so that it can be seen again."""


class Point(NamedTuple):
    """What an environment showed after one action, in a form that can be compared."""

    text: str
    role: str
    actions: tuple[str, ...] | None
    tools: str
    reward: str
    """As text, so that even NaN is equal to itself."""
    ended: str
    info: str
    key: str

    def seen(self) -> Point:
        """Without the state key."""
        return self._replace(key="")


@dataclass(frozen=True, slots=True)
class Walk:
    """The actions of part of an episode, and what they led to: one point more than actions."""

    actions: tuple[str, ...]
    points: tuple[Point, ...]


def point(observation: Observation, step: Step | None = None) -> Point:
    """What can be compared of an observation, and of the step that gave it."""
    return Point(
        text=observation.text,
        role=observation.role,
        actions=observation.actions,
        tools=_canonical(observation.tools),
        reward="0.0" if step is None else repr(step.reward),
        ended="" if step is None else f"{step.terminated} {step.truncated}",
        info="" if step is None else _canonical(step.info),
        key=observation.state_key,
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


class Subject:
    """An environment under test."""

    def __init__(self, spec: EnvSpec, options: dict[str, Any], quick: bool, name: str | None = None) -> None:
        """Args: `name` is what it was asked for by, where it was by name."""
        self.spec, self.options, self.quick, self.name = spec, options, quick, name
        self.broken: set[str] = set()
        """Names of rules that were found broken."""
        self.seeds = 10 if quick else 100
        self.most = min(30, spec.max_turns) if spec.max_turns > 0 else 30
        """Most steps of a walk."""

    @cached_property
    def train(self) -> TaskSet:
        """The training tasks."""
        return registry.tasks(self.spec, "train", **self.options)

    @cached_property
    def heldout(self) -> TaskSet:
        """The held-out tasks."""
        return registry.tasks(self.spec, "heldout", **self.options)

    @cached_property
    def tasks(self) -> list[Task]:
        """A handful of tasks of both splits: making one can be dear."""
        picked = [(self.train, 0), (self.heldout, 0)]
        if not self.quick:
            picked += [(self.train, len(self.train) // 2), (self.train, -1), (self.heldout, -1)]
        found = [tasks[i] for tasks, i in picked if len(tasks)]
        return list({task.id: task for task in found}.values())

    def claims(self, ability: Ability) -> bool:
        """Whether the environment says that it can."""
        return ability in self.spec.abilities

    @property
    def settled(self) -> bool:
        """Whether equal episodes are to be expected: it is claimed, and not found broken."""
        return self.claims(Ability.DETERMINISTIC) and not self.broken & UNSETTLED

    def make(self) -> TextEnv:
        """A fresh environment whose default tasks are those of the check."""
        made = registry.make(self.spec, **self.options)
        made.default_tasks = lambda: TaskSet.of("train", self.tasks)
        return made

    @contextmanager
    def env(self) -> Generator[TextEnv]:
        """A fresh environment that is closed afterwards."""
        made = self.make()
        try:
            yield made
        finally:
            made.close()

    def episodes(self, count: int) -> list[tuple[Task, int, int]]:
        """Tasks, seeds and lengths of `count` walks: every seed another, tasks in turn."""
        return [
            (self.tasks[i % len(self.tasks)], i, 1 + derive(i, "check", "length") % self.most) for i in range(count)
        ]

    def walk(
        self, env: TextEnv, task: Task, seed: int, steps: int, stream: int = 0, now: Observation | None = None
    ) -> Walk:
        """Play up to `steps` actions, chosen from `seed` and `stream` alone; every fifth walk asks the oracle half the
        time. It begins anew, or goes on from the observation `now`."""
        rng = generator(seed, "check", "walk", stream)
        with deadline(WALK_SECONDS, f"an episode of {task.id!r}"):
            observation = now or env.reset(seed=seed, options={"task": task})[0]
            points, actions = [point(observation)], list[str]()
            helped = self.claims(Ability.ORACLE) and (seed + stream) % 5 == 0
            for _ in range(steps):
                action = (env.oracle() if helped and rng.random() < 0.5 else None) or self.choose(observation, rng)
                step = env.step(action)
                observation = step.observation
                actions.append(action)
                points.append(point(observation, step))
                if step.terminated or step.truncated:
                    break
        return Walk(tuple(actions), tuple(points))

    def replay(
        self, env: TextEnv, task: Task, seed: int, actions: Sequence[str], now: Observation | None = None
    ) -> tuple[Point, ...]:
        """The points that given actions lead to, anew or from the observation `now`; ends where the episode does."""
        with deadline(WALK_SECONDS, f"an episode of {task.id!r}"):
            first = now or env.reset(seed=seed, options={"task": task})[0]
            points = [point(first)]
            for action in actions:
                step = env.step(action)
                points.append(point(step.observation, step))
                if step.terminated or step.truncated:
                    break
        return tuple(points)

    def to_the_end(self, env: TextEnv, task: Task) -> Step | None:
        """Play until the episode ends, with the oracle's help if there is one; the last step, or `None` where no end
        is met."""
        observation, rng = env.reset(seed=0, options={"task": task})[0], generator(0, "check", "end")
        for _ in range(min(200, 5 * self.spec.max_turns)):
            step = env.step((self.claims(Ability.ORACLE) and env.oracle()) or self.choose(observation, rng))
            if step.terminated or step.truncated:
                return step
            observation = step.observation
        return None

    def choose(self, observation: Observation, rng: np.random.Generator) -> str:
        """An action: mostly an admissible one where they are listed, else words that the environment used."""
        listed = observation.actions
        if listed and rng.random() < 0.85:
            return listed[int(rng.integers(len(listed)))]
        words = [word for word in observation.text.split() if word.isalnum()][:200] or ["look"]
        return " ".join(words[int(i)] for i in rng.integers(len(words), size=int(rng.integers(1, 4))))


def score_of(steps: Sequence[Step]) -> float:
    """The outcome of an episode: what its last info reports, else the sum of rewards."""
    last = steps[-1].info if steps else {}
    return float(last["outcome"]) if "outcome" in last else float(sum(step.reward for step in steps))


def shown(value: object, most: int = 60) -> str:
    """A short, printable form of a hostile value."""
    text = ascii(value if not isinstance(value, str) else value[: most * 2])
    return text if len(text) <= most else f"{text[: most - 3]}..."


def whereabouts(error: BaseException) -> str:
    """The place an exception comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""


@contextmanager
def deadline(seconds: float, what: str) -> Generator[None]:
    """Break off what hangs, where that can be done (the main thread of a POSIX system); elsewhere, tell afterwards.

    Raises:
        Broken: it took longer.
    """
    begin = time.monotonic()
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        if time.monotonic() - begin > seconds:
            raise Broken(f"{what} took {time.monotonic() - begin:.0f} s, more than {seconds:.0f}")
        return

    def ring(number: int, frame: Any) -> None:
        raise Broken(f"{what} took more than {seconds:.0f} s: it hangs")

    # Somebody else's alarm (a test runner's) goes on afterwards with what is left of it.
    handler = signal.signal(signal.SIGALRM, ring)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - begin)), every)
