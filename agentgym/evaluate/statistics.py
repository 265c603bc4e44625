"""The statistics of an evaluation: intervals that know that attempts at one task are no independent draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""


def wilson(successes: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (1927): sound for small n and at 0 and 1.

    Args:
        successes: how many of the trials succeeded; may be fractional, for an effective sample size.
        n: trials; with none, anything is possible.
        z: normal quantile, 1.96 for 95 %.

    >>> [round(x, 4) for x in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if n <= 0:
        return 0.0, 1.0
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, middle - half)
    high = 1.0 if successes >= n else min(1.0, middle + half)
    return low, high


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that at least one of k attempts succeeds, from c successes in n: `1 - C(n-c, k) / C(n, k)`.

    Unbiased (Chen et al. 2021, arXiv 2107.03374), computed as a product.

    Args:
        n: attempts made, at least k.
        c: how many of them succeeded.
        k: attempts allowed.

    >>> pass_at_k(4, 1, 1), pass_at_k(4, 1, 4)
    (0.25, 1.0)
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass_at_k needs 0 <= c <= n and 1 <= k <= n, not n={n}, c={c}, k={k}")
    missed = 1.0
    for i in range(k):
        missed *= max(0, n - c - i) / (n - i)
    return 1.0 - missed


class Figure(NamedTuple):
    """A mean that an environment asked for; `None` where there is nothing to tell it from."""

    value: float | None
    low: float | None
    high: float | None
    attempts: int

    def shown(self) -> str:
        """As a person reads it."""
        if self.value is None:
            return "no attempt to tell it from"
        spread = "" if self.low is None or self.high is None else f"; 95 % interval {self.low:.3f} to {self.high:.3f}"
        return f"{self.value:.3f}  (of {self.attempts}{spread})"


def figure(values: Sequence[tuple[str, float]]) -> Figure:
    """A mean with its 95 % interval, attempts at one task being no independent draws.

    Wilson's where all values are 0 or 1, as for the success; else the normal one with the cluster-robust standard error
    (Miller 2024, arXiv 2411.00640), which needs two tasks.

    Args:
        values: of each attempt, its group and its value.

    >>> figure([("a", 1.0), ("b", 3.0), ("c", 2.0)]).value
    2.0
    """
    groups: dict[str, list[float]] = {}
    for group, value in values:
        groups.setdefault(group, []).append(float(value))
    n = len(values)
    if not n:
        return Figure(None, None, None, 0)
    middle = fmean(value for _, value in values)
    if all(value in (0.0, 1.0) for _, value in values):
        effective = effective_attempts([(len(found), int(sum(found))) for found in groups.values()])
        return Figure(middle, *wilson(middle * effective, effective), n)
    if len(groups) < 2:
        return Figure(middle, None, None, n)
    variance = sum((sum(found) - len(found) * middle) ** 2 for found in groups.values()) / n**2
    half = Z95 * math.sqrt(variance * len(groups) / (len(groups) - 1))
    return Figure(middle, middle - half, middle + half, n)


def effective_attempts(tallies: Sequence[tuple[int, int]]) -> float:
    """How many independent attempts the attempts in groups are worth, between the number of groups and of attempts.

    `p (1 - p)` over the cluster-robust variance of the mean (Miller 2024, arXiv 2411.00640). Where all succeed or all
    fail nothing can be estimated, and each group counts once.

    Args:
        tallies: (attempts, successes) of each group.

    >>> effective_attempts([(4, 4), (4, 0)]), effective_attempts([(1, 1), (1, 0), (1, 0)])
    (2.0, 3.0)
    """
    n, groups = sum(n for n, _ in tallies), len(tallies)
    if n == groups:
        return float(n)
    p = sum(c for _, c in tallies) / n
    variance = sum((c - m * p) ** 2 for m, c in tallies) / n**2 * (groups / (groups - 1) if groups > 1 else 1.0)
    worth = p * (1 - p) / variance if variance > 0 and 0 < p < 1 else float(groups if not 0 < p < 1 else n)
    return min(float(n), max(float(groups), worth))


def pass_table(tallies: Sequence[tuple[int, int]]) -> dict[int, float]:
    """pass@k for k = 1, 2, 4, ... and the largest number of attempts."""
    most = max((n for n, _ in tallies), default=0)
    ks = sorted({1 << i for i in range(most.bit_length()) if 1 << i <= most} | ({most} if most else set()))
    return {k: fmean(pass_at_k(n, c, k) for n, c in tallies if n >= k) for k in ks}
