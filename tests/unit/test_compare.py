"""Paired comparisons: the test against enumeration, the intervals against exact coverage, flips and gaps by hand."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.evaluate.paired import Pairing, pair, sign_flip, wald
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn

FRACTIONS = st.lists(st.sampled_from([Fraction(k, 4) for k in range(-4, 5)]), min_size=1, max_size=9)


def attempt(task: str, success: bool, number: int = 0, *, turns: int = 2, ending: Ending | None = None) -> Trajectory:
    turn = Turn(Observation("o"), Completion("a", (1, 2)), "a")
    ended = ending or (Ending.SUCCESS if success else Ending.FAILURE)
    return Trajectory(
        f"{task}#{number}", "e", task, task, number, 7, (turn,) * turns, ended, score=float(success), success=success
    )


def side(wins: str, **more: int) -> list[Trajectory]:
    """`"110"`: an attempt a task, won or lost."""
    return [attempt(f"t{i}", won == "1", **more) for i, won in enumerate(wins)]


@given(FRACTIONS)
def test_the_test_is_exact(differences: list[Fraction]) -> None:
    size = abs(sum(differences))
    signs = itertools.product((-1, 1), repeat=len(differences))
    as_far = [abs(sum(s * d for s, d in zip(sign, differences, strict=True))) >= size for sign in signs]
    assert sign_flip(differences) == pytest.approx(sum(as_far) / len(as_far))


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 10))
def test_with_one_attempt_a_task_it_is_mcnemars(won: int, lost: int, same: int) -> None:
    n = won + lost
    exact = min(1.0, 2 * sum(math.comb(n, k) for k in range(min(won, lost) + 1)) / 2**n)
    assert sign_flip([Fraction(1)] * won + [Fraction(-1)] * lost + [Fraction(0)] * same) == pytest.approx(exact)


def test_random_signs_come_near_the_exact_p_and_repeat() -> None:
    rng = np.random.default_rng(1)
    found = [Fraction(int(x), 1) for x in rng.integers(-3, 6, size=40)]
    exact = sign_flip(found)
    irrational = [d * Fraction(math.pi) for d in found]  # No common denominator of moderate size.
    drawn = sign_flip(irrational, seed=5)
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000) + 1e-4)
    assert drawn == sign_flip(irrational, seed=5)
    assert drawn != sign_flip(irrational, seed=6)


def test_a_true_null_is_rejected_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(400):
        rates = rng.random(15)
        a, b = rng.binomial(3, rates), rng.binomial(3, rates)
        rejected += sign_flip([Fraction(int(y - x), 3) for x, y in zip(a, b, strict=True)]) <= 0.05
    assert rejected / 400 <= 0.075


@pytest.mark.parametrize(("n", "won", "lost"), [(10, 0.1, 0.1), (20, 0.2, 0.05), (20, 0.0, 0.0), (30, 0.4, 0.1)])
def test_the_interval_covers_as_often_as_it_says(n: int, won: float, lost: float) -> None:
    """Every outcome with its exact chance."""
    covered = 0.0
    for w in range(n + 1):
        for k in range(n + 1 - w):
            ways = math.comb(n, w) * math.comb(n - w, k)
            chance = ways * won**w * lost**k * (1 - won - lost) ** (n - w - k)
            low, high = wald([1.0] * w + [-1.0] * k + [0.0] * (n - w - k))
            assert low is not None
            assert high is not None
            covered += chance * (low <= won - lost <= high)
    assert covered >= 0.93


def test_a_comparison_by_hand() -> None:
    a, b = side("1100101011"), side("1010111111", turns=5)
    made = pair(a, b)
    assert (made.success.a, made.success.b, made.success.tasks) == (0.6, 0.8, 10)
    assert made.success.value == pytest.approx(0.2)
    assert [flip.task for flip in made.won] == ["t2", "t5", "t7"]
    assert [(flip.task, flip.trajectories_a) for flip in made.lost] == [("t1", ("t1#0",))]
    assert made.success.p == pytest.approx(2 * (1 + 4) / 16)
    assert made.test == "mcnemar"
    assert made.metrics["turns"].value == 3.0
    assert made.metrics["tokens"].value == 6.0
    assert made.metrics["valid_actions"].value == 0.0
    assert "tool_errors" not in made.metrics
    assert made.other_starts == 0


def test_attempts_at_one_task_are_no_independent_tasks() -> None:
    def repeated(wins: str) -> list[Trajectory]:
        return [attempt(f"t{i}", won == "1", k) for i, won in enumerate(wins) for k in range(8)]

    once, eight = pair(side("000011"), side("111011")), pair(repeated("000011"), repeated("111011"))
    assert eight.success.p == once.success.p == 0.25, "the same attempt eight times tells nothing new"
    assert eight.success.value == once.success.value


def test_tasks_of_one_side_and_broken_worlds_are_counted_and_left_out() -> None:
    a = [*side("110"), attempt("only-a", True), attempt("broken", False, ending=Ending.INFRA_ERROR)]
    b = [*side("011"), attempt("only-b", True), attempt("broken", True)]
    made = pair(a, b)
    assert (made.only_a, made.only_b) == (("only-a",), ("only-b", "broken"))
    assert (made.infra_errors_a, made.infra_errors_b) == (1, 0)
    assert made.success.tasks == 3
    assert (made.attempts_a, made.attempts_b) == (3, 3)


def test_swapping_the_sides_turns_everything_round() -> None:
    a, b = side("1100101011"), side("1010111111", turns=5)
    there, back = pair(a, b), pair(b, a)
    assert there.success.value == pytest.approx(-back.success.value)
    assert there.success.p == back.success.p
    assert there.success.low == pytest.approx(-back.success.high)
    assert [flip.task for flip in there.won] == [flip.task for flip in back.lost]


def test_more_attempts_on_one_side_are_no_bias() -> None:
    a = [attempt("t0", True), attempt("t1", False)]
    b = [attempt("t0", won, k) for k, won in enumerate((True, False))] + [attempt("t1", False)]
    made: Pairing = pair(a, b)
    assert (made.success.a, made.success.b) == (0.5, 0.25)
    assert made.test == "sign-flip"
    assert [(flip.task, flip.a, flip.b) for flip in made.lost] == [("t0", 1.0, 0.5)]


def test_one_task_has_no_interval_and_none_no_number() -> None:
    one = pair(side("1"), side("0")).success
    assert (one.value, one.low, one.high, one.p) == (-1.0, None, None, 1.0)
    none = pair(side("1"), []).success
    assert none.tasks == 0
    assert math.isnan(none.value)
