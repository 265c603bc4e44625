"""ALFWorld as a `TextEnv`: the engine's words to the letter, with a state key, admissible actions and an expert."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.env import TextEnv
from agentgym.errors import UsageError
from agentgym.types import Observation, Step, Task
from agentgym_envs.alfworld import game as games
from agentgym_envs.alfworld import generate, writer
from agentgym_envs.alfworld.expert import Expert
from agentgym_envs.alfworld.game import Game
from agentgym_envs.alfworld.goals import progress
from agentgym_envs.alfworld.world import NOTHING, World

MAX_COMMAND = 200
"""Characters; the longest command of the real games has 63."""


class AlfWorld(TextEnv):
    """One household task. Reward 1 when it is done, nothing before.

    A command that cannot be carried out is answered "Nothing happens.", as upstream does, and is a fault, `invalid`.
    Commands are taken to the letter: case and spaces within count, spaces around do not.
    """

    _world: World

    def __init__(self, admissible: bool = False, banner: bool = True) -> None:
        """Args:
        admissible: append the admissible actions to the text (they are in `Observation.actions` either way).
        banner: keep upstream's first line, "-= Welcome to TextWorld, ALFRED! =-".
        """
        super().__init__()
        self._admissible, self._banner = admissible, banner

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `plan`, of a game to generate, or `path`, a `game.tw-pddl` file."""
        self._world = World(_game_of(task))
        self._expert = Expert(self._world)
        text = self._world.intro()
        if not self._banner:
            text = text.partition("=-\n\n")[2] or text
        return self._observe(text)

    def act(self, action: str) -> Step:
        """Give one command."""
        said = self._world.step(action) if len(action) <= MAX_COMMAND else None
        if said is None:
            return Step.fault(self._observe(NOTHING), "invalid", progress=self._progress())
        if self._world.won:
            return Step.success(self._observe(said), 1.0, progress=1.0)
        return Step.on(self._observe(said), progress=self._progress())

    def oracle(self) -> str | None:
        """The next command of the scripted expert, from any state; see `expert`."""
        return self._expert.next()

    def snapshot(self) -> Any:
        """What has changed, and the last words, as plain values."""
        return {"world": self._world.save(), "text": self._text}

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot of the same game; the episode is open again unless it was won.

        Raises:
            UsageError: it is of another game.
        """
        if snapshot["world"]["game"] != self._world.game.digest:
            raise UsageError("restore: the snapshot is of another game; reset to its task first")
        self._world.load(snapshot["world"])
        self._open = not self._world.won
        self._text = snapshot["text"]
        return self._observation()

    def _progress(self) -> float:
        return progress(self._world, self._expert.wish)

    def _observe(self, text: str) -> Observation:
        if self._admissible:
            text += "\nActions: " + "; ".join(self._world.commands) + "."
        self._text = text
        return self._observation()

    def _observation(self) -> Observation:
        return Observation(self._text, state=self._world.key, actions=self._world.commands)


def _game_of(task: Task) -> Game:
    """The game that a task names."""
    if "plan" in task.data:
        try:
            return _generated(json.dumps(task.data["plan"], sort_keys=True))
        except (TypeError, ValueError) as error:
            raise UsageError(f"task {task.id!r}: its plan is no plain data: {error}") from error
    if "path" in task.data:
        return games.load(Path(str(task.data["path"])))
    raise UsageError(f"task {task.id!r} is not of ALFWorld: its data has neither 'plan' nor 'path'")


@functools.lru_cache(maxsize=64)
def _generated(plan: str) -> Game:
    """Attempts at one task share its game."""
    return writer.game(generate.make(json.loads(plan)))
