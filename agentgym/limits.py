"""When an episode is cut off: turns, tokens, time. A record for the rollout engine, wrappers for Gymnasium users."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium

from agentgym.errors import EpisodeOverError, UsageError
from agentgym.types import Ending, Observation, Step


@dataclass(frozen=True, slots=True)
class Limits:
    """Most turns, tokens and seconds of an episode; `None` for no limit."""

    turns: int | None = None
    """Model turns."""
    tokens: int | None = None
    """Tokens of the conversation, prompt and answers together."""
    seconds: float | None = None
    """Wall time."""

    def __post_init__(self) -> None:
        for name in ("turns", "tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"limit of {name} must be above 0, not {value}")

    def exceeded(self, turns: int = 0, tokens: int = 0, seconds: float = 0.0) -> Ending | None:
        """Which limit is used up, or `None`: reaching a limit is using it up, for another turn would pass it."""
        if self.turns is not None and turns >= self.turns:
            return Ending.OUT_OF_TURNS
        if self.tokens is not None and tokens >= self.tokens:
            return Ending.OUT_OF_TOKENS
        if self.seconds is not None and seconds >= self.seconds:
            return Ending.OUT_OF_TIME
        return None


class _Limit(gymnasium.Wrapper[Observation, str, Observation, str]):
    """Cuts an episode when `used_up` says so; whatever else the environment can do shines through."""

    _cut: bool = False

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; the limit counts from here."""
        self._cut = False
        observation, info = self.env.reset(**kwargs)
        self.begin_count(observation)
        return observation, info

    def step(self, action: str) -> Step:
        """One turn; truncated where the limit is used up.

        Raises:
            EpisodeOverError: the limit cut the episode before.
        """
        if self._cut:
            raise EpisodeOverError("step: the episode was cut by a limit; call reset first")
        observation, reward, terminated, truncated, info = self.env.step(action)
        step = Step(observation, float(reward), terminated, truncated, info)
        if step.terminated or step.truncated:
            return step
        ending = self.used_up(action, step.observation)
        if ending is None:
            return step
        self._cut = True
        return step._replace(truncated=True, info={"success": False, **step.info, "ending": ending.value})

    def begin_count(self, observation: Observation) -> None:
        """Called once an episode, with its first observation."""
        raise UsageError(f"{type(self).__name__} must define begin_count")

    def used_up(self, action: str, observation: Observation) -> Ending | None:
        """Called once a turn."""
        raise UsageError(f"{type(self).__name__} must define used_up")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "env":  # `env` is not there yet while it is being copied.
            raise AttributeError(name)
        return getattr(self.env, name)


class TurnLimit(_Limit):
    """At most `turns` turns an episode."""

    def __init__(self, env: Any, turns: int) -> None:
        super().__init__(env)
        self.limits, self._turns = Limits(turns=turns), 0

    def begin_count(self, observation: Observation) -> None:
        """From zero."""
        self._turns = 0

    def used_up(self, action: str, observation: Observation) -> Ending | None:
        """After the last turn that is allowed."""
        self._turns += 1
        return self.limits.exceeded(turns=self._turns)


class TokenLimit(_Limit):
    """At most `tokens` tokens of observations and actions together, as `count` counts them."""

    def __init__(self, env: Any, tokens: int, count: Callable[[str], int]) -> None:
        super().__init__(env)
        self.limits, self._count, self._tokens = Limits(tokens=tokens), count, 0

    def begin_count(self, observation: Observation) -> None:
        """The first observation counts."""
        self._tokens = self._count(observation.text)

    def used_up(self, action: str, observation: Observation) -> Ending | None:
        """When actions and observations so far reach the limit."""
        self._tokens += self._count(action) + self._count(observation.text)
        return self.limits.exceeded(tokens=self._tokens)


class TimeLimit(_Limit):
    """At most `seconds` of wall time, looked at after each turn; it cannot interrupt one (a process host can)."""

    def __init__(self, env: Any, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(env)
        self.limits, self._clock, self._began = Limits(seconds=seconds), clock, 0.0

    def begin_count(self, observation: Observation) -> None:
        """Once the first observation is there."""
        self._began = self._clock()

    def used_up(self, action: str, observation: Observation) -> Ending | None:
        """When the time is up."""
        return self.limits.exceeded(seconds=self._clock() - self._began)
