"""Segment operations against the obvious loops."""

from __future__ import annotations

import numpy as np
import pytest
from credit_reference import deviation, mean
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agentgym.credit import segments as module
from agentgym.credit.segments import EPSILON, Segments, discounted_returns, shift

keyed = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.floats(-5, 5)), max_size=40)


@settings(deadline=None)
@given(keyed)
def test_of_numbers_pairs_by_first_appearance(rows):
    a, b = np.array([r[0] for r in rows], dtype=np.int64), np.array([r[1] for r in rows], dtype=np.uint64)
    found = Segments.of(a, b)
    seen: dict[tuple[int, int], int] = {}
    expected = [seen.setdefault((r[0], r[1]), len(seen)) for r in rows]
    assert found.ids.tolist() == expected
    assert found.count == len(seen)


@settings(deadline=None)
@given(keyed, st.integers(1, 8))
def test_split_is_of_for_consecutive_rows_whatever_the_block(rows, block):
    rows = sorted(rows, key=lambda r: r[0])
    a, b = np.array([r[0] for r in rows], dtype=np.int64), np.array([r[1] for r in rows], dtype=np.uint64) * 2**62
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        found = Segments.of_sorted(a).split(b)
    expected = Segments.of(a, b)
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.count == expected.count


def test_of_tells_large_keys_apart():
    keys = np.array([2**64 - 1, 2**64 - 2, 2**64 - 1], dtype=np.uint64)
    assert Segments.of(keys).ids.tolist() == [0, 1, 0]
    assert Segments.of(np.array([-1, 1, -1]), keys).ids.tolist() == [0, 1, 0]


@settings(deadline=None)
@given(keyed)
def test_statistics_equal_loops(rows):
    ids, values = np.array([r[0] for r in rows], dtype=np.int64), np.array([r[2] for r in rows], dtype=np.float64)
    s = Segments.of(ids)
    members = [values[s.ids == k].tolist() for k in range(s.count)]
    for k, member in enumerate(members):
        assert s.sizes[k] == len(member)
        assert s.first[k] == np.flatnonzero(s.ids == k)[0]
        assert s.sum(values)[k] == pytest.approx(sum(member), abs=1e-12)
        assert s.mean(values)[k] == pytest.approx(mean(member), abs=1e-12)
        assert s.deviation(values)[k] == pytest.approx(deviation(member), abs=1e-12)
    for n, value in enumerate(values):
        member = members[s.ids[n]]
        others = (sum(member) - value) / (len(member) - 1) if len(member) > 1 else value
        below, equal = sum(v < value for v in member), sum(v == value for v in member)
        assert s.centre(values)[n] == pytest.approx(value - mean(member), abs=1e-12)
        assert s.standardise(values)[n] == pytest.approx(
            (value - mean(member)) / (deviation(member) + EPSILON), abs=1e-6
        )
        assert s.mean_of_others(values)[n] == pytest.approx(others, abs=1e-12)
        assert s.leave_one_out(values)[n] == pytest.approx(value - others, abs=1e-12)
        assert s.ranks(values)[n] == below + (equal - 1) / 2


@settings(deadline=None)
@given(st.floats(-1e100, 1e100), st.integers(1, 50))
def test_equal_values_are_exactly_zero_apart(value, n):
    """The mean of n equal floats is not that float in naive arithmetic: 0.1 + 0.1 + 0.1 is not 0.3."""
    s, values = Segments(np.zeros(n, dtype=np.int64), 1), np.full(n, value)
    assert s.mean(values)[0] == value
    for result in (s.centre(values), s.standardise(values), s.leave_one_out(values), s.deviation(values)):
        assert not result.any()


def test_no_rows():
    none, s = np.zeros(0), Segments.of(np.zeros(0, dtype=np.int64))
    assert s.count == 0
    assert Segments.of_sorted(none).split(none).count == 0
    for result in (s.sum(none), s.mean(none), s.deviation(none), s.centre(none), s.standardise(none), s.ranks(none)):
        assert result.shape == (0,)
        assert result.dtype == np.float64
    assert discounted_returns(none, s, 0.9).shape == (0,)
    assert shift(none, s, 1).shape == (0,)


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-10, 10)),
    st.lists(st.integers(1, 30), min_size=1, max_size=10),
    st.sampled_from([0.0, 1e-200, 0.5, 0.95, 1.0]),
    st.integers(1, 40),
)
def test_returns_equal_the_recursion_whatever_the_block(rewards, lengths, gamma, block):
    trajectory = np.repeat(np.arange(len(lengths)), lengths)
    rewards = np.resize(rewards, len(trajectory))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        found = discounted_returns(rewards, Segments.of_sorted(trajectory), gamma)
    following, expected = 0.0, np.zeros(len(rewards))
    for n in reversed(range(len(rewards))):
        last = n + 1 == len(rewards) or trajectory[n + 1] != trajectory[n]
        following = rewards[n] + (0.0 if last else gamma * following)
        expected[n] = following
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_returns_of_one_very_long_trajectory_among_short_ones():
    sizes = [1] * 1000 + [100_000] + [2] * 1000
    trajectory = np.repeat(np.arange(len(sizes)), sizes)
    for gamma in (0.5, 0.999, 1.0):
        found = discounted_returns(np.ones(len(trajectory)), Segments.of_sorted(trajectory), gamma)
        left = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(trajectory))
        expected = left if gamma == 1.0 else (1 - gamma**left) / (1 - gamma)
        np.testing.assert_allclose(found, expected, rtol=1e-10)


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(-7, 7))
def test_shift_stays_in_its_segment(lengths, by):
    ids = np.repeat(np.arange(len(lengths)), lengths)
    values = np.arange(len(ids), dtype=np.float64)
    found = shift(values, Segments.of_sorted(ids), by, fill=-1.0)
    for n in range(len(ids)):
        source = n - by
        inside = 0 <= source < len(ids) and ids[source] == ids[n]
        assert found[n] == (values[source] if inside else -1.0)
