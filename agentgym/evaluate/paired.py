"""Two sets of attempts at the same tasks, task by task: what differs, how sure that is, and which tasks flipped.

Attempts at one task are no independent draws, so the task is the unit: a difference is the mean over tasks of the
difference between the task's means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean, stdev

import numpy as np

from agentgym.evaluate.statistics import Z95
from agentgym.evaluate.turns import NAMES, turn_values, written
from agentgym.lab.significance import t_quantile
from agentgym.seeding import generator
from agentgym.types import Ending, Trajectory

EXACT_CELLS = 2_000_000
"""Most sums of differences for which the sign-flip test is exact."""
SHUFFLES = 20_000
"""Random sign flips where it is not."""
WHOLE: Mapping[str, Callable[[Trajectory], float]] = {
    "score": lambda t: t.score,
    "reward": lambda t: sum(turn.reward for turn in t.turns),
    "turns": lambda t: float(len(t.turns)),
    "tokens": lambda t: float(sum(written(turn) or 0 for turn in t.turns)),
}
"""What is compared beside the success and the per-turn metrics: a number of each attempt."""


@dataclass(frozen=True, slots=True)
class Difference:
    """B less A, over the tasks that both have a value for."""

    a: float
    b: float
    """Means over these tasks."""
    value: float
    low: float | None
    high: float | None
    """95 % interval of the difference; `None` with fewer than two tasks."""
    p: float
    """Two-sided, of a sign-flip test over tasks: how likely a difference as large would be if there were none."""
    tasks: int


@dataclass(frozen=True, slots=True)
class Flip:
    """A task whose success differs."""

    task: str
    a: float
    b: float
    """Shares of the attempts that succeeded."""
    trajectories_a: tuple[str, ...]
    trajectories_b: tuple[str, ...]
    """Ids of the attempts, for the page and the log."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """What comes out of comparing A with B."""

    success: Difference
    test: str
    """What the success's p is of: `mcnemar` with one attempt a task, else `sign-flip`."""
    metrics: Mapping[str, Difference]
    """Score, reward, turns, tokens, and the per-turn metrics, where both have values."""
    won: tuple[Flip, ...]
    """Tasks at which B succeeds more often, the largest change first."""
    lost: tuple[Flip, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    """Tasks that only one of the two has an attempt at that counts."""
    attempts_a: int
    attempts_b: int
    """Attempts that count, at the tasks that both have."""
    infra_errors_a: int
    infra_errors_b: int
    other_starts: int
    """Tasks that the two began from other states (the environment was reset with other seeds)."""


def pair(a: Sequence[Trajectory], b: Sequence[Trajectory], seed: int = 0) -> Pairing:
    """Compare two sets of attempts; those that met an infra error are counted and left out.

    Args:
        a: attempts, of the reference.
        b: attempts, of what is compared with it.
        seed: of the random sign flips, where there are too many to try all.
    """
    left, right = _by_task(a), _by_task(b)
    both = [task for task in left if task in right]
    ours, theirs = {t: left[t] for t in both}, {t: right[t] for t in both}
    flips = [_flip(task, ours[task], theirs[task]) for task in both]
    single = all(len(ours[task]) == len(theirs[task]) == 1 for task in both)
    return Pairing(
        success=success_difference(ours, theirs, seed),
        test="mcnemar" if single else "sign-flip",
        metrics=_metrics(ours, theirs, seed),
        won=tuple(sorted((f for f in flips if f.b > f.a), key=lambda f: f.a - f.b)),
        lost=tuple(sorted((f for f in flips if f.b < f.a), key=lambda f: f.b - f.a)),
        only_a=tuple(task for task in left if task not in right),
        only_b=tuple(task for task in right if task not in left),
        attempts_a=sum(map(len, ours.values())),
        attempts_b=sum(map(len, theirs.values())),
        infra_errors_a=sum(t.ending is Ending.INFRA_ERROR for t in a),
        infra_errors_b=sum(t.ending is Ending.INFRA_ERROR for t in b),
        other_starts=sum({t.seed for t in ours[task]} != {t.seed for t in theirs[task]} for task in both),
    )


def success_difference(
    a: Mapping[str, Sequence[Trajectory]], b: Mapping[str, Sequence[Trajectory]], seed: int = 0
) -> Difference:
    """The difference of success over tasks that both have.

    The interval: with one attempt a task, Wald's of the paired difference with one task more that each won (Bonett and
    Price 2012), which holds with few tasks and where nothing differs; with more, Student's over the tasks' differences.
    The test: exact sign flips over tasks, which is McNemar's exact test with one attempt a task.

    Args:
        a: attempts by task.
        b: attempts by task, of the same tasks.
        seed: of the random sign flips, where there are too many to try all.
    """
    shares = [
        (
            Fraction(sum(t.success for t in a[task]), len(a[task])),
            Fraction(sum(t.success for t in b[task]), len(b[task])),
        )
        for task in a
    ]
    apart = [after - before for before, after in shares]
    numbers = [float(d) for d in apart]
    low, high = wald(numbers) if all(abs(d) in (0, 1) for d in apart) else student(numbers)
    if low is not None and high is not None:
        low, high = max(-1.0, low), min(1.0, high)  # No difference of two shares is beyond.
    return Difference(
        a=fmean(float(x) for x, _ in shares) if shares else math.nan,
        b=fmean(float(x) for _, x in shares) if shares else math.nan,
        value=fmean(numbers) if numbers else math.nan,
        low=low,
        high=high,
        p=sign_flip(apart, seed),
        tasks=len(apart),
    )


def wald(differences: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of a mean of paired differences of -1, 0 and 1 (Bonett and Price 2012).

    >>> [round(x, 3) for x in wald([1.0] * 4 + [-1.0] + [0.0] * 15)]
    [-0.079, 0.351]
    """
    if len(differences) < 2:
        return None, None
    n = len(differences) + 2
    middle = sum(differences) / n
    half = Z95 * math.sqrt(max(0.0, (sum(d * d for d in differences) + 2) / n - middle * middle) / n)
    return max(-1.0, middle - half), min(1.0, middle + half)


def student(differences: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of the mean of independent differences; `None` with fewer than two."""
    if len(differences) < 2:
        return None, None
    middle = fmean(differences)
    half = t_quantile(len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
    return middle - half, middle + half


def sign_flip(differences: Sequence[Fraction], seed: int = 0) -> float:
    """Two-sided p of paired differences: how often random signs give a sum as far from 0.

    Exact where the differences have a common denominator of moderate size, as shares of successes do; else by random
    signs. With differences of -1, 0 and 1 it is McNemar's exact test.

    >>> sign_flip([Fraction(1)] * 8 + [Fraction(-1)] + [Fraction(0)] * 11)
    0.0390625
    """
    found = [d for d in differences if d]
    if not found:
        return 1.0
    scale = math.lcm(*(d.denominator for d in found))
    counts = [int(d * scale) for d in found]
    if sum(map(abs, counts)) * len(counts) <= EXACT_CELLS:
        return _exact(counts)
    values = np.asarray([float(d) for d in found])
    signs = generator(seed, "sign-flip", len(values))
    size, as_far = abs(float(values.sum())), 0
    for begin in range(0, SHUFFLES, 1000):
        drawn = signs.integers(0, 2, size=(min(1000, SHUFFLES - begin), len(values))) * 2 - 1
        as_far += int((np.abs(drawn @ values) >= size * (1 - 1e-12)).sum())
    return (as_far + 1) / (SHUFFLES + 1)


def _exact(counts: Sequence[int]) -> float:
    """The chance of every sum of +-counts, one count at a time."""
    reach = sum(map(abs, counts))
    chances = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    for count in map(abs, counts):
        moved = np.zeros_like(chances)
        moved[count:] += chances[:-count] / 2
        moved[:-count] += chances[count:] / 2
        chances = moved
    far = abs(sum(counts))
    sums = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chances[sums >= far].sum()))


def _metrics(
    a: Mapping[str, Sequence[Trajectory]], b: Mapping[str, Sequence[Trajectory]], seed: int
) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for name, value in WHOLE.items():
        means = [{task: fmean(map(value, played)) for task, played in side.items()} for side in (a, b)]
        found[name] = _difference(means[0], means[1], seed)
    left, right = ({task: turn_values(played) for task, played in side.items()} for side in (a, b))
    for name in NAMES:
        means = [
            {task: fmean(v for _, v in values[name]) for task, values in side.items() if values[name]}
            for side in (left, right)
        ]
        if any(task in means[1] for task in means[0]):
            found[name] = _difference(means[0], means[1], seed)
    return found


def _difference(a: Mapping[str, float], b: Mapping[str, float], seed: int) -> Difference:
    both = [task for task in a if task in b]
    apart = [b[task] - a[task] for task in both]
    low, high = student(apart)
    return Difference(
        a=fmean(a[task] for task in both) if both else math.nan,
        b=fmean(b[task] for task in both) if both else math.nan,
        value=fmean(apart) if apart else math.nan,
        low=low,
        high=high,
        p=sign_flip([_fraction(d) for d in apart], seed),
        tasks=len(both),
    )


def _fraction(value: float) -> Fraction:
    """The simple fraction that a mean of a few counts is; the number itself where it is none."""
    near = Fraction(value).limit_denominator(10_000)
    return near if abs(float(near) - value) < 1e-12 else Fraction(value)


def _by_task(played: Sequence[Trajectory]) -> dict[str, list[Trajectory]]:
    found: dict[str, list[Trajectory]] = {}
    for t in played:
        if t.ending is not Ending.INFRA_ERROR:
            found.setdefault(t.task_id, []).append(t)
    return found


def _flip(task: str, a: Sequence[Trajectory], b: Sequence[Trajectory]) -> Flip:
    return Flip(
        task,
        fmean(float(t.success) for t in a),
        fmean(float(t.success) for t in b),
        tuple(t.id for t in a),
        tuple(t.id for t in b),
    )
