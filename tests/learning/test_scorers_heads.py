"""progress-estimator, turn-critic, and the head they share: right states, right sums, errors of what was not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scorers_play import action_of, context, load, plain_pass, play, shared_model

from agentgym.credit import TurnTable
from agentgym.errors import CreditError, StoreError
from agentgym.scorers.forward import Forward
from agentgym.scorers.head_fit import GRID, LinearHead
from agentgym.scorers.places import state_queries
from agentgym.scorers.progress_estimator import ProgressEstimator
from agentgym.scorers.turn_critic import TurnCritic
from agentgym.types import Ending


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([30, 8192]),
)
def test_states_are_those_of_a_plain_pass(seed, turns, cut, end, budget):
    loaded = shared_model()
    played = play(loaded, seed, turns, cut=cut)
    table = TurnTable.from_trajectories(played)
    found = Forward(loaded.model, budget).states(state_queries(played, table, end), len(table))
    for row, (i, t) in enumerate(zip(table["trajectory"], table["turn"], strict=True)):
        sample, start, stop = action_of(played[i], t)
        _, hidden = plain_pass(loaded.model, sample.tokens)
        np.testing.assert_allclose(found[row], hidden[(stop if end else start) - 1], atol=1e-4)


def make_rows(seed: int, attempts: int, width: int, noise: float = 0.0):
    """Turns whose states decide what they are worth, up to noise."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=width)
    turns = rng.integers(1, 6, attempts)
    ids = np.repeat(np.arange(attempts), turns)
    states = (rng.normal(size=(len(ids), width)) + 3.0).astype(np.float32)
    worth = states @ true - 0.7 + noise * rng.normal(size=len(ids))
    sums = np.zeros((attempts, width))
    np.add.at(sums, ids, states.astype(np.float64))
    return states, ids, turns.astype(float), sums, worth, np.bincount(ids, worth)


def test_a_head_finds_what_turns_are_worth_from_sums_alone():
    states, _, counts, sums, worth, totals = make_rows(0, 400, 8)
    head = LinearHead(capacity=0)
    assert not head(states).any()
    head.fit(sums, counts, totals, np.arange(len(counts)))
    np.testing.assert_allclose(head(states), worth, atol=0.02)
    assert head.penalty == GRID[0]  # Without noise the smallest penalty predicts best.


def test_where_states_say_nothing_every_turn_is_worth_the_same():
    states, ids, *_ = make_rows(0, 40, 30)
    head, returns = LinearHead(capacity=0), np.random.default_rng(9).normal(5.0, 1.0, 40)[ids]
    head.fit(states.astype(float), np.ones(len(ids)), returns, ids)
    assert head.penalty >= 1.0
    np.testing.assert_allclose(head(states), returns.mean(), atol=0.6)
    # Rows of one attempt share their return: left out one by one they would seem to predict each other.
    head.fit(states.astype(float), np.ones(len(ids)), returns, np.arange(len(ids)))
    assert np.isfinite(head(states)).all()


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_leaving_out_is_what_fitting_without_gives(penalty):
    """The exact formula for left-out attempts against fits to the others, all in one basis."""
    from agentgym.scorers.head_fit import _left_out

    rng = np.random.default_rng(3)
    inputs, targets, ids = rng.normal(size=(14, 5)), rng.normal(size=14), np.repeat(np.arange(5), [1, 2, 3, 4, 4])
    left, sizes, _ = np.linalg.svd(inputs, full_matrices=False)
    blocks = [np.flatnonzero(ids == b) for b in range(5)]
    found = _left_out(left, sizes**2 / (sizes**2 + penalty), left.T @ targets, targets, blocks)
    total = 0.0
    for rows in blocks:
        rest = np.setdiff1d(np.arange(14), rows)
        x = inputs[rest]
        w = np.linalg.solve(x.T @ x + penalty * np.eye(5), x.T @ targets[rest])
        total += float(((inputs[rows] @ w - targets[rows]) ** 2).sum())
    assert found == pytest.approx(total)


def test_memory_is_bounded_and_comes_back():
    states, _, counts, sums, _, totals = make_rows(1, 60, 6, noise=1.0)
    head = LinearHead(capacity=50)
    for part in np.split(np.arange(60), 3):
        head.fit(sums[part], counts[part], totals[part], np.arange(20))
    assert len(head.memory["targets"]) == 50
    assert len(np.unique(head.memory["attempts"])) == 50  # Attempts of different calls stay apart.
    again = LinearHead(capacity=50)
    again.load_state(head.state())
    for h in (head, again):
        h.fit(sums[:7], counts[:7], totals[:7], np.arange(7))
    assert (again(states) == head(states)).all()
    forgetful = LinearHead(capacity=0)
    forgetful.fit(sums, counts, totals, np.arange(60))
    assert len(forgetful.memory["targets"]) == 0
    forgetful.fit(sums[:7], counts[:7], totals[:7], np.arange(7))  # Nothing remembered is no trouble.
    assert np.isfinite(forgetful(states)).all()
    with pytest.raises(StoreError, match="linear head"):
        again.load_state({"weight": np.zeros(6)})
    with pytest.raises(StoreError, match="widths"):
        again.load_state({**head.state(), "weight": np.zeros(5)})


@pytest.mark.parametrize("rows", [1, 2])
def test_a_head_is_finite_whatever_it_is_given(rows):
    for inputs in (np.zeros((rows, 4)), np.ones((rows, 4)) * 1e6):
        for target in (0.0, 1e100, -3.0):
            head = LinearHead(capacity=10)
            head.fit(inputs, np.ones(rows), np.full(rows, target), np.arange(rows))
            assert np.isfinite(head(inputs.astype(np.float32))).all()


def test_contributions_sum_to_the_outcome_and_errors_are_of_what_was_not_seen():
    loaded = load()
    work = ProgressEstimator().open(context(loaded))
    first, second = (play(loaded, seed, [3, 2, 4, 1, 2, 2, 3, 1], group=4) for seed in (0, 1))
    table = TurnTable.from_trajectories(first)
    assert not work.score(first, table)["progress_score"].any()
    metrics = work.learn(first, table)
    outcomes = table["outcome"][table.last]
    assert metrics["heldout_error"] == pytest.approx(np.mean(outcomes**2))  # The head that there was said 0.
    assert metrics["fit_error"] < metrics["heldout_error"]
    assert metrics["target_variance"] == pytest.approx(outcomes.var())
    later = TurnTable.from_trajectories(second)
    scores = work.score(second, later)["progress_score"]
    assert scores.any()
    metrics = work.learn(second, later)
    missed = later.trajectories.sum(scores) - later["outcome"][later.last]
    assert metrics["heldout_error"] == pytest.approx(np.mean(missed**2))
    assert metrics["fit_error"] < metrics["heldout_error"]


def test_the_estimator_learns_what_a_turn_shows():
    """Attempts that end in the token `w` succeed: after two iterations, unseen ones are told apart."""
    loaded = load()
    win, lose = loaded.chat.encode("w")[0], loaded.chat.encode("l")[0]

    def marked(seed):
        scores = [1.0, 0.0] * 8
        made = []
        for trajectory, score in zip(play(loaded, seed, [3] * 16, group=4, scores=scores), scores, strict=True):
            (sample,) = trajectory.samples
            tokens = (*sample.tokens[:-1], win if score else lose)
            made.append(replace(trajectory, samples=(replace(sample, tokens=tokens),)))
        return made

    work = ProgressEstimator(replay=64).open(context(loaded))
    for seed in range(3):
        played = marked(seed)
        table = TurnTable.from_trajectories(played)
        scores = work.score(played, table)["progress_score"]
        metrics = work.learn(played, table)
    assert metrics["heldout_error"] < 0.2 * metrics["target_variance"]
    assert scores[table["done"]][::2].min() > scores[table["done"]][1::2].max()


def test_the_critic_fits_discounted_returns():
    loaded = load()
    played = play(loaded, 0, [3, 2, 4, 1], scores=[1.0, 0.0, 1.0, 1.0])
    table = TurnTable.from_trajectories(played)
    work = TurnCritic(gamma=0.5, ridge=1e-9).open(context(loaded))
    assert (work.score(played, table)["value"] == 0).all()
    metrics = work.learn(played, table)
    returns = table["outcome"] * 0.5 ** (table.trajectories.sizes[table.trajectories.ids] - 1 - table["turn"])
    assert metrics["heldout_error"] == pytest.approx(np.mean(returns**2))
    values = work.score(played, table)["value"]
    # Attempts at one task begin with the very same state: no value can fit both returns, the mean is what it finds.
    same = table["turn"] == 0
    np.testing.assert_allclose(values[~same], returns[~same], atol=1e-3)
    np.testing.assert_allclose(values[0], (returns[0] + returns[3]) / 2, atol=1e-3)
    assert values[0] == pytest.approx(values[3], abs=1e-5)


def test_lambda_returns_trust_the_critic():
    loaded = load()
    played = play(loaded, 0, [3, 2], group=1)
    table = TurnTable.from_trajectories(played)
    work = TurnCritic(gamma=0.9, lam=0.0, ridge=1e-9).open(context(loaded))
    assert work.learn(played, table)["heldout_error"] == pytest.approx(np.mean(table["reward"] ** 2))
    value = work.score(played, table)["value"]
    later = np.where(table["done"], 0.0, np.append(value[1:], 0.0))
    expected = table["reward"] + 0.9 * later
    assert work.learn(played, table)["heldout_error"] == pytest.approx(np.mean((value - expected) ** 2))


@pytest.mark.parametrize("scorer", [ProgressEstimator(), TurnCritic()])
def test_bad_input(scorer):
    loaded = shared_model()
    work = scorer.open(context(loaded))
    (one,) = play(loaded, 0, [2])
    (column,) = scorer.writes
    broken = replace(one, ending=Ending.INFRA_ERROR, samples=())
    empty = TurnTable.from_trajectories([broken])
    assert len(work.score([broken], empty)[column]) == 0
    assert work.learn([broken], empty) == {}
    assert len(work.score([broken, one], TurnTable.from_trajectories([broken, one]))[column]) == 2
    with pytest.raises(CreditError, match="'t0' has no token ledger"):
        work.score([replace(one, samples=())], TurnTable.from_trajectories([one]))
    with pytest.raises(CreditError, match="loaded model"):
        scorer.open(context(None))
    with pytest.raises(StoreError, match="of 'other'"):
        work.load_state({}, {"kind": "other"})
    work.load_state(*work.state())  # Before the first fit there is nothing, and it comes back as nothing.
    assert (work.score([one], TurnTable.from_trajectories([one]))[column] == 0).all()
