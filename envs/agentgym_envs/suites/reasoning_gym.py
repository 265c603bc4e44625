"""reasoning-gym's question generators, as `reasoning-gym-NAME-v0`.

Read and tested with reasoning-gym 0.1.25 (Apache-2.0). A question is an episode of one turn; the reward is the
generator's own score in [0, 1], and 1 is success. Nine of its scorers hand the model's answer to Python's `eval` (some
by way of sympy): whoever trains on those lets the model run code in the environment's process. They are refused unless
`unsafe=True` says that this is wanted, in a sandbox.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentgym.env import Ability
from agentgym.errors import EnvCrashedError, UsageError
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task
from agentgym_envs.suites.catalogue import Suite
from agentgym_envs.suites.guest import Guest, seeded

EVALUATES = frozenset(
    {
        "binary_matrix",
        "countdown",
        "intermediate_integration",
        "n_queens",
        "polynomial_multiplication",
        "puzzle24",
        "simple_integration",
        "spiral_matrix",
        "string_insertion",
    }
)
"""Generators whose scorer evaluates the answer, from their source."""
UNANSWERED = frozenset({"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"})
"""Generators that make questions without a reference answer, found by making three of each."""
LEFT_OUT = frozenset({"composite"})
"""It mixes others, and says nothing of which."""


def refuse_evaluation(suite: str, game: str, generator: str, unsafe: bool) -> None:
    """Refuse a game whose generator's scorer evaluates answers, unless that is wanted.

    Raises:
        UsageError: it does, and is not.
    """
    if generator in EVALUATES and not unsafe:
        raise UsageError(
            f"{suite}:{game} scores answers by evaluating them as Python: a model could run any code; set "
            "unsafe = true where the environment runs in a sandbox"
        )


def _names() -> list[str]:
    known: Any = importlib.import_module("reasoning_gym.factory").DATASETS
    return [name for name in known if name not in LEFT_OUT]


class ReasoningGym(Guest):
    """One question, one answer."""

    suite = "reasoning-gym"

    def __init__(self, game: str, config: Mapping[str, Any] | None = None, unsafe: bool = False) -> None:
        """A generator.

        Args:
            game: its name.
            config: what the generator's own configuration takes, but for `seed` and `size`.
            unsafe: let a scorer evaluate the model's answers as code.

        Raises:
            UsageError: its scorer would do that, and `unsafe` is not set.
        """
        super().__init__(game)
        refuse_evaluation("reasoning-gym", game, game, unsafe)
        self._config = dict(config or {})
        if {"seed", "size"} & set(self._config):
            raise UsageError("config may not set seed or size: the task says which question")

    def question(self, seed: int) -> tuple[Any, dict[str, Any]]:
        """The generator, and its question for a seed.

        Raises:
            UsageError: the configuration is not one of this generator.
            EnvCrashedError: the generator broke.
        """
        self.fence(seed)
        create = importlib.import_module("reasoning_gym").create_dataset
        try:
            made = self.ask(create, self.game, seed=seed, size=1, **self._config)
        except EnvCrashedError as error:
            if isinstance(error.__cause__, TypeError | AssertionError | ValueError):
                raise UsageError(f"reasoning-gym:{self.game}: config: {error.__cause__}") from error
            raise
        return made, self.ask(made.__getitem__, 0)

    def start(self, task: Task, seed: int) -> Observation:
        """The task's question: the task's own seed says which, so that all attempts at it get the same."""
        self._made, self._entry = self.question(task.seed)
        return Observation(str(self._entry["question"]))

    def play(self, action: str) -> Step:
        """Score the answer. One that the scorer breaks on is unreadable, if it can score a reference answer."""
        over = Observation("That was your answer.")
        try:
            score = float(self.ask(self._made.score_answer, action, self._entry))
        except EnvCrashedError:
            self.ask(self._made.score_answer, self._entry["answer"], self._entry)
            return Step.failure(over, 0.0, fault="unreadable")
        if score >= 1.0:
            return Step.success(over, score)
        return Step.failure(over, score)

    def oracle(self) -> str | None:
        """The reference answer."""
        answer = self._entry["answer"]
        return answer if isinstance(answer, str) else None


def tasks(
    split: str, game: str, size: int = 1000, config: Mapping[str, Any] | None = None, unsafe: bool = False
) -> TaskSet:
    """`size` questions of a split, each with its reference answer as `answer` where there is one.

    Raises:
        UsageError: as `guest.seeded` and `ReasoningGym`.
    """
    bare, asking = seeded("reasoning-gym", split, game, size), ReasoningGym(game, config, unsafe)

    def make(index: int) -> Task:
        task = bare[index]
        answer = asking.question(task.seed)[1]["answer"]
        return replace(task, data={**task.data, "answer": answer}) if isinstance(answer, str) else task

    return TaskSet(split, size, make)


SUITE = Suite(
    name="reasoning-gym",
    package="reasoning_gym",
    install="reasoning-gym",
    listing=_names,
    entry="agentgym_envs.suites.reasoning_gym:ReasoningGym",
    tasks="agentgym_envs.suites.reasoning_gym:tasks",
    abilities=frozenset({Ability.DETERMINISTIC, Ability.ORACLE, Ability.ANSWER}),
    max_turns=1,
    lacking=lambda name: frozenset({Ability.ORACLE, Ability.ANSWER}) if name in UNANSWERED else frozenset(),
)
