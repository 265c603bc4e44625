"""Whether a difference between paired runs can be told from chance: Student's t, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import fmean, stdev

import numpy as np

from agentgym.errors import UsageError


def t_tail(t: float, freedom: int) -> float:
    """Two-sided tail probability of Student's distribution.

    By its integral with t = sqrt(freedom) tan(angle), over which the density is a power of a cosine: smooth and
    finite, so that Simpson's rule is exact to about 1e-10.

    >>> round(t_tail(2.776445, 4), 5), round(t_tail(0.0, 4), 5)
    (0.05, 1.0)
    """
    angle = math.atan(abs(t) / math.sqrt(freedom))
    points = np.linspace(angle, math.pi / 2, 2001)
    values = np.maximum(np.cos(points), 0.0) ** (freedom - 1)
    weight = np.ones(2001)
    weight[1:-1:2], weight[2:-1:2] = 4.0, 2.0
    tail = float(weight @ values) * (math.pi / 2 - angle) / 2000 / 3
    size = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    return min(1.0, 2.0 * size * tail)


@lru_cache(1024)
def t_quantile(freedom: int, level: float = 0.95) -> float:
    """Half the width of a two-sided interval, in standard errors.

    >>> round(t_quantile(4), 3)
    2.776
    """
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, freedom) > 1 - level else (low, middle)
    return high


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean of independent runs.

    Raises:
        UsageError: fewer than two values.
    """
    if len(values) < 2:
        raise UsageError("an interval needs at least two runs")
    half = t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def paired(values: Sequence[float], reference: Sequence[float]) -> float:
    """p of the paired t-test: how likely mean differences as large as this would be if there were none.

    Args:
        values: one a seed.
        reference: of the same seeds, in the same order.

    Returns:
        1 where all differences are 0; 0 where they are all equal and not 0.

    Raises:
        UsageError: fewer than two pairs, or lists of different lengths.
    """
    if len(values) != len(reference) or len(values) < 2:
        raise UsageError(f"a paired test needs two or more pairs, not {len(values)} and {len(reference)} values")
    differences = [a - b for a, b in zip(values, reference, strict=True)]
    mean, spread = fmean(differences), stdev(differences)
    if spread <= 1e-12 * max(1.0, abs(mean)):
        return 1.0 if abs(mean) <= 1e-12 else 0.0
    return t_tail(mean / (spread / math.sqrt(len(differences))), len(differences) - 1)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for the number of comparisons (Holm 1979): below 0.05 stays safe for all of them together.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = largest
    return corrected
