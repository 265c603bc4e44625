"""The records at the centre of the house: what a task, a turn and a trajectory are.

Plain frozen dataclasses: cheap to make (one per turn), easy to read, and written to disk field by field by
`agentgym.store`. Nothing here imports anything heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant", "tool"]


class Message(NamedTuple):
    """One message of a conversation."""

    role: Role
    content: str


class Ending(StrEnum):
    """How a trajectory ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    OUT_OF_TURNS = "out_of_turns"
    OUT_OF_TOKENS = "out_of_tokens"
    OUT_OF_TIME = "out_of_time"
    INFRA_ERROR = "infra_error"


@dataclass(frozen=True, slots=True)
class Task:
    """What to solve. Pure data: it can be written as JSON and sent to another machine."""

    id: str
    """Unique within its environment, e.g. `"coin-l3-train-17"`."""
    prompt: str = ""
    """Instruction shown to the model as the system message; empty for none."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Private: seeds, files, answers. Graders and scorers see it, the model never does. JSON values only."""
    split: str = "train"
    """`"train"` or `"heldout"`."""
    seed: int = 0
    """Seed of the task's own randomness; the same task and seed give the same initial state."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the environment says this turn."""

    text: str
    role: Role = "user"
    state: str | None = None
    """Canonical string of the environment's state; `None` where the text itself is the best key."""
    actions: tuple[str, ...] | None = None
    """Admissible actions, where the environment can list them."""
    tools: tuple[Mapping[str, Any], ...] | None = None
    """JSON schemas of the tools that can be called, where there are any."""

    @property
    def state_key(self) -> str:
        """The anchor of anchor-state grouping: `state`, or the text where no state is given."""
        return self.text if self.state is None else self.state


class Step(NamedTuple):
    """What one `env.step` gives: unpacks as Gymnasium's five values.

    The constructors make the legal steps easy and the illegal ones hard:
    `Step.on` goes on, `Step.success` and `Step.failure` end the task, `Step.cut` truncates it.

    Keys of `info` that the rest of the suite reads: `success` (bool, present at the end), `rewards` (named
    components that sum to `reward`), `progress` (share of sub-goals reached, in [0, 1]), `score` (the
    engine's own points), `outcome` (at the end: the attempt's score, where it is not the sum of rewards), and `fault`
    (a short word for what was wrong with the action: the model's mistake, never an exception).
    """

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]

    @classmethod
    def on(cls, observation: Observation, reward: float = 0.0, **info: Any) -> Step:
        """The episode goes on."""
        return cls(observation, float(reward), False, False, info)

    @classmethod
    def fault(cls, observation: Observation, fault: str, reward: float = 0.0, **info: Any) -> Step:
        """The action was wrong in a way the model can learn from; the episode goes on."""
        return cls(observation, float(reward), False, False, {**info, "fault": fault})

    @classmethod
    def success(cls, observation: Observation, reward: float = 1.0, **info: Any) -> Step:
        """The task is solved."""
        return cls(observation, float(reward), True, False, {**info, "success": True})

    @classmethod
    def failure(cls, observation: Observation, reward: float = 0.0, **info: Any) -> Step:
        """The task is lost for good."""
        return cls(observation, float(reward), True, False, {**info, "success": False})

    @classmethod
    def cut(
        cls, observation: Observation, reward: float = 0.0, ending: Ending = Ending.OUT_OF_TURNS, **info: Any
    ) -> Step:
        """The episode is cut off by a limit."""
        return cls(observation, float(reward), False, True, {**info, "success": False, "ending": ending.value})


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a policy."""

    text: str
    tokens: tuple[int, ...] | None = None
    """Sampled token ids, the end-of-turn token included where it was sampled; `None` from a text-only policy."""
    logprobs: tuple[float, ...] | None = None
    """Natural-log probability of each sampled token under the distribution it was drawn from *before* temperature and
    truncation, same length as `tokens`."""
    finish: Literal["stop", "length", "abort"] = "stop"
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """How many of the prompt's tokens were not computed again (prefix cache)."""
    version: int = 0
    """Version of the weights that sampled it; the oldest, where they were swapped on the way."""
    seconds: float = 0.0
    versions: tuple[int, ...] = ()
    """Version that sampled each token, same length as `tokens`; empty where all are of `version`."""
    written: int | None = None
    """How many tokens it wrote, where a server counts them and gives no ids."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One model call and the environment's answer to it."""

    observation: Observation
    """What the model saw last before it acted."""
    completion: Completion
    action: str | None
    """What the dialect read from the completion and the environment executed; `None` if it could not be read."""
    reward: float = 0.0
    rewards: Mapping[str, float] = field(default_factory=dict[str, float])
    """Named reward components."""
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The step's info (JSON values only): `fault`, `progress`, `score`, ..."""
    env_seconds: float = 0.0
    weights_version: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One training sequence: tokens exactly as the sampler saw them, and who wrote each.

    All tuples have the same length L; `versions` may be empty.
    """

    tokens: tuple[int, ...]
    turn: tuple[int, ...]
    """Turn index whose action the token belongs to; -1 for template and observation tokens."""
    logprobs: tuple[float, ...]
    """Sampling log-probability of action tokens; 0.0 elsewhere."""
    versions: tuple[int, ...] = ()
    """Version of the weights that sampled each token; -1 where none did (template, observations, demonstrations).
    Empty in records of before it was kept."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The turns of one attempt at one task, and how it ended."""

    id: str
    env: str
    task_id: str
    group: str
    """Attempts with equal `group` share task and initial state: credit may compare them."""
    attempt: int
    seed: int
    """What the environment was reset with: with the task and the actions it replays the attempt."""
    turns: tuple[Turn, ...]
    ending: Ending
    final: Observation | None = None
    """The last observation, which no action followed."""
    score: float = 0.0
    """The outcome R of the attempt: the sum of rewards unless the environment reports `outcome` in its last info."""
    success: bool = False
    error: str | None = None
    """What broke, for `INFRA_ERROR`."""
    retries: int = 0
    """How many earlier tries at this attempt met an infra error."""
    samples: tuple[Sample, ...] = ()
    """Token ledger, cut where the template broke the prefix; empty from a text-only policy."""
    seconds: float = 0.0
    split: str = "train"

    @property
    def trainable(self) -> bool:
        """False where the world broke: such a trajectory is in no statistic and gets no advantage."""
        return self.ending is not Ending.INFRA_ERROR and bool(self.turns)
