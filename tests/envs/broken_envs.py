"""One environment that keeps every rule, and many that each break one: what `agentgym check` is tested with."""

from __future__ import annotations

import itertools
import random
import time

import numpy as np

from agentgym.env import Ability, EnvSpec, TextEnv
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task

COLOURS = ("red", "green", "blue")


def tasks(split: str) -> TaskSet:
    def make(index):
        top = 4 + 2 * index + (split == "heldout")
        return Task(f"stairs-{top}", data={"top": top, "answer": str(top)}, split=split)

    return TaskSet(split, 3, make)


def same_tasks(split: str) -> TaskSet:
    return TaskSet(split, 3, lambda i: Task(f"stairs-{i}", data={"top": 4 + i, "answer": "x"}, split=split))


def renamed_tasks(split: str) -> TaskSet:
    return TaskSet(split, 3, lambda i: Task(f"{split}-{i}", data={"top": 4 + i, "answer": "x"}, split=split))


_numbers = itertools.count()


def unstable_tasks(split: str) -> TaskSet:
    return TaskSet(split, 3, lambda i: Task(f"{split}-{next(_numbers)}", data={"top": 5}, split=split))


def no_answer_tasks(split: str) -> TaskSet:
    return TaskSet(
        split, 3, lambda i: Task(f"{split}-{i}", data={"top": 4 + 2 * i + (split == "heldout")}, split=split)
    )


class Stairs(TextEnv):
    """Go up to the top. Keeps every rule."""

    def begin(self, task, rng):
        self.top, self.at, self.turn = int(task.data["top"]), 0, 0
        self.colour = self.paint(rng)
        return self.look()

    def paint(self, rng):
        return COLOURS[rng.integers(3)]

    def look(self, said=""):
        return Observation(f"{said}step {self.at}, {self.colour}", state=self.key(), actions=self.possible())

    def key(self):
        return f"{self.at} {self.colour}"

    def possible(self):
        return ("down", "up") if self.at else ("up",)

    def share(self):
        return self.at / self.top

    def act(self, action):
        self.turn += 1
        if action not in self.possible():
            return Step.fault(self.look("no. "), "invalid", progress=self.share())
        self.at += 1 if action == "up" else -1
        if self.at == self.top:
            return Step.success(self.look(), 1.0, rewards={"top": 1.0}, progress=1.0)
        return Step.on(self.look(), progress=self.share())

    def oracle(self):
        return "up"

    def snapshot(self):
        return [self.at, self.colour, self.top]

    def restore(self, snapshot):
        self.at, self.colour, self.top = snapshot
        self._open = True
        return self.look()


class ReadsGlobalRng(Stairs):
    def paint(self, rng):
        return random.choice(COLOURS)


class ReadsGlobalNumpy(Stairs):
    def paint(self, rng):
        return COLOURS[np.random.randint(3)]  # noqa: NPY002


class MovesGlobalRng(Stairs):
    def act(self, action):
        random.random()
        return super().act(action)


class Nondeterministic(Stairs):
    def paint(self, rng):
        return str(next(_numbers))


class Leaks(Stairs):
    """What an episode did is still there in the next one."""

    climbed = 0

    def begin(self, task, rng):
        first = super().begin(task, rng)
        return Observation(f"{first.text} ({self.climbed})", state=first.state, actions=first.actions)

    def act(self, action):
        self.climbed += action == "up"
        return super().act(action)


class RaisesOnNul(Stairs):
    def act(self, action):
        if "\0" in action:
            raise ValueError("embedded null byte")
        return super().act(action)


class RaisesOnSurrogates(Stairs):
    def act(self, action):
        action.encode()
        return super().act(action)


class HangsOnMegabytes(Stairs):
    def act(self, action):
        if len(action) > 100_000:
            time.sleep(60)
        return super().act(action)


class DamagedByMegabytes(Stairs):
    def act(self, action):
        if len(action) > 100_000:
            self.paint = lambda rng: "black"
        return super().act(action)


class StepsAfterTheEnd(Stairs):
    def step(self, action):
        step = super().step(action)
        self._open = True
        return step


class ClosesOnce(Stairs):
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("already closed")
        self.closed = True
        super().close()


class PlaysClosed(Stairs):
    def close(self):
        pass


class ConstantKey(Stairs):
    def key(self):
        return "stairs"


class CoarseKey(Stairs):
    """Looks right, for what can be done is the same on all the stairs but the first."""

    def key(self):
        return str(min(self.at, 1))


class TextKey(Stairs):
    """The text is not the state here: it hides the step while it complains."""

    def look(self, said=""):
        return Observation(said or f"step {self.at}, {self.colour}", actions=self.possible())


class FineKey(Stairs):
    def key(self):
        return f"{self.at} {self.colour} {self.turn}"


class UnstableKey(Stairs):
    def key(self):
        return f"{self.at} {next(_numbers)}"


class ProgressTooEarly(Stairs):
    def share(self):
        return 1.0


class ProgressOutOfRange(Stairs):
    def share(self):
        return self.at / self.top - 0.5


class ProgressFalls(Stairs):
    def share(self):
        return 0.5 * (self.at == 2)


class NoProgress(Stairs):
    def act(self, action):
        step = super().act(action)
        step.info.pop("progress")
        return step


class LosingOracle(Stairs):
    def oracle(self):
        return "down" if self.at else "up"


class SlowOracle(Stairs):
    def oracle(self):
        return ("look", "wait", "think", "up")[self.turn % 4]


class MovingOracle(Stairs):
    """Asking it changes its mind."""

    asked = 0

    def oracle(self):
        self.asked += 1
        return "up" if self.asked % 2 else " up"[self.at > 0 :]


class EmptyWins(Stairs):
    def act(self, action):
        return super().act(action or "up")


class NanReward(Stairs):
    def act(self, action):
        step = super().act(action)
        return step._replace(reward=float("nan")) if action == "down" and "fault" not in step.info else step


class WrongSum(Stairs):
    def act(self, action):
        step = super().act(action)
        return step._replace(info={**step.info, "rewards": {"top": 0.5}}) if action == "down" else step


class SetInInfo(Stairs):
    def act(self, action):
        step = super().act(action)
        return step._replace(info={**step.info, "seen": {self.at}})


class NoSuccess(Stairs):
    def act(self, action):
        step = super().act("")
        if action != "down":
            return super().act(action)
        return Step(step.observation, 0.0, True, False, {"progress": 0.0})


class ListsFaults(Stairs):
    def possible(self):
        return ("up", "down")

    def act(self, action):
        if action == "down" and not self.at:
            return Step.fault(self.look("no. "), "invalid", progress=self.share())
        return super().act(action)


class ListsNothing(Stairs):
    def look(self, said=""):
        seen = super().look(said)
        return Observation(seen.text, state=seen.state, actions=seen.actions if self.at < 2 else ())


class LiveSnapshot(Stairs):
    """The snapshot is the state itself, and changes with it."""

    def snapshot(self):
        self.live = super().snapshot()
        return self.live

    def act(self, action):
        step = super().act(action)
        if hasattr(self, "live"):
            self.live[0] = self.at
        return step


class WrongRestore(Stairs):
    def restore(self, snapshot):
        return super().restore([max(0, snapshot[0] - 1), *snapshot[1:]])


class NoActionSpace(Stairs):
    def __init__(self):
        super().__init__()
        self.action_space = "any text"


class CutsUntyped(Stairs):
    """Truncates without saying why."""

    def act(self, action):
        step = super().act(action)
        return step._replace(truncated=True, info={**step.info, "success": False}) if action == "" else step


ALL = frozenset(Ability)
NO_SNAPSHOT = ALL - {Ability.SNAPSHOT}


def spec(cls: type[TextEnv] = Stairs, **changes) -> EnvSpec:
    given = {"id": "stairs-v0", "tasks": f"{__name__}:tasks", "abilities": ALL, "max_turns": 24}
    return EnvSpec(entry=f"{__name__}:{cls.__name__}", **(given | changes))
