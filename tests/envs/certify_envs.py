"""Environments that keep the rules of `agentgym check`, or nearly, and are broken where only `certify` looks."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from typing import ClassVar

from broken_envs import ALL, Stairs

from agentgym.env import Ability, EnvSpec
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task

CHILD = "1000.25"
"""Seconds that a child sleeps, which nobody else's does: it is looked for among all processes."""
WORDS = ("granite", "basalt", "marble", "gneiss", "quartz")


def tasks(split: str) -> TaskSet:
    def make(index):
        top = 3 + 2 * index + (split == "heldout")
        return Task(f"{split}-{top}", "climb the stairs", {"top": top, "answer": f"{WORDS[index]} {top}"}, split)

    return TaskSet(split, 5, make)


kept: list[object] = []


class LeaksMemory(Stairs):
    def begin(self, task, rng):
        kept.append(b"x" * 20_000 + os.urandom(8))
        return super().begin(task, rng)


class LeaksOutsidePython(Stairs):
    """Memory that Python knows nothing of."""

    def begin(self, task, rng):
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        ctypes.memset(libc.malloc(200_000), 1, 200_000)
        return super().begin(task, rng)


class LeaksThreads(Stairs):
    def begin(self, task, rng):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().begin(task, rng)


class LeaksDescriptors(Stairs):
    def begin(self, task, rng):
        os.dup(2)
        return super().begin(task, rng)


class LeaksChildren(Stairs):
    def begin(self, task, rng):
        kept.append(subprocess.Popen(["sleep", CHILD]))
        return super().begin(task, rng)


class StaysAlive(Stairs):
    """Closed, it is still in a list."""

    def begin(self, task, rng):
        kept.append(self)
        return super().begin(task, rng)


class KeepsThread(Stairs):
    """One thread a copy, which closing does not end."""

    def __init__(self):
        super().__init__()
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class HashSeed(Stairs):
    def paint(self, rng):
        return sorted(WORDS, key=hash)[0]


class TimeZone(Stairs):
    def paint(self, rng):
        return str(time.localtime(0).tm_hour)


class Locale(Stairs):
    def paint(self, rng):
        with open(__file__) as file:
            return f"{len(file.read())} {'ä'}"


def hashed_tasks(split: str) -> TaskSet:
    """Tasks in the order of a set."""
    words = sorted({*WORDS}, key=hash)
    return TaskSet(
        split, 5, lambda i: Task(f"{split}-{i}", "", {"top": 4 + (split == "heldout"), "word": words[i]}, split)
    )


class SharesState(Stairs):
    """What one copy does, another one sees, while both play."""

    floor: ClassVar = [0]

    def begin(self, task, rng):
        self.floor[0] = 0
        return super().begin(task, rng)

    def act(self, action):
        self.floor[0] += action == "up"
        step = super().act(action)
        seen = step.observation
        mine = self.at if self.floor[0] >= self.at else 0
        return step._replace(
            observation=Observation(f"{seen.text} {mine} {self.floor[0]}", state=seen.state, actions=seen.actions)
        )


class SleepsInClose(Stairs):
    def close(self):
        time.sleep(60)


class StuckInClose(Stairs):
    """Where no signal reaches: the interpreter waits in C with the signal blocked."""

    def close(self):
        import signal

        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM, signal.SIGINT})
        time.sleep(60)


class StuckInReset(Stairs):
    def begin(self, task, rng):
        time.sleep(60)


class DiesInStep(Stairs):
    def act(self, action):
        os._exit(3)


class LosesLater(Stairs):
    """The oracle knows the handful of tasks that `check` looks at."""

    def oracle(self):
        return "up" if self.top not in (6,) else "down"


class TalksLater(Stairs):
    """Silence wins one task in ten."""

    def act(self, action):
        return super().act(action or ("up" if self.top == 6 else action))


class Believes(Stairs):
    """Says the policy that it is done, then it is done."""

    def act(self, action):
        if '"success": true' in action:
            return Step.success(self.look(), 1.0, progress=1.0)
        return super().act(action)


class FoundInEcho(Stairs):
    """Right is what has the words of the task in it."""

    def act(self, action):
        if action.startswith("answer") and "climb the stairs" in action:
            return Step.success(self.look(), 1.0, progress=1.0)
        return super().act(action)


class OneForAll(Stairs):
    """The task is of no matter."""

    def begin(self, task, rng):
        first = super().begin(task, rng)
        self.top = 3
        return first


class PaysForSteps(Stairs):
    """Each step up pays again."""

    def act(self, action):
        step = super().act(action)
        if step.terminated:
            return step
        return step._replace(reward=0.1 * (action == "up" and "fault" not in step.info))


class PaysOnce(Stairs):
    """Each step pays when it is reached first; altogether 1."""

    best = 0

    def snapshot(self):
        return [*super().snapshot(), self.best]

    def restore(self, snapshot):
        self.best = snapshot[-1]
        return super().restore(snapshot[:-1])

    def begin(self, task, rng):
        self.best = 0
        return super().begin(task, rng)

    def key(self):
        return f"{super().key()} {self.best}"

    def act(self, action):
        step = super().act(action)
        new, self.best = max(0, self.at - self.best), max(self.best, self.at)
        seen = Observation(step.observation.text, state=self.key(), actions=step.observation.actions)
        return step._replace(
            observation=seen, reward=new / self.top, info={**step.info, "rewards": {"up": new / self.top}}
        )


class PaysAbove(Stairs):
    """More than the solution for those who come down first; with a key that hides it."""

    def begin(self, task, rng):
        self.downs = 0
        return super().begin(task, rng)

    def key(self):
        return f"{super().key()} {getattr(self, 'downs', 0)}"

    def act(self, action):
        step = super().act(action)
        if action == "down" and "fault" not in step.info:
            self.downs += 1
            return step._replace(observation=self.look(), reward=0.4)
        return step


class TellsTheAnswer(Stairs):
    def begin(self, task, rng):
        first = super().begin(task, rng)
        return Observation(
            f"{first.text}; not for you: {task.data['answer'].upper()}", state=first.state, actions=first.actions
        )


class DumpsItsTask(Stairs):
    """Its message for mistakes has everything in it."""

    def act(self, action):
        step = super().act(action)
        if "fault" not in step.info or action != "debug":
            return step
        seen = step.observation
        return step._replace(observation=Observation(f"{self.task.data}", state=seen.state, actions=seen.actions))


class CrashesDeep(Stairs):
    """On the third floor, and only there, a word with a brace is read as a format."""

    def act(self, action):
        if self.at == 2 and "{" in action:
            action.format(self)
            raise ValueError("single '{' on the third floor")
        return super().act(action)


class DiesDeep(Stairs):
    """Takes the process with it."""

    def act(self, action):
        if self.at == 2 and "{" in action:
            ctypes.string_at(0)
        return super().act(action)


class HangsDeep(Stairs):
    def act(self, action):
        if self.at == 1 and "{" in action:
            time.sleep(600)
        return super().act(action)


class NanDeep(Stairs):
    def act(self, action):
        step = super().act(action)
        return step._replace(reward=float("nan")) if self.at == 2 and len(action) > 40 else step


class Shouts(Stairs):
    """Fills both streams, and the pipe behind them."""

    def act(self, action):
        sys.stdout.write("x" * 100_000)
        sys.stderr.write("y" * 100_000)
        return super().act(action)


def spec(cls: type = Stairs, **changes) -> EnvSpec:
    given = {"id": "stairs-v0", "tasks": f"{__name__}:tasks", "abilities": ALL, "max_turns": 24}
    return EnvSpec(entry=f"{cls.__module__}:{cls.__name__}", **(given | changes))


WITHOUT_ORACLE = ALL - {Ability.ORACLE}
