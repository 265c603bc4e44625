"""implicit-reward and turn-entropy: exact sums, exact gradients, models that do not move with the policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scorers_play import action_of, context, load, plain_pass, play, shared_model

from agentgym.credit import TurnTable
from agentgym.errors import CreditError, StoreError, UsageError
from agentgym.scorers.frozen import trainable_names
from agentgym.scorers.implicit_learning import outcome, preference
from agentgym.scorers.implicit_reward import ImplicitReward
from agentgym.scorers.turn_entropy import TurnEntropy
from agentgym.types import Completion, Ending

SCORES = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]


def iteration(loaded, seed=0):
    played = play(loaded, seed, [2, 3, 1, 2, 2, 3, 1, 4], group=4, cut=True, scores=SCORES)
    return played, TurnTable.from_trajectories(played)


def turn_sums(model, played, table):
    """Summed log-probability of each turn's tokens, by plain passes."""
    sums = []
    for i, t in zip(table["trajectory"], table["turn"], strict=True):
        sample, start, stop = action_of(played[i], t)
        logp, _ = plain_pass(model, sample.tokens)
        sums.append(sum(float(logp[k - 1, sample.tokens[k]]) for k in range(start, stop)))
    return np.asarray(sums)


@pytest.mark.parametrize("objective", ["preference", "outcome"])
@pytest.mark.parametrize("budget", [60, 8192])
def test_rewards_are_scaled_log_ratios_and_learning_lowers_the_loss(objective, budget):
    loaded = load()
    work = ImplicitReward(objective=objective, lr=1e-2, trainable="upper:1").open(context(loaded, token_budget=budget))
    played, table = iteration(loaded)
    assert not work.score(played, table)["implicit_reward"].any()  # Both are the policy itself at first.
    losses = []
    for _ in range(6):
        scored = table.with_columns(work.score(played, table))
        metrics = work.learn(played, scored)
        assert metrics["skipped"] == 0
        losses.append(metrics["heldout_loss"])
    assert losses[0] == pytest.approx(np.log(2))
    assert metrics["pairs" if objective == "preference" else "attempts"] == (5 if objective == "preference" else 8)
    assert losses[-1] < 0.9 * losses[0]
    assert metrics["heldout_accuracy"] > 0.7
    rewards = work.score(played, table)["implicit_reward"]
    reference = load().model
    expected = 0.05 * (turn_sums(work._phi.model, played, table) - turn_sums(reference, played, table))
    np.testing.assert_allclose(rewards, expected, atol=1e-4)


@pytest.mark.parametrize("objective", ["preference", "outcome"])
def test_the_gradient_is_that_of_the_loss(objective):
    """Packs that are computed one by one give the gradient of a loss that ties attempts of different packs."""
    loaded = load()
    played, table = iteration(loaded)
    work = ImplicitReward(objective=objective, lr=1e-3, steps=1, clip_norm=1e9).open(context(loaded, token_budget=60))
    work.learn(played, table)  # phi differs from the reference now.
    rewards = work.score(played, table)["implicit_reward"]
    sums = torch.tensor(table.trajectories.sum(rewards), requires_grad=True)
    success = np.asarray(SCORES) > 0
    pairs = np.asarray([[0, 1], [3, 2], [4, 5], [6, 5]])
    if objective == "preference":
        loss = -torch.nn.functional.logsigmoid(sums[pairs[:, 0]] - sums[pairs[:, 1]]).mean()
        value, _, slope = preference(sums.detach().numpy(), pairs)
    else:
        target = torch.tensor(success.astype(float))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(sums, target)
        value, _, slope = outcome(sums.detach().numpy(), success)
    loss.backward()
    assert value == pytest.approx(float(loss.detach()))
    np.testing.assert_allclose(slope, sums.grad.numpy(), atol=1e-12)
    # The parameters' gradient, against plain passes over whole attempts.
    model = work._phi.model
    parameters = [p for p in model.parameters() if p.requires_grad]
    total = torch.zeros(())
    for trajectory, weight in zip(played, slope, strict=True):
        for sample in trajectory.samples:
            logp = torch.log_softmax(model(input_ids=torch.tensor([sample.tokens]), use_cache=False).logits[0], -1)
            at = [k for k, t in enumerate(sample.turn) if t >= 0]
            total = total + 0.05 * float(weight) * sum(logp[k - 1, sample.tokens[k]] for k in at)
    expected = torch.autograd.grad(total, parameters)
    from agentgym.scorers.forward import packs_of
    from agentgym.scorers.places import action_queries

    weights = 0.05 * slope[table.trajectories.ids]
    for p in packs_of(action_queries(played, table), 60, weights):
        logprob, _ = work._phi.logprobs(p)
        (p.advantage * logprob).sum().backward()
    for parameter, gradient in zip(parameters, expected, strict=True):
        assert parameter.grad is not None
        scale = float(gradient.abs().max()) or 1.0
        np.testing.assert_allclose(parameter.grad / scale, gradient / scale, atol=1e-4)
        parameter.grad = None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=6))
def test_losses_and_slopes_are_finite_for_any_sums(sums):
    values = np.asarray(sums)
    for _, accuracy, slope in (
        preference(values / 2, np.asarray([[0, 1], [1, 0]])),
        outcome(values, np.arange(len(values)) % 2 == 0),
    ):
        assert np.isfinite(slope).all()
        assert 0 <= accuracy <= 1


@pytest.mark.parametrize("trained", ["all", "upper:1"])
def test_neither_phi_nor_reference_moves_with_the_policy(trained):
    loaded = load()
    names = trainable_names(loaded.model, trained)
    for name, p in loaded.model.named_parameters():
        p.requires_grad_(name in names)
    work = ImplicitReward(lr=1e-2, trainable="upper:1").open(context(loaded))
    played, table = iteration(loaded)
    flags = [p.requires_grad for p in loaded.model.parameters()]
    work.learn(played, table.with_columns(work.score(played, table)))
    assert flags == [p.requires_grad for p in loaded.model.parameters()]
    assert all(p.grad is None for p in loaded.model.parameters())
    before = work.score(played, table)["implicit_reward"]
    assert before.any()
    with torch.no_grad():
        for name, p in loaded.model.named_parameters():
            if name in names:
                p.mul_(1.1)
    assert (work.score(played, table)["implicit_reward"] == before).all()
    mine = dict(work._phi.model.named_parameters())
    theirs = dict(loaded.model.named_parameters())
    shared = [name for name in mine if mine[name] is theirs[name]]
    assert sorted(shared) == sorted(set(theirs) - set(names) - set(trainable_names(loaded.model, "upper:1")))


def test_pairs_are_within_groups_and_the_same_each_time():
    loaded = load()
    work = ImplicitReward().open(context(loaded))
    _, table = iteration(loaded)
    pairs = work._pairs(table, np.asarray(SCORES) > 0)
    assert pairs[:, 0].tolist() == [0, 3, 4, 6, 7]
    assert set(pairs[:2, 1].tolist()) == {1, 2}  # Each failure once, while they last.
    assert pairs[2:, 1].tolist() == [5, 5, 5]
    assert (work._pairs(table, np.asarray(SCORES) > 0) == pairs).all()


def test_without_pairs_there_is_no_step():
    loaded = load()
    work = ImplicitReward().open(context(loaded))
    played = play(loaded, 0, [2, 1, 2, 2], scores=[1.0, 1.0, 0.0, 0.0])
    table = TurnTable.from_trajectories(played)
    assert work.learn(played, table.with_columns(work.score(played, table))) == {"pairs": 0.0}
    assert not work.score(played, table)["implicit_reward"].any()
    broken = [replace(t, ending=Ending.INFRA_ERROR) for t in played]
    empty = TurnTable.from_trajectories(broken)
    for objective in ("preference", "outcome"):
        other = ImplicitReward(objective=objective).open(context(loaded))
        assert len(other.score(broken, empty)["implicit_reward"]) == 0
        assert other.learn(broken, empty) == {"pairs" if objective == "preference" else "attempts": 0.0}


def test_a_layer_that_is_not_there_is_an_error_at_once():
    loaded = load()
    with pytest.raises(UsageError, match="layers 0 to 1"):
        ImplicitReward(trainable="upper:3").open(context(loaded))
    assert all(p.requires_grad for p in loaded.model.parameters())
    with pytest.raises(CreditError, match="loaded model"):
        ImplicitReward().open(context(None))


def test_in_bfloat16_small_steps_are_not_lost():
    """The second policy learns in float32, as the learner does, and the numbers stay numbers."""
    loaded = load(dtype="bfloat16")
    work = ImplicitReward(lr=1e-4, trainable="all").open(context(loaded))
    played, table = iteration(loaded)
    for _ in range(8):
        metrics = work.learn(played, table.with_columns(work.score(played, table)))
    assert metrics["heldout_loss"] < np.log(2)
    tensors, meta = work.state()
    assert tensors["phi.master.lm_head.weight"].dtype == torch.float32
    assert tensors["frozen.lm_head.weight"].dtype == torch.bfloat16
    again = ImplicitReward(lr=1e-4, trainable="all").open(context(loaded))
    again.load_state(tensors, meta)
    assert (again.score(played, table)["implicit_reward"] == work.score(played, table)["implicit_reward"]).all()


def test_state_comes_back():
    loaded = load()
    played, table = iteration(loaded)
    work = ImplicitReward(lr=1e-2).open(context(loaded))
    fresh = ImplicitReward(lr=1e-2).open(context(loaded))
    fresh.load_state(*work.state())  # Before the first use.
    for w in (work, fresh):
        w.learn(played, table)
    tensors, meta = work.state()
    again = ImplicitReward(lr=1e-2).open(context(loaded))
    again.load_state({k: v.clone() for k, v in tensors.items()}, meta)
    assert work.learn(played, table) == again.learn(played, table) == fresh.learn(played, table)
    scores = [w.score(played, table)["implicit_reward"] for w in (work, again, fresh)]
    assert (scores[0] == scores[1]).all()
    assert (scores[0] == scores[2]).all()
    with pytest.raises(StoreError, match="of 'visits'"):
        again.load_state({}, {"kind": "visits"})
    other = ImplicitReward(trainable="upper:1").open(context(loaded))
    del tensors["phi.master.model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(StoreError, match="implicit-reward"):
        other.load_state(tensors, meta)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 4), min_size=1, max_size=5), st.sampled_from([30, 8192]))
def test_entropy_is_the_mean_over_the_turns_tokens(seed, turns, budget):
    loaded = shared_model()
    played = play(loaded, seed, turns, cut=True)
    table = TurnTable.from_trajectories(played)
    found = TurnEntropy().open(context(loaded, token_budget=budget)).score(played, table)["entropy"]
    sampled = TurnEntropy(source="sampler").open(context(None)).score(played, table)["entropy"]
    for row, (i, t) in enumerate(zip(table["trajectory"], table["turn"], strict=True)):
        sample, start, stop = action_of(played[i], t)
        logp, _ = plain_pass(loaded.model, sample.tokens)
        each = -(logp.exp() * logp).sum(-1)[start - 1 : stop - 1]
        assert found[row] == pytest.approx(float(each.mean()), abs=1e-4)
        assert sampled[row] == pytest.approx(-np.mean(played[i].turns[t].completion.logprobs))


def test_the_samplers_estimate_is_unbiased():
    """Over many draws from the model's own distribution, minus the log-probability averages to the entropy."""
    loaded = shared_model()
    (one,) = play(loaded, 0, [1])
    sample, start, _ = action_of(one, 0)
    logp, _ = plain_pass(loaded.model, sample.tokens)
    p = logp[start - 1].exp().numpy()
    drawn = np.random.default_rng(0).choice(len(p), size=20_000, p=p / p.sum())
    turn = replace(one.turns[0], completion=Completion("x", tuple(drawn), tuple(np.log(p[drawn]))))
    played = [replace(one, turns=(turn,))]
    found = TurnEntropy(source="sampler").open(context(None)).score(played, TurnTable.from_trajectories(played))
    assert found["entropy"][0] == pytest.approx(-(p * np.log(p)).sum(), rel=0.01)


def test_turns_without_tokens_have_no_entropy():
    loaded = shared_model()
    (one,) = play(loaded, 0, [2])
    silent = replace(one.turns[1], completion=Completion("", (), ()))
    text_only = replace(one.turns[1], completion=Completion("x"))
    odd = replace(one.turns[1], completion=Completion("x", (5,), None))
    work = TurnEntropy(source="sampler").open(context(None))
    for turn, message in ((silent, "turn 1 has no tokens"), (text_only, "no tokens"), (odd, "turn 1: its tokens come")):
        played = [replace(one, turns=(one.turns[0], turn))]
        with pytest.raises(CreditError, match=message):
            work.score(played, TurnTable.from_trajectories(played))
    sample = one.samples[0]
    cut = replace(one, samples=(replace(sample, turn=tuple(-1 if t == 1 else t for t in sample.turn)),))
    with pytest.raises(CreditError, match="'t0', turn 1 has no tokens"):
        TurnEntropy().open(context(loaded)).score([cut], TurnTable.from_trajectories([one]))
    with pytest.raises(CreditError, match="source = 'sampler'"):
        TurnEntropy().open(context(None))
    broken = [replace(one, ending=Ending.INFRA_ERROR)]
    for opened in (work, TurnEntropy().open(context(loaded))):
        assert len(opened.score(broken, TurnTable.from_trajectories(broken))["entropy"]) == 0
        assert opened.learn(broken, TurnTable.from_trajectories(broken)) == {}
