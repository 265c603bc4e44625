"""What an evaluation found: `summarise` turns trajectories into numbers, `EvalResult` holds and shows them.

Trajectories that met a broken world are counted, and left out of every other number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from agentgym import registry
from agentgym.evaluate.kinds import Kinds, Part, breakdown, by_ending
from agentgym.evaluate.statistics import Figure, effective_attempts, figure, pass_table, wilson
from agentgym.evaluate.turns import NAMES, SHARES, Spread, fault_of, latency, turn_figures, turn_values, written
from agentgym.types import Ending, Trajectory

Measured = Mapping[str, Sequence[tuple[str, float]]]
"""What an environment's `metrics` gives: by name, an attempt's group and its value, for the attempts it is about."""


@dataclass(frozen=True)
class EvalResult:
    """What an evaluation found. Means are over the attempts that count, `nan` where there are none."""

    tasks: int
    """Groups with at least one attempt that counts."""
    attempts: int
    """Attempts that count: all but those that met an infra error."""
    infra_errors: int
    success: float
    """Share of attempts that succeeded."""
    interval: tuple[float, float]
    """95 %: Wilson's, at the effective number of attempts (attempts at one task are no independent draws)."""
    pass_at: Mapping[int, float]
    """pass@k by k, over tasks with at least k attempts that count."""
    score: float
    reward: float
    """Mean sum of turn rewards."""
    turns: float
    tokens: float
    """Mean tokens written by the policy in an attempt; 0 where nobody counts them."""
    faults: Mapping[str, int]
    """Model faults by kind, counted in turns; `empty` where the model said nothing."""
    fault_rate: float
    """Share of turns with a fault."""
    endings: Mapping[str, int]
    """Attempts by how they ended, infra errors included."""
    seconds: float = 0.0
    """Mean wall time of an attempt."""
    figures: Mapping[str, Figure] = field(default_factory=dict[str, Figure])
    """What the environment's own `metrics` measured, by name."""
    per_turn: Mapping[str, Figure] = field(default_factory=dict[str, Figure])
    """Means over turns, by the names of `agentgym.evaluate.turns.NAMES`."""
    latency: Mapping[str, Spread] = field(default_factory=dict[str, Spread])
    """Seconds a turn took the `policy` and the `environment`."""
    kinds: Mapping[str, Mapping[str, Part]] = field(default_factory=dict[str, Mapping[str, Part]])
    """The numbers by kind of task: by property, by value."""
    by_ending: Mapping[str, Part] = field(default_factory=dict[str, Part])
    """The numbers by how attempts ended."""
    trajectories: Sequence[Trajectory] = field(default=(), repr=False)

    @property
    def silent(self) -> bool:
        """Whether the model said nothing in any turn."""
        turns = self.turns * self.attempts if self.attempts else 0.0
        return turns > 0 and self.faults.get("empty", 0) == round(turns)

    def metrics(self) -> dict[str, float]:
        """The numbers worth a curve, none of which depends on the machine's speed; no means where nothing counts."""
        counts = {"attempts": float(self.attempts), "infra_errors": float(self.infra_errors)}
        counts |= {f"ending/{ending.value}": float(self.endings.get(ending.value, 0)) for ending in Ending}
        if not self.attempts:
            return counts
        return {
            "success": self.success,
            "success_low": self.interval[0],
            "success_high": self.interval[1],
            **{f"pass@{k}": value for k, value in self.pass_at.items() if k > 1},
            "score": self.score,
            "reward": self.reward,
            "turns": self.turns,
            "tokens": self.tokens,
            "fault_rate": self.fault_rate,
            **{f"turn/{name}": f.value for name, f in self.per_turn.items() if f.value is not None},
            **{f"metrics/{name}": f.value for name, f in self.figures.items() if f.value is not None},
            **counts,
        }

    def to_json(self) -> dict[str, Any]:
        """All numbers as JSON values; `null` where there is none."""
        return {
            "tasks": self.tasks,
            "attempts": self.attempts,
            "infra_errors": self.infra_errors,
            "success": _number(self.success),
            "interval": list(self.interval),
            "pass_at": {str(k): v for k, v in self.pass_at.items()},
            "score": _number(self.score),
            "reward": _number(self.reward),
            "turns": _number(self.turns),
            "tokens": _number(self.tokens),
            "fault_rate": _number(self.fault_rate),
            "faults": dict(self.faults),
            "endings": dict(self.endings),
            "seconds": _number(self.seconds),
            "metrics": {name: found._asdict() for name, found in self.figures.items()},
            "per_turn": {name: found._asdict() for name, found in self.per_turn.items()},
            "latency": {name: asdict(spread) for name, spread in self.latency.items()},
            "kinds": {name: {k: asdict(p) for k, p in parts.items()} for name, parts in self.kinds.items()},
            "by_ending": {name: asdict(part) for name, part in self.by_ending.items()},
        }

    def rows(self) -> list[tuple[str, str]]:
        """What a person wants to read, as (name, value)."""
        if not self.attempts:
            return [("attempts", "0 that count"), ("infra errors", str(self.infra_errors))]
        low, high = self.interval
        rows = [
            ("success", f"{self.success:.1%}  (95 % interval {low:.1%} to {high:.1%})"),
            *((f"pass@{k}", f"{value:.1%}") for k, value in self.pass_at.items() if k > 1),
            ("attempts", f"{self.attempts} at {self.tasks} tasks"),
            ("score", f"{self.score:.3f}"),
            ("reward", f"{self.reward:.3f}"),
            ("turns", f"{self.turns:.1f}"),
            ("tokens", f"{self.tokens:.1f}"),
            ("endings", ", ".join(f"{name} {count}" for name, count in self.endings.items())),
            ("faults", f"{self.fault_rate:.1%} of turns" + _listed(self.faults)),
            *((label(name), shown(name, found)) for name, found in self.per_turn.items()),
            *((f"{name} a turn", spread.shown()) for name, spread in self.latency.items() if spread.mean),
            ("seconds", f"{self.seconds:.2f} an attempt"),
            *((name.replace("_", " "), found.shown()) for name, found in self.figures.items() if found.attempts),
        ]
        if self.infra_errors:
            rows.append(("infra errors", f"{self.infra_errors}, left out of every number above"))
        return rows


def label(name: str) -> str:
    """What a person reads for a per-turn metric.

    >>> label("valid_actions"), label("tool_errors")
    ('valid actions', 'tool errors a turn')
    """
    return NAMES[name][0] if name in SHARES else f"{NAMES[name][0]} a turn"


def shown(name: str, found: Figure) -> str:
    """A per-turn metric as a person reads it.

    >>> shown("valid_actions", Figure(0.5, 0.25, 0.75, 8))
    '50.0%  (95 % interval 25.0% to 75.0%)'
    """
    form = "{:.1%}" if name in SHARES else "{:.3g}"
    if found.value is None:
        return "-"
    text = form.format(found.value)
    if found.low is None or found.high is None:
        return text
    return f"{text}  (95 % interval {form.format(max(found.low, 0.0) if name in SHARES else found.low)} to " + (
        f"{form.format(min(found.high, 1.0) if name in SHARES else found.high)})"
    )


def metrics_of(env: str) -> Callable[[Sequence[Trajectory]], Measured] | None:
    """What an environment measures beside success; `None` where that is nothing.

    Raises:
        UnknownNameError: there is no such environment.
    """
    spec = registry.spec(env)
    return None if spec.metrics is None else registry.resolve(spec.metrics, spec.extra)


def summarise(
    played: Sequence[Trajectory],
    metrics: Callable[[Sequence[Trajectory]], Measured] | None = None,
    kinds: Mapping[str, Kinds] | None = None,
) -> EvalResult:
    """The numbers of trajectories that were played already. Groups are attempts at one task.

    Args:
        played: the trajectories.
        metrics: what the environment measures, as `metrics_of` gives it.
        kinds: which kinds each task is of, as `kinds_of` gives them.
    """
    counted = [t for t in played if t.ending is not Ending.INFRA_ERROR]
    groups: dict[str, list[bool]] = {}
    for t in counted:
        groups.setdefault(t.group, []).append(t.success)
    tallies = [(len(wins), sum(wins)) for wins in groups.values()]
    n, successes = sum(n for n, _ in tallies), sum(c for _, c in tallies)
    effective = effective_attempts(tallies)
    rate = successes / n if n else math.nan
    turns = sum(len(t.turns) for t in counted)
    faults = Counter(fault for t in counted for turn in t.turns if (fault := fault_of(turn)))

    def mean(value: Callable[[Trajectory], float]) -> float:
        return fmean(value(t) for t in counted) if counted else math.nan

    return EvalResult(
        tasks=len(groups),
        attempts=n,
        infra_errors=len(played) - len(counted),
        success=rate,
        interval=wilson(rate * effective if n else 0.0, effective),
        pass_at=pass_table(tallies),
        score=mean(lambda t: t.score),
        reward=mean(lambda t: sum(turn.reward for turn in t.turns)),
        turns=mean(lambda t: len(t.turns)),
        tokens=mean(lambda t: sum(written(turn) or 0 for turn in t.turns)),
        faults=dict(faults.most_common()),
        fault_rate=faults.total() / turns if turns else 0.0,
        endings=dict(Counter(t.ending.value for t in played).most_common()),
        seconds=mean(lambda t: t.seconds),
        figures={name: figure(values) for name, values in metrics(played).items()} if metrics else {},
        per_turn=turn_figures(turn_values(counted)),
        latency=latency(counted),
        kinds=breakdown(counted, kinds or {}),
        by_ending=by_ending(counted),
        trajectories=played,
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _listed(faults: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{kind} {count}' for kind, count in faults.items())})" if faults else ""
