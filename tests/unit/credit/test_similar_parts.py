"""The parts of near-duplicate clustering against plain Python: hashes, counts, and the comparison that gives up early.

`test_similar.py` has what they are for. Most wrong hashes would still cluster well, only somewhat slower or with a pair
less, so that clusters alone show no fault in them; but "the same clusters on every machine" holds for these only.
"""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentgym.credit import similar
from agentgym.credit.similar import LONGEST, _counts, _Firsts, _marks, _reaches, cluster
from agentgym.seeding import derive

WORD = 2**64
texts = st.text(alphabet="abc 1é", max_size=40)
THRESHOLDS = (0.8, 0.9, 0.95)


def codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


@st.composite
def near(draw: st.DrawFn) -> tuple[str, str]:
    """A text, and the same with a few places changed."""
    text = draw(texts)
    other = text
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(other)))
        other = other[:at] + draw(st.sampled_from(["", "x", "ab"])) + other[at + draw(st.integers(0, 2)) :]
    return text, other


def plain_counts(text: str) -> list[int]:
    ones = Counter(ord(c) % 64 for c in text)
    twos = Counter((31 * ord(a) + ord(b)) % 2**32 % 192 for a, b in pairwise(text))
    return [ones[k] for k in range(64)] + [twos[k] for k in range(192)]


def plain_marks(text: str) -> list[int]:
    wide = [0, 0, *map(ord, text), 0, 0]
    hashed: list[int] = []
    for a, b, c in zip(wide, wide[1:], wide[2:], strict=False):
        gram = ((a << 42) | (b << 21) | c) * 0x9E3779B97F4A7C15 % WORD
        hashed.append(gram ^ (gram >> 32))
    marks: list[int] = []
    for band in range(42):
        mark = band
        for i in range(3 * band, 3 * band + 3):
            factor, term = derive(0, "minhash", "factor", i) | 1, derive(0, "minhash", "term", i)
            lowest = min((factor * gram + term) % WORD for gram in hashed)
            mark = (mark ^ lowest) * 0xD6E8FEB86659FD93 % WORD
            mark ^= mark >> 29
        marks.append(mark)
    return marks


@given(texts)
@settings(deadline=None, max_examples=100)
@example("")
@example("\U0010ffff\U0010ffff\U0010fffe")
def test_hashes_and_counts_are_those_of_plain_integers(text: str) -> None:
    assert _counts(codes(text)).tolist() == plain_counts(text)
    assert _marks(codes(text)) == plain_marks(text)


def test_the_numbers_that_the_page_and_the_docstrings_give() -> None:
    assert (similar.LEAST, similar.LONGEST) == (0.8, 8192)
    met = 1 - (1 - 0.55**similar.ROWS) ** similar.BANDS
    assert met == pytest.approx(0.9995, abs=5e-5)


@given(near(), st.sampled_from(THRESHOLDS))
@settings(deadline=None, max_examples=500)
@example(("", ""), 0.95)
@example(("", "x"), 0.8)
@example(("a", ""), 0.8)
def test_giving_up_early_changes_no_answer(pair: tuple[str, str], threshold: float) -> None:
    text, first = pair
    expected = SequenceMatcher(None, text, first).ratio() >= threshold
    assert _reaches(SequenceMatcher(None, "", first), text, len(first), threshold) is expected


@given(st.lists(near(), min_size=1, max_size=5), st.sampled_from(THRESHOLDS))
@settings(deadline=None, max_examples=200)
def test_what_is_ruled_out_by_counts(pairs: list[tuple[str, str]], threshold: float) -> None:
    """The rule as it is written, over the buckets of characters and of pairs of them."""
    text = pairs[0][0]
    others = list(dict.fromkeys(other for _, other in pairs))
    firsts = _Firsts(threshold)
    for number, other in enumerate(others):
        firsts._add(other, number, _counts(codes(other)), _marks(codes(other)))
    mine, expected = plain_counts(text), []
    for other in others:
        both = len(text) + len(other)
        shared = [min(a, b) for a, b in zip(mine, plain_counts(other), strict=True)]
        enough = 2 * sum(shared[:64]) >= threshold * both
        expected.append(enough and sum(shared[64:]) >= (1.5 * threshold - 1) * both - 1.001)
        if SequenceMatcher(None, text, other).ratio() >= threshold:
            assert expected[-1], (text, other)  # Nothing that is similar may be ruled out.
    found = firsts._possible(np.arange(len(others)), _counts(codes(text)), len(text))
    assert found.tolist() == expected


def test_more_clusters_than_there_was_room_for() -> None:
    """Room doubles at 64 and at 128; what was known before it is known after."""
    many = [chr(0x4E00 + i) * 20 for i in range(150)]
    assert cluster(many).tolist() == list(range(150))
    again = cluster([*many, *many[::-1], *(text + text[0] for text in many)]).tolist()
    assert again == [*range(150), *reversed(range(150)), *range(150)]


def test_the_longest_text_that_is_compared() -> None:
    """One character in thousands differs: joined up to the limit, and apart beyond it."""
    words = " ".join(f"{n:x}" for n in range(4000))
    for length, expected in ((LONGEST, [0, 0]), (LONGEST + 1, [0, 1])):
        text = words[:length]
        assert cluster([text, text[:-1] + "#"]).tolist() == expected
