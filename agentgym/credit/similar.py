"""Near-duplicate texts: clusters of observations that say nearly the same, for anchors that exact keys would miss.

A move counter, or two things named in another order, makes every exact key unique, and anchor-state credit compares
nothing any more. Its authors let an observation join the first cluster whose first text is nearly equal, and compare
each with each for it. Here hashes find the few pairs worth comparing, and only those are compared, the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.segments import Int
from agentgym.errors import CreditError
from agentgym.seeding import derive

LEAST = 0.8
"""Lowest threshold: below it the hashes would miss too many pairs."""

LONGEST = 8192
"""Characters beyond which a text is compared exactly only: the comparison of hostile texts grows with the cube."""

BANDS, ROWS = 42, 3
"""Hashes of a text: so many bands of so many. Two texts that share the part J of their trigrams are compared with
probability 1 - (1 - J^3)^42: 0.9995 at J = 0.55, the least that one inserted character in a short text leaves."""

BUCKETS = 64
"""Character counts are kept modulo this: letters, digits and the usual marks each have their own."""

PAIRS = 192
"""Counts of two characters in a row are kept modulo this."""

_FACTOR, _MIXER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_SALTS = np.array(
    # Factors are odd: an even one would lose low bits.
    [[derive(0, "minhash", part, i) | (part == "factor") for i in range(BANDS * ROWS)] for part in ("factor", "term")],
    dtype=np.uint64,
)


def cluster(texts: Sequence[str], groups: Sequence[int] | Int | None = None, threshold: float = 0.95) -> Int:
    """Number the cluster of each text: it joins the first cluster of its group whose first text is similar enough.

    Similar are texts a and b with `difflib.SequenceMatcher(None, a, b).ratio() >= threshold`, b the cluster's first
    text: the measure of the authors' code, with difflib's habit of passing over frequent characters in texts of 200
    or more. Equal texts always share a cluster. Differences from that code: a pair that the hashes miss is not joined,
    and texts longer than `LONGEST` are joined with equal ones only.

    The greedy order matters, as it does there: texts in another order can be cut into other clusters where a text
    is similar to two that are not similar to each other. Where being similar is transitive, order changes the numbers
    only. The same texts in the same order give the same clusters on every machine.

    Args:
        texts: n texts.
        groups: `[n]`; texts of different groups share no cluster. One group if not given.
        threshold: from `LEAST` to 1; 1 joins equal texts only.

    Returns:
        `[n]`, from 0, numbered in order of first appearance.

    Raises:
        CreditError: a threshold outside that range, or not one group for each text.

    >>> cluster(["Room 12. You see a red apple.", "Room 13. You see a red apple.", "A hall."], threshold=0.95)
    array([0, 0, 1])
    """
    if not LEAST <= threshold <= 1.0:
        raise CreditError(f"similar texts: the threshold must be from {LEAST} to 1, not {threshold}")
    keys = [0] * len(texts) if groups is None else np.asarray(groups).tolist()
    if len(keys) != len(texts):
        raise CreditError(f"similar texts: {len(texts)} texts have {len(keys)} groups")
    known: dict[tuple[int, str], int] = {}
    found: dict[int, _Firsts] = {}
    count = 0
    for key in zip(keys, texts, strict=True):
        if key in known:
            continue
        group, text = key
        if threshold == 1.0 or len(text) > LONGEST:
            number = None
        else:
            number = found.setdefault(group, _Firsts(threshold)).match(text, count)
        known[key] = count if number is None else number
        count += number is None
    return np.array([known[key] for key in zip(keys, texts, strict=True)], dtype=np.int64)


class _Firsts:
    """The first texts of one group's clusters, in the order in which they came."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.numbers: list[int] = []
        self.matchers: list[SequenceMatcher[str]] = []  # Each holds its text, analysed once.
        self.bands: dict[int, list[int]] = {}
        self.lengths = np.zeros(64, dtype=np.int64)
        self.counts = np.zeros((64, BUCKETS + PAIRS), dtype=np.int16)

    def match(self, text: str, number: int) -> int | None:
        """The number of the first cluster that a text belongs to; if there is none, it begins cluster `number`."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        counts = _counts(codes)
        marks = _marks(codes)
        candidates: set[int] = set()
        for mark in marks:
            candidates.update(self.bands.get(mark, ()))
        if candidates:
            rows = np.sort(np.fromiter(candidates, dtype=np.int64, count=len(candidates)))
            for k in map(int, rows[self._possible(rows, counts, len(text))]):
                if _reaches(self.matchers[k], text, int(self.lengths[k]), self.threshold):
                    return self.numbers[k]
        self._add(text, number, counts, marks)
        return None

    def _possible(self, rows: Int, counts: NDArray[np.int16], length: int) -> NDArray[np.bool_]:
        """Which clusters share enough characters and pairs of characters, wherever they stand, to be similar at all.

        Of both lengths together, S, a ratio of t leaves (1 - t) S characters unmatched. They cut the tS/2 matched ones
        into at most (1 - t) S + 1 blocks, and each block loses one pair: tS/2 - (1 - t) S - 1 pairs must be common.
        """
        shared = np.minimum(self.counts[rows], counts)
        both, t = self.lengths[rows] + length, self.threshold
        enough = 2 * shared[:, :BUCKETS].sum(axis=1, dtype=np.int64) >= t * both
        return enough & (shared[:, BUCKETS:].sum(axis=1, dtype=np.int64) >= (1.5 * t - 1.0) * both - 1.001)

    def _add(self, text: str, number: int, counts: NDArray[np.int16], marks: list[int]) -> None:
        k = len(self.numbers)
        if k == len(self.lengths):
            self.lengths = np.concatenate([self.lengths, np.zeros_like(self.lengths)])
            self.counts = np.concatenate([self.counts, np.zeros_like(self.counts)])
        self.numbers.append(number)
        self.matchers.append(SequenceMatcher(None, "", text))
        self.lengths[k], self.counts[k] = len(text), counts
        for mark in marks:
            self.bands.setdefault(mark, []).append(k)


def _reaches(matcher: SequenceMatcher[str], text: str, b: int, threshold: float) -> bool:
    """`matcher.ratio() >= threshold` of a text against that of the matcher, b characters long.

    Given up or granted as soon as it is certain, which is most often after one or two of the blocks."""
    matcher.set_seq1(text)
    a = len(text)
    if a + b == 0:
        return True
    matched, possible = 0, min(a, b)  # Characters matched so far, and those that may still come to it.
    todo = [(0, a, 0, b)]
    while todo and 2.0 * matched / (a + b) < threshold:
        a_from, a_to, b_from, b_to = todo.pop()
        i, j, size = matcher.find_longest_match(a_from, a_to, b_from, b_to)
        parts = [(a_from, i, b_from, j), (i + size, a_to, j + size, b_to)] if size else []
        matched += size
        possible -= min(a_to - a_from, b_to - b_from)
        possible += sum(min(p[1] - p[0], p[3] - p[2]) for p in parts)
        if 2.0 * (matched + possible) / (a + b) < threshold:
            return False
        todo += (p for p in parts if p[0] < p[1] and p[2] < p[3])
    return 2.0 * matched / (a + b) >= threshold


def _counts(codes: NDArray[np.uint32]) -> NDArray[np.int16]:
    """How often each character and each pair of neighbours is there `[BUCKETS + PAIRS]`; buckets may be shared."""
    pairs = (codes[:-1] * np.uint32(31) + codes[1:]) % PAIRS
    ones = np.bincount(codes % BUCKETS, minlength=BUCKETS)
    return np.concatenate([ones, np.bincount(pairs, minlength=PAIRS)]).astype(np.int16)


def _marks(codes: NDArray[np.uint32]) -> list[int]:
    """The bands of a text's MinHash signature over its trigrams: texts that share one are worth comparing."""
    wide = np.zeros(len(codes) + 4, dtype=np.uint64)  # Both ends count: even an empty text has trigrams.
    wide[2:-2] = codes
    grams = (wide[:-2] << np.uint64(42)) | (wide[1:-1] << np.uint64(21)) | wide[2:]
    grams *= _FACTOR
    grams ^= grams >> np.uint64(32)
    signature = (_SALTS[0][:, None] * grams + _SALTS[1][:, None]).min(axis=1).reshape(BANDS, ROWS)
    marks = np.arange(BANDS, dtype=np.uint64)
    for row in signature.T:
        marks = (marks ^ row) * _MIXER
        marks ^= marks >> np.uint64(29)
    return marks.tolist()
