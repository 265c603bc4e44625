"""Segment operations: what every credit module is made of, in one small file.

A *segmentation* sorts rows into segments (the turns of a trajectory, the trajectories of a group, the turns that share
a state). All operations are vectorised and linear once the segments are known; sums are float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

EPSILON = 1e-6


@dataclass(frozen=True)
class Segments:
    """Which segment each of n rows belongs to; segments are numbered 0 to `count` - 1."""

    ids: Int
    """`[n]`."""
    count: int

    @classmethod
    def of(cls, *keys: NDArray[Any]) -> Segments:
        """Rows with equal keys share a segment. Sorts once a key; any integer or boolean dtype."""
        ids: Int = np.unique(keys[0], return_inverse=True)[1].astype(np.int64)
        for key in keys[1:]:
            codes = np.unique(key, return_inverse=True)[1].astype(np.int64)
            ids = np.unique(ids * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1].astype(np.int64)
        return cls(ids, int(ids.max(initial=-1)) + 1)

    @classmethod
    def of_sorted(cls, keys: NDArray[Any]) -> Segments:
        """The same for keys whose equal values lie together; does not sort."""
        if not len(keys):
            return cls(np.zeros(0, np.int64), 0)
        new = np.concatenate([[False], keys[1:] != keys[:-1]])
        ids = np.cumsum(new, dtype=np.int64)
        return cls(ids, int(ids[-1]) + 1)

    @property
    def sizes(self) -> Int:
        """Rows of each segment `[count]`."""
        return np.bincount(self.ids, minlength=self.count).astype(np.int64)

    def sum(self, values: NDArray[Any]) -> Float:
        """Sum of each segment `[count]`."""
        return np.bincount(self.ids, weights=values, minlength=self.count)

    def mean(self, values: NDArray[Any]) -> Float:
        """Mean of each segment `[count]`."""
        return self.sum(values) / np.maximum(self.sizes, 1)

    def deviation(self, values: NDArray[Any]) -> Float:
        """Sample deviation (N-1) of each segment `[count]`; 0 for segments of one."""
        centred = values - self.mean(values)[self.ids]
        return np.sqrt(self.sum(centred * centred) / np.maximum(self.sizes - 1, 1))

    def centre(self, values: NDArray[Any]) -> Float:
        """Values less the mean of their segment `[n]`; exactly 0 in a segment of one."""
        return np.where(self.sizes[self.ids] > 1, values - self.mean(values)[self.ids], 0.0)

    def standardise(self, values: NDArray[Any], epsilon: float = EPSILON) -> Float:
        """Centred values over (deviation + epsilon) `[n]`; exactly 0 in a segment of one."""
        return self.centre(values) / (self.deviation(values)[self.ids] + epsilon)

    def leave_one_out(self, values: NDArray[Any]) -> Float:
        """Values less the mean of the *others* of their segment `[n]`; 0 in a segment of one."""
        sizes = self.sizes[self.ids]
        return self.centre(values) * sizes / np.maximum(sizes - 1, 1)


def discounted_returns(rewards: NDArray[Any], segments: Segments, gamma: float) -> Float:
    """G_t = r_t + gamma G_{t+1} within each segment, for segments whose rows lie together in order of time.

    Doubling: after k rounds every row holds the discounted sum of its next 2^k rewards, so the work is
    n log2(longest segment), in whole-array operations, stable for every gamma in [0, 1].

    Args:
        rewards: `[n]`.
        segments: of consecutive rows.
        gamma: discount.

    Returns:
        `[n]` float64.
    """
    returns = np.array(rewards, dtype=np.float64)
    n = len(returns)
    if n == 0 or gamma == 0.0:
        return returns
    longest = int(segments.sizes.max())
    ends = np.cumsum(segments.sizes)[segments.ids]  # One past the last row of each row's segment.
    left = ends - np.arange(n)  # Rows from here to the end, this one included.
    reach, factor = 1, float(gamma)
    while reach < longest:
        here = np.flatnonzero(left > reach)
        returns[here] += factor * returns[here + reach]
        reach, factor = 2 * reach, factor * factor
    return returns
