"""What happens turn by turn: valid actions, tool errors, repeated states, progress, tokens, latency.

Every value belongs to one turn and carries its task's group, so that the interval of a mean knows that turns of one
task are no independent draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from agentgym.evaluate.statistics import Figure, figure
from agentgym.types import Observation, Trajectory, Turn

EMPTY = "empty"
"""The fault of a turn in which the model said nothing, whatever the environment made of that."""
TOOL_FAULTS = frozenset({"unknown-tool", "arguments", "error", "raised", "timeout", "mistake"})
"""Faults of calls, where an environment names one a turn and does not count them (`info["tool_faults"]`)."""
NAMES: Mapping[str, tuple[str, str]] = {
    "valid_actions": ("valid actions", "share of turns that the environment could execute"),
    "tool_errors": ("tool errors", "failed tool calls a turn, in environments with tools"),
    "repeated_states": ("repeated states", "share of turns that led to a state that the attempt had been in"),
    "progress": ("progress", "share of the sub-goals reached a turn"),
    "setbacks": ("setbacks", "share of turns that lost progress"),
    "written": ("tokens written", "tokens of the policy a turn"),
    "prompt": ("tokens read", "tokens of the prompt a turn"),
    "cached": ("tokens cached", "share of the prompt that was not computed again"),
}
"""Of each metric: what a person reads, and what it is."""
SHARES = frozenset({"valid_actions", "repeated_states", "setbacks", "cached"})
"""Those that are shown as per cent."""

Values = dict[str, list[tuple[str, float]]]
"""By metric: of each turn that it is about, the group and the value."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds that turns took."""

    mean: float
    median: float
    p95: float
    """95 % of the turns took no longer."""

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread | None:
        """`None` where nothing was measured.

        >>> Spread.of([1.0, 3.0, 2.0]).median
        2.0
        """
        if not seconds:
            return None
        found = np.asarray(seconds, dtype=np.float64)
        return cls(float(found.mean()), *(float(q) for q in np.quantile(found, (0.5, 0.95))))

    def shown(self) -> str:
        """As a person reads it."""
        return f"median {duration(self.median)}, 95 % within {duration(self.p95)}"


def fault_of(turn: Turn) -> str | None:
    """The model's fault in a turn, in a word; `"empty"` where it said nothing."""
    if not turn.completion.text.strip():
        return EMPTY
    fault = turn.info.get("fault")
    return str(fault) if fault else None


def turn_values(played: Iterable[Trajectory]) -> Values:
    """The per-turn metrics of trajectories, turn by turn.

    A metric that there is nothing to tell from (no tools, no progress, no token counts) has no values.
    """
    found: Values = {name: [] for name in NAMES}
    for trajectory in played:
        group = trajectory.group
        for name, values in _of(trajectory).items():
            found[name] += [(group, value) for value in values]
    return found


def turn_figures(values: Values) -> dict[str, Figure]:
    """The mean of each metric over turns, with its interval; those without any value are left out."""
    return {name: figure(found) for name, found in values.items() if found}


def written(turn: Turn) -> int | None:
    """How many tokens the policy wrote in a turn; `None` where nobody counted."""
    if turn.completion.tokens is not None:
        return len(turn.completion.tokens)
    return turn.completion.written


def latency(played: Iterable[Trajectory]) -> dict[str, Spread]:
    """How long turns took: the policy (`policy`), and the environment (`environment`)."""
    model: list[float] = []
    world: list[float] = []
    for trajectory in played:
        for turn in trajectory.turns:
            model.append(turn.completion.seconds)
            if turn.action is not None:
                world.append(turn.env_seconds)
    named = {"policy": Spread.of(model), "environment": Spread.of(world)}
    return {name: spread for name, spread in named.items() if spread is not None}


def duration(seconds: float) -> str:
    """A time as a person reads it.

    >>> duration(0.00012), duration(0.25), duration(75.0), duration(7300.0)
    ('0.12 ms', '250 ms', '1.2 min', '2.0 h')
    """
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _of(trajectory: Trajectory) -> dict[str, list[float]]:
    turns = trajectory.turns
    found: dict[str, list[float]] = {"valid_actions": [float(fault_of(turn) is None) for turn in turns]}
    found["repeated_states"] = _repeated(turns, trajectory.final)
    if any("calls" in turn.info or "tool_faults" in turn.info for turn in turns):
        found["tool_errors"] = [_tool_errors(turn.info) for turn in turns]
    progress = [float(turn.info["progress"]) for turn in turns if _is_number(turn.info.get("progress"))]
    if progress:
        # What a turn that was never executed (unreadable) says nothing about has not changed.
        steps = [after - before for before, after in zip([0.0, *progress], progress, strict=False)]
        steps += [0.0] * (len(turns) - len(progress))
        found["progress"], found["setbacks"] = steps, [float(step < -1e-9) for step in steps]
    counted = [count for count in map(written, turns) if count is not None]
    found["written"] = [float(count) for count in counted]
    prompts = [turn.completion for turn in turns if turn.completion.prompt_tokens]
    found["prompt"] = [float(c.prompt_tokens) for c in prompts]
    found["cached"] = [c.cached_tokens / c.prompt_tokens for c in prompts]
    return found


def _repeated(turns: Sequence[Turn], final: Observation | None) -> list[float]:
    states = [turn.observation.state_key for turn in turns]
    if final is not None:
        states.append(final.state_key)
    seen: set[str] = set(states[:1])
    repeated: list[float] = []
    for key in states[1:]:
        repeated.append(float(key in seen))
        seen.add(key)
    return repeated


def _tool_errors(info: Mapping[str, Any]) -> float:
    counts = info.get("tool_faults")
    if isinstance(counts, Mapping):
        return float(sum(n for n in cast(Mapping[str, Any], counts).values() if _is_number(n)))
    return float(info.get("fault") in TOOL_FAULTS)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
