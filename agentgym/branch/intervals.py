"""Intervals of a mean score, and of the difference of two, from few continuations.

Scores that take two values (solved or not) are a proportion: Wilson's interval. Graded ones get Student's, with one
more score imagined at each end of the range: eight equal scores are no proof that the ninth will be equal, too. The
difference combines the two intervals by the square-and-add method: Newcombe's (1998) where both are Wilson's, MOVER
(Zou and Donner 2008) in general.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

from agentgym.evaluate import wilson
from agentgym.lab.significance import t_quantile

LEVEL = 0.95


class Estimate(NamedTuple):
    """A number with its interval, and how many continuations it is from (0 for one that is known)."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Scale:
    """What scores can be, as far as has been seen."""

    low: float
    high: float
    two: bool
    """Whether they are one of the two and nothing between."""

    @classmethod
    def of(cls, scores: Iterable[float]) -> Scale:
        """The range of scores. Where all are equal, it reaches from 0 to 1 at least: what most environments pay.

        >>> Scale.of([0.0, 1.0, 1.0]), Scale.of([0.0, 0.5, 1.0]).two, Scale.of([0.0])
        (Scale(low=0.0, high=1.0, two=True), False, Scale(low=0.0, high=1.0, two=True))
        """
        seen = sorted({round(score, 9) for score in scores})
        if len(seen) <= 1:
            seen = [min([*seen, 0.0]), max([*seen, 1.0])]
        return cls(seen[0], seen[-1], len(seen) == 2)


def mean(scores: Sequence[float], scale: Scale, level: float = LEVEL) -> Estimate:
    """The mean of scores with its interval.

    Args:
        scores: one or more.
        scale: of all scores that are to be compared.
        level: of the interval.

    >>> [round(x, 4) for x in mean([1.0] * 8 + [0.0] * 2, Scale(0.0, 1.0, True))]
    [0.8, 0.4902, 0.9433, 10]
    """
    n, middle = len(scores), fmean(scores)
    width = scale.high - scale.low
    if scale.two:
        share = min(1.0, max(0.0, (middle - scale.low) / width))
        low, high = wilson(share * n, n, NormalDist().inv_cdf(0.5 + level / 2))
        return Estimate(middle, min(middle, scale.low + width * low), max(middle, scale.low + width * high), n)
    padded = [*scores, scale.low, scale.high]
    half = t_quantile(n + 1, round(level, 9)) * stdev(padded) / math.sqrt(n + 2)
    return Estimate(middle, min(middle, fmean(padded) - half), max(middle, fmean(padded) + half), n)


def known(value: float) -> Estimate:
    """A value that is no estimate."""
    return Estimate(value, value, value, 0)


def difference(after: Estimate, before: Estimate) -> Estimate:
    """`after - before` of independent estimates, by the square-and-add method at the level that both have.

    >>> one, two = (mean([1.0] * c + [0.0] * (n - c), Scale(0.0, 1.0, True)) for c, n in ((56, 70), (48, 80)))
    >>> [round(x, 4) for x in difference(one, two)[:3]]
    [0.2, 0.0524, 0.3339]
    """
    value = after.value - before.value
    return Estimate(
        value,
        value - math.hypot(after.value - after.low, before.high - before.value),
        value + math.hypot(after.high - after.value, before.value - before.low),
        after.n + before.n,
    )
