"""One of our environments as other programs play it: a task by its number, text in, text out, a score at the end.

What TRL, OpenEnv and verifiers need of an environment is the same, and it is here once. It plays in this process: an
environment that can hang or crash is better kept behind a server of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentgym import registry
from agentgym.errors import InfraError, UsageError
from agentgym.limits import TurnLimit
from agentgym.tasks import SPLITS, TaskSet
from agentgym.types import Observation, Step, Task

OVER = "The episode is over."
MAX_ACTION = 100_000
"""Most characters of an action that is played; what is cut off could not have been read anyway."""


@dataclass(frozen=True)
class Menu:
    """Which environment, and how it is played."""

    env: str
    """Its id."""
    max_turns: int | None = None
    """Turns after which an episode is cut; the environment's own number if `None`."""
    options: Mapping[str, Any] | None = None
    """Of the environment and its tasks."""

    def tasks(self, split: str) -> TaskSet:
        """The tasks of a split.

        Raises:
            UsageError: as `registry.tasks`; or an unknown split.
        """
        if split not in SPLITS:
            raise UsageError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
        return registry.tasks(self.env, split, **dict(self.options or {}))

    def task(self, split: str, index: int) -> Task:
        """A task by its number.

        Raises:
            UsageError: the split has no such number.
        """
        tasks = self.tasks(split)
        if type(index) is not int or not 0 <= index < len(tasks):
            raise UsageError(f"{self.env}: {split} has tasks 0 to {len(tasks) - 1}, not {index!r}")
        return tasks[index]


class Seat:
    """A place at which one episode after another is played."""

    def __init__(self, menu: Menu) -> None:
        """Make the environment.

        Raises:
            UsageError: as `registry.make`; or a limit of turns below 1.
        """
        spec = registry.spec(menu.env)
        most = spec.max_turns if menu.max_turns is None else menu.max_turns
        self.menu, self._most = menu, most
        # The limit counts turns that the world sees; those that it does not see are counted here as well.
        self._env = TurnLimit(registry.make(spec, **dict(menu.options or {})), most)
        self.turns, self.over, self.success = 0, True, False
        self.broken: str | None = None
        """What broke, where the episode ended in an infra error: it has no score then."""
        self._rewards: list[float] = []
        self._outcome: float | None = None

    def begin(self, task: Task, seed: int = 0) -> str:
        """Start an episode and give its first text; the task's prompt is the caller's to show.

        Raises:
            UsageError: the task is not one of this environment.
        """
        self.turns, self.over, self.success, self.broken = 0, False, False, None
        self._rewards, self._outcome = [], None
        try:
            observation: Observation = self._env.reset(seed=seed, options={"task": task})[0]
        except InfraError as error:
            self.broken, self.over = f"{type(error).__name__}: {error}", True
            return OVER
        return observation.text

    def act(self, action: str) -> Step:
        """Play one turn; once the episode is over nothing more happens, and that is said."""
        if self.over:
            return Step(Observation(OVER), 0.0, True, False, {"success": self.success, "fault": "over"})
        try:
            step = self._env.step(action[:MAX_ACTION])
        except InfraError as error:
            self.broken, self.over = f"{type(error).__name__}: {error}", True
            return Step.cut(Observation(OVER), broken=self.broken)
        self.turns += 1
        self._rewards.append(step.reward)
        self.over = step.terminated or step.truncated or self.turns >= self._most
        if self.over:
            self.success = bool(step.info.get("success"))
            self._outcome = step.info.get("outcome")
        return step

    def skip(self, said: str) -> str:
        """A turn that could not be read: the world does not see it, but it counts as one.

        Returns:
            What to tell the player: `said`, or that the episode is over where this was the last turn.
        """
        self.turns += 1
        self.over = self.over or self.turns >= self._most
        return OVER if self.over else said

    @property
    def score(self) -> float | None:
        """The outcome so far, as trajectories have it; `None` where the world broke: never a zero for that."""
        if self.broken is not None:
            return None
        return float(self._outcome) if self._outcome is not None else math.fsum(self._rewards)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()
        self.over = True
