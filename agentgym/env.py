"""`TextEnv`: what an environment author writes, with the Gymnasium face over it.

An author writes two methods, `begin(task, rng)` and `act(action)`, and a spec. The base class owns the rules that
every environment must keep (reset first, no step after the end, seeds that touch no global stream, close twice), so
that none has to be written again.

    class Guess(TextEnv):
        def begin(self, task, rng):
            self.secret = str(task.data["secret"])
            return Observation("Guess a digit.")

        def act(self, action):
            if action == self.secret:
                return Step.success(Observation("Right."))
            return Step.on(Observation("Wrong."))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import gymnasium
import numpy as np

from agentgym.errors import EpisodeOverError, UsageError
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task


class Ability(StrEnum):
    """What an environment claims it can do beyond the minimum; `agentgym check` tests every claim."""

    DETERMINISTIC = "deterministic"
    """The same task and actions give the same observations, always."""
    SNAPSHOT = "snapshot"
    """`snapshot()` and `restore()` work: a state can be branched."""
    ACTIONS = "actions"
    """Observations list the admissible actions."""
    PROGRESS = "progress"
    """`info["progress"]` is the share of sub-goals reached."""
    ORACLE = "oracle"
    """`oracle()` gives the next action of a solution."""
    ANSWER = "answer"
    """`task.data["answer"]` is a private reference answer (for information gain)."""


@dataclass(frozen=True)
class EnvSpec:
    """An environment as data: found through the entry-point group `agentgym.envs`."""

    id: str
    """Versioned, `name-vN`, equal to the entry point's name."""
    entry: str
    """`"module:Class"`, imported when the first environment is made."""
    tasks: str
    """`"module:function"`, called as `function(split, **options) -> TaskSet`."""
    summary: str = ""
    abilities: frozenset[Ability] = frozenset()
    max_turns: int = 20
    """Default limit of turns."""
    host: str = "inline"
    """Where it should run: `"inline"` when cheap and safe, `"process"` when it can hang or crash."""
    dialect: str = "plain"
    """Default dialect that turns model text into an action."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Default keyword arguments of the class and of `tasks`."""
    extra: str | None = None
    """The optional extra that installs what it needs."""
    components: tuple[str, ...] = ()
    """Names of the reward components that its turns report; credit modules can ask for them as `reward.NAME`."""
    prepare: str | None = None
    """`"module:function"`, called as `function(tasks, workers, on_task)` before tasks are played, where making them
    ahead and side by side is worth it; `on_task()` after each."""
    metrics: str | None = None
    """`"module:function"`, called with the trajectories of an evaluation; gives what it measured, by name, as pairs of
    an attempt's group and its value. `agentgym eval` shows the means with intervals."""
    kinds: str | None = None
    """`"module:function"`, called with a task; gives what kind of task it is, as a word or as a table of words by
    property. `agentgym eval` breaks its numbers down by them. Without it the usual words in a task's data count."""


class AnyText(gymnasium.Space[str]):
    """The space of all strings; samples short ones from a fixed alphabet."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A random string of 1 to 20 letters and spaces."""
        alphabet = np.array(list("abcdefghijklmnopqrstuvwxyz "))
        return "".join(self.np_random.choice(alphabet, size=int(self.np_random.integers(1, 21))))

    def contains(self, x: Any) -> bool:
        """Whether `x` is a string."""
        return isinstance(x, str)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


class AnyObservation(gymnasium.Space[Observation]):
    """The space of all observations."""

    def __init__(self) -> None:
        super().__init__(shape=None, dtype=None)

    def sample(self, mask: Any = None, probability: Any = None) -> Observation:
        """An empty observation."""
        return Observation("")

    def contains(self, x: Any) -> bool:
        """Whether `x` is an `Observation`."""
        return isinstance(x, Observation)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


class TextEnv(gymnasium.Env[Observation, str]):
    """Base class of every environment: text in, observation out.

    Synchronous and single-threaded by design; where it runs (inline, in a killable process) is the host's choice.

    Attributes:
        env_spec: the spec it was made from; `registry.make` sets it.
        task: the task being played, `None` before the first reset.
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride] - one for the class
        "render_modes": ["ansi"],
        "render_fps": 4,  # Gymnasium wants a number wherever something can be rendered.
    }

    env_spec: EnvSpec | None = None
    task: Task | None = None
    default_tasks: Callable[[], TaskSet] | None = None
    """Where `reset` without a task takes one from; `registry.make` sets it to the spec's train tasks."""
    render_mode: str | None = "ansi"

    _open: bool = False
    _last: Observation | None = None

    def __init__(self) -> None:
        self.observation_space = AnyObservation()
        self.action_space = AnyText()

    # What an author writes ------------------------------------------------------------------------------------------

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Set the task up and give the first observation.

        Args:
            task: what to play.
            rng: generator for this episode's randomness, the only one that may be used.

        Raises:
            UsageError: the task's data is not for this environment.
            InfraError: the world broke.
        """
        raise UsageError(f"{type(self).__name__} must define begin(task, rng)")

    def act(self, action: str) -> Step:
        """Execute one action. Any string is legal: what cannot be executed is a `Step.fault`, never an exception."""
        raise UsageError(f"{type(self).__name__} must define act(action)")

    def oracle(self) -> str | None:
        """The next action of a solution from the current state; `None` if there is none (ability `oracle`)."""
        return None

    def warm(self) -> None:
        """Load what the first `begin` would wait for (an engine's modules); called at most once, before any episode, in
        processes that are started ahead. Nothing by default."""

    def snapshot(self) -> Any:
        """The state, apart from this environment: a deep copy is as good (ability `snapshot`)."""
        raise UsageError(f"{type(self).__name__} cannot take snapshots")

    def restore(self, snapshot: Any) -> Observation:
        """Go back to a snapshot of the same task and give its observation (ability `snapshot`)."""
        raise UsageError(f"{type(self).__name__} cannot restore snapshots")

    # The Gymnasium face ---------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: fixes the choice of task (where none is given) and the episode's randomness.
            options: `{"task": Task}` says what to play.

        Returns:
            The first observation and an info with `task` (its id).
        """
        super().reset(seed=seed)
        task = (options or {}).get("task")
        if task is None:
            if self.default_tasks is None:
                raise UsageError("reset needs options={'task': Task(...)}: this environment was made without tasks")
            tasks = self.default_tasks()
            task = tasks[int(self.np_random.integers(len(tasks)))]
        elif not isinstance(task, Task):
            raise UsageError(f"options['task'] must be a Task, not {type(task).__name__}")
        rng = np.random.default_rng([task.seed, 0 if seed is None else seed])
        self._open = False
        self.task = task
        self._last = self.begin(task, rng)
        self._open = True
        return self._last, {"task": task.id}

    def step(self, action: str) -> Step:
        """Play one turn.

        Raises:
            EpisodeOverError: before `reset` or after the end.
            UsageError: `action` is not a string.
            InfraError: the world broke.
        """
        if not self._open:
            state = "has ended" if self._last is not None else "has not begun"
            raise EpisodeOverError(f"step: the episode {state}; call reset first")
        if not isinstance(action, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are untyped
            raise UsageError(f"step: the action must be a string, not {type(action).__name__}")
        step = self.act(action)
        self._last = step.observation
        if step.terminated or step.truncated:
            self._open = False
        return step

    def render(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] - ansi only
        """The last observation's text."""
        return self._last.text if self._last is not None else ""

    def close(self) -> None:
        """Free what is held. May be called any number of times; extend it, and call `super().close()`."""
        self._open = False
