"""Segment operations: what every credit module is made of, in one small file.

A *segmentation* says which segment each row belongs to: the turns of a trajectory, the trajectories of a group, the
turns that share a state. Everything here is whole-array arithmetic in float64, linear once the segments are known
(`ranks` sorts); modules contain no loop over rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

EPSILON = 1e-6
"""Added to every deviation before dividing by it, as the public codes have it."""

BLOCK = 1 << 15
"""Rows that are worked on at a time where the order of access is not that of memory: few enough to stay in its caches,
so that time grows with the rows and not faster. No more than 16 bits can number."""


@dataclass(frozen=True)
class Segments:
    """Which segment each of n rows belongs to; every one of the `count` segments has at least one row.

    >>> s = Segments.of(np.array([7, 9, 7]))
    >>> s.ids, s.sizes, s.mean(np.array([1.0, 5.0, 2.0]))
    (array([0, 1, 0]), array([2, 1]), array([1.5, 5. ]))
    """

    ids: Int
    """`[n]`, from 0 to `count` - 1, numbered in order of first appearance."""
    count: int

    @classmethod
    def of(cls, *keys: NDArray[Any]) -> Segments:
        """Rows with equal keys share a segment; exact, whatever the values. Sorts once a key.

        Args:
            keys: one or more `[n]` integer or boolean arrays.
        """
        order = np.lexsort(keys)
        new = _changes(keys[0][order])
        for key in keys[1:]:
            new |= _changes(key[order])
        return cls(*_number(order, new))

    @classmethod
    def of_sorted(cls, keys: NDArray[Any]) -> Segments:
        """The same for keys whose equal values lie together; does not sort."""
        if not len(keys):
            return cls(np.zeros(0, np.int64), 0)
        ids = np.cumsum(_changes(keys), dtype=np.int64) - 1
        return cls(ids, int(ids[-1]) + 1)

    def split(self, key: NDArray[Any]) -> Segments:
        """Rows of the same segment, and with equal keys, share a segment: `of(ids, key)` for consecutive rows.

        Args:
            key: `[n]` integers.

        >>> Segments.of_sorted(np.array([0, 0, 0, 1])).split(np.array([5, 3, 5, 5])).ids
        array([0, 1, 0, 2])
        """
        ids, count = np.empty(len(key), dtype=np.int64), 0
        for rows, sizes in self.blocks():
            outer, inner = np.repeat(np.arange(len(sizes), dtype=np.uint16), sizes), key[rows]
            order = np.argsort(inner)
            order = order[np.argsort(outer[order], kind="stable")]  # A radix sort, for 16 bits.
            part, more = _number(order, _changes(outer[order]) | _changes(inner[order]))
            np.add(part, count, out=ids[rows])
            count += more
        return Segments(ids, count)

    @cached_property
    def sizes(self) -> Int:
        """Rows of each segment `[count]`."""
        return np.bincount(self.ids, minlength=self.count).astype(np.int64)

    @cached_property
    def first(self) -> Int:
        """First row of each segment `[count]`."""
        return _first_rows(self.ids, self.count)

    def sum(self, values: NDArray[Any]) -> Float:
        """Sum of each segment `[count]`."""
        weights = np.asarray(values, dtype=np.float64)
        return np.bincount(self.ids, weights=weights, minlength=self.count).astype(np.float64, copy=False)

    def mean(self, values: NDArray[Any]) -> Float:
        """Mean of each segment `[count]`; exactly the value where all of a segment's values are equal."""
        reference = np.asarray(values, dtype=np.float64)[self.first]
        return reference + self.sum(values - reference[self.ids]) / self.sizes

    def deviation(self, values: NDArray[Any]) -> Float:
        """Sample deviation (N-1) of each segment `[count]`; 0 for segments of one."""
        return self._spread(self.centre(values))

    def centre(self, values: NDArray[Any]) -> Float:
        """Values less the mean of their segment `[n]`; exactly 0 where a segment has one row, or equal values.

        Values are taken relative to the segment's first one before they are averaged, so that rounding makes no
        advantage out of nothing and a constant added to all of them is not felt.
        """
        centred = np.asarray(values, dtype=np.float64)[self.first][self.ids]
        np.subtract(values, centred, out=centred)  # In place: fresh memory costs more than the arithmetic.
        centred -= (self.sum(centred) / self.sizes)[self.ids]
        return centred

    def standardise(self, values: NDArray[Any], epsilon: float = EPSILON) -> Float:
        """Centred values over (deviation + epsilon) `[n]`; exactly 0 where `centre` is."""
        centred = self.centre(values)
        centred /= (self._spread(centred) + epsilon)[self.ids]
        return centred

    def leave_one_out(self, values: NDArray[Any]) -> Float:
        """Values less the mean of the *others* of their segment `[n]`; 0 in a segment of one."""
        sizes = self.sizes[self.ids]
        return self.centre(values) * (sizes / np.maximum(sizes - 1, 1))

    def mean_of_others(self, values: NDArray[Any]) -> Float:
        """Mean of the others of each row's segment `[n]`; the row's own value in a segment of one."""
        return values - self.leave_one_out(values)

    def ranks(self, values: NDArray[Any]) -> Float:
        """Rank within the segment `[n]`, from 0 for the smallest; equal values share the mean of their ranks.

        >>> Segments.of(np.array([0, 0, 0, 1])).ranks(np.array([5.0, 2.0, 5.0, 1.0]))
        array([1.5, 0. , 1.5, 0. ])
        """
        order = np.lexsort((values, self.ids))
        ids, sorted_values = self.ids[order], values[order]
        begins = np.cumsum(self.sizes) - self.sizes
        position = np.arange(len(order)) - begins[ids]
        tie_ids = np.cumsum(_changes(ids) | _changes(sorted_values)) - 1
        ties = Segments(tie_ids, int(tie_ids.max(initial=-1)) + 1)
        ranks = np.empty(len(order), dtype=np.float64)
        ranks[order] = ties.mean(position)[ties.ids]
        return ranks

    def blocks(self) -> Iterator[tuple[slice, Int]]:
        """Whole segments of consecutive rows, at most `BLOCK` rows or one segment at a time.

        Yields:
            The rows, and the sizes of the segments in them.
        """
        ends = np.cumsum(self.sizes)
        first, start = 0, 0
        while first < self.count:
            last = max(first + 1, int(np.searchsorted(ends, start + BLOCK, side="right")))
            yield slice(start, int(ends[last - 1])), self.sizes[first:last]
            first, start = last, int(ends[last - 1])

    def _spread(self, centred: Float) -> Float:
        return np.sqrt(self.sum(centred * centred) / np.maximum(self.sizes - 1, 1))


def shift(values: NDArray[Any], segments: Segments, by: int, fill: float = 0.0) -> NDArray[Any]:
    """Values `by` rows earlier (`by` > 0) or later (`by` < 0) in the same segment.

    Args:
        values: `[n]`.
        segments: of consecutive rows, such as the turns of trajectories.
        by: how many rows.
        fill: what stands where the segment has no such row.

    >>> shift(np.array([1.0, 2.0, 3.0]), Segments.of_sorted(np.array([0, 0, 1])), 1)
    array([0., 1., 0.])
    """
    rows = np.arange(len(values)) - by
    inside = (rows >= 0) & (rows < len(values))
    rows = np.where(inside, rows, 0)
    if len(values):
        inside &= segments.ids[rows] == segments.ids
    return np.where(inside, values[rows], fill)


def discounted_returns(rewards: NDArray[Any], segments: Segments, gamma: float) -> Float:
    """G_t = r_t + gamma G_{t+1} within each segment of consecutive rows.

    Doubling: after k rounds a row holds the discounted sum of its next 2^k rewards, and only rows with more to come
    take part in the next round. Work is the sum over rows of log2(rows to come): one very long trajectory among many
    short ones costs its own length only. Powers of gamma only shrink, so nothing overflows, for any gamma in [0, 1].

    Args:
        rewards: `[n]`.
        segments: of consecutive rows, in order of time.
        gamma: discount.

    Returns:
        `[n]` float64.

    >>> discounted_returns(np.array([1.0, 2.0, 4.0]), Segments.of_sorted(np.array([0, 0, 1])), 0.5)
    array([2., 2., 4.])
    """
    returns = np.array(rewards, dtype=np.float64)
    for rows, sizes in segments.blocks():
        _discount(returns[rows], sizes, float(gamma))
    return returns


def _discount(returns: Float, sizes: Int, gamma: float) -> None:
    """Turn rewards into returns in place; `sizes` are those of the segments one after the other."""
    left = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(returns))  # Rows to the segment's end, with this one.
    reach, factor = 1, gamma
    rows = np.flatnonzero(left > reach)
    while len(rows) and factor > 0.0:
        returns[rows] += factor * returns[rows + reach]
        reach, factor = 2 * reach, factor * factor
        rows = rows[left[rows] > reach]


def _changes(sorted_key: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; true in the first row."""
    return np.concatenate([np.ones(min(1, len(sorted_key)), dtype=np.bool_), sorted_key[1:] != sorted_key[:-1]])


def _first_rows(ids: Int, count: int) -> Int:
    first = np.empty(count, dtype=np.int64)
    first[ids[::-1]] = np.arange(len(ids) - 1, -1, -1)  # Written from the last row to the first: the first one stays.
    return first


def _number(order: NDArray[Any], new: NDArray[np.bool_]) -> tuple[Int, int]:
    """Number the runs of a sorted order by first appearance.

    Args:
        order: `[n]` rows, equal ones next to each other.
        new: `[n]` where in `order` a run begins.

    Returns:
        The run of each row `[n]`, and how many there are.
    """
    ids = np.empty(len(order), dtype=np.int64)
    if not len(order):
        return ids, 0
    appears = np.argsort(np.minimum.reduceat(order, np.flatnonzero(new)))
    number = np.empty(len(appears), dtype=np.int64)
    number[appears] = np.arange(len(appears))
    ids[order] = number[np.cumsum(new) - 1]
    return ids, len(appears)
