"""The files that `agentgym init` writes: a small environment that works, to be changed into another one.

Texts in which `NAME`, `MODULE` and `CLASS` stand for what the author calls it (`number-hunt`, `number_hunt`,
`NumberHunt`). A test makes a package of them and passes its test and the conformance suite.
"""

from __future__ import annotations

PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "NAME"
version = "0.1.0"
description = "A text environment for agentgym"
requires-python = ">=3.11"
dependencies = ["agentgym-suite"]

# This is how the environment is found by its id once the package is installed.
[project.entry-points."agentgym.envs"]
NAME-v0 = "MODULE.env:SPEC"

[tool.hatch.build.targets.wheel]
packages = ["MODULE"]
"""

PACKAGE = '''\
"""An environment for agentgym: what it is, in one line."""
'''

ENV = '''\
"""A number is hidden; each guess is told whether it is too low or too high."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentgym import Ability, EnvSpec, Observation, Step, Task, TaskSet, TextEnv
from agentgym.errors import UsageError
from agentgym.seeding import derive


class CLASS(TextEnv):
    """Actions: a number. One reward, 1, for the hidden one."""

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `secret` and `most`, numbers. Whatever is random comes from `rng` alone."""
        try:
            self.secret, self.most = int(task.data["secret"]), int(task.data["most"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"task {task.id!r} is not of NAME: it needs secret and most") from error
        self.low, self.high = 1, self.most
        return self._look(f"a number from 1 to {self.most}")

    def act(self, action: str) -> Step:
        """Any text may come: what cannot be done is a fault, and changes nothing."""
        if action.strip() not in self._possible():
            return Step.fault(self._look("say one of the numbers that are left"), "invalid", progress=self._progress())
        guess = int(action)
        if guess == self.secret:
            self.low = self.high = guess
            return Step.success(self._look("right"), 1.0, progress=1.0)
        if guess < self.secret:
            self.low = guess + 1
        else:
            self.high = guess - 1
        return Step.on(self._look("too low" if guess < self.secret else "too high"), progress=self._progress())

    def oracle(self) -> str | None:
        """The next action of a solution, from wherever the episode is."""
        return str((self.low + self.high) // 2)

    def snapshot(self) -> Any:
        """The state, as something that does not change with this environment."""
        return self.low, self.high

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot; the episode is open again."""
        (self.low, self.high), self._open = snapshot, True
        return self._look("go on")

    def _possible(self) -> tuple[str, ...]:
        return tuple(str(n) for n in range(self.low, self.high + 1))

    def _progress(self) -> float:
        """The share of numbers that are out of the question; 1 is for the success alone."""
        return 1.0 - (self.high - self.low + 1) / self.most

    def _look(self, said: str) -> Observation:
        # The state key: equal exactly where the same can happen from here.
        text = f"{said}. {self.low} to {self.high} are left."
        return Observation(text, state=f"{self.low}-{self.high}", actions=self._possible())


def tasks(split: str, most: int = 16) -> TaskSet:
    """Every number is a task; a fifth of them is held out. Parameters are options: `-o most=32`."""
    if most < 5:
        raise UsageError(f"most must be at least 5, not {most}")
    mixed = sorted(range(1, most + 1), key=lambda n: derive(0, "NAME", n))
    mine = mixed[: most // 5] if split == "heldout" else mixed[most // 5 :]
    prompt = "guess my number."
    return TaskSet.of(
        split, [Task(f"NAME-{most}-{n}", prompt=prompt, data={"secret": n, "most": most}, split=split) for n in mine]
    )


SPEC = EnvSpec(
    id="NAME-v0",
    entry=f"{__name__}:CLASS",
    tasks=f"{__name__}:tasks",
    summary="Guess a number that is too low or too high",
    abilities=frozenset(Ability) - {Ability.ANSWER},  # What is claimed here, `agentgym check` tests.
    max_turns=8,
)
'''

TEST = '''\
"""CLASS keeps the rules, and does what it says."""

from MODULE.env import SPEC

from agentgym import make
from agentgym.check import check
from agentgym.types import Task


def test_it_keeps_every_rule() -> None:
    assert [(f.name, f.detail) for f in check(SPEC, quick=True) if not f.ok] == []


def test_a_whole_game() -> None:
    env = make(SPEC)
    env.reset(options={"task": Task("t", data={"secret": 11, "most": 16})})
    assert env.step("8").observation.text == "too low. 9 to 16 are left."
    assert env.step("eleven").info["fault"] == "invalid"
    assert env.step("11").reward == 1.0
'''

README = """\
# NAME-v0

What it is about, in a sentence or two.

| | |
|---|---|
| task | a number from 1 to `most` (option, default 16) |
| observation | whether the guess was too low or too high, and which numbers are left |
| action | a number |
| reward | 1 for the right number, nothing before |
| state key | the numbers that are left |
| splits | every number is a task; a fifth is held out |
| abilities | deterministic, snapshot, actions, progress, oracle |
| licence of the data | none: there is no data |

    agentgym check ./MODULE/env.py:SPEC    # before it is installed
    pip install -e . && agentgym check NAME-v0
"""

FILES = {
    "pyproject.toml": PYPROJECT,
    "README.md": README,
    "MODULE/__init__.py": PACKAGE,
    "MODULE/env.py": ENV,
    "tests/test_MODULE.py": TEST,
}
"""Path in the new folder, and text."""


def files(name: str) -> dict[str, str]:
    """Path and text of each file for an environment of that name.

    >>> list(files("number-hunt"))[2:]
    ['number_hunt/__init__.py', 'number_hunt/env.py', 'tests/test_number_hunt.py']
    """
    words = {
        "NAME": name,
        "MODULE": name.replace("-", "_"),
        "CLASS": "".join(part.capitalize() for part in name.split("-")),
    }

    def filled(text: str) -> str:
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    return {filled(path): filled(text) for path, text in FILES.items()}
