"""Common beginnings computed once change neither loss nor any gradient, and packs are cut where that costs least."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from learning_cases import VOCAB, make_sequence, tiny_model

from agentgym.attention import Segment
from agentgym.batch import PACK_COST, SHARE_FROM, TrainSequence, _starts, pack
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig

KINDS = ("group", "branch", "longer", "shorter", "equal", "alone")


def forest(seed: int, kinds: list[str]) -> list[TrainSequence]:
    """Sequences that grow from one another: each kind says how the next comes of an earlier one, if of any."""
    rng = np.random.default_rng(seed)
    prompt = rng.integers(0, VOCAB, int(rng.integers(1, 60)))
    made: list[TrainSequence] = []
    for kind in kinds:
        known = made[int(rng.integers(len(made)))].tokens if made else prompt
        fresh = int(rng.integers(2, 50))
        if kind == "equal" and made:  # Equal tokens; who wrote them and what they earn is its own.
            made.append(make_sequence(rng, len(known), known))
        elif kind == "longer":
            made.append(make_sequence(rng, len(known) + fresh, known))
        elif kind in ("branch", "shorter"):
            cut = known[: int(rng.integers(1, len(known) + 1))]
            made.append(make_sequence(rng, len(cut) + (fresh if kind == "branch" else 1), cut))
        else:
            made.append(make_sequence(rng, len(prompt) + fresh, prompt if kind == "group" else None))
    order = rng.permutation(len(made))
    return [made[int(i)] for i in order]


def gradients(model, batch, budget, share):
    learner = Learner(model, LearnerConfig(ratio="self"))
    total = size = 0.0
    for p in pack(batch, budget, share=share):
        logprob, entropy = learner.logprobs(p)
        terms = p.advantage * logprob + 0.1 * entropy
        terms.sum().backward()
        total += float(terms.detach().double().sum())
        size += float(terms.detach().abs().sum())
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return total, size, found


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=10),
    budget=st.sampled_from([40, 150, 10**6]),
)
@example(seed=1, kinds=["group"] * 8, budget=10**6)
@example(seed=2, kinds=["group"] + ["longer"] * 6, budget=10**6)
@example(seed=3, kinds=["group"] + ["branch"] * 7, budget=10**6)
@example(seed=4, kinds=["group", "equal", "equal", "longer", "equal", "shorter"], budget=10**6)
def test_loss_and_all_gradients_are_those_of_the_unshared_batch(seed, kinds, budget):
    model, batch = tiny_model(seed % 7), forest(seed, kinds)
    plain_loss, size, plain = gradients(model, batch, budget, share=False)
    loss, _, shared = gradients(model, batch, budget, share=True)
    # Terms of both signs all but cancel: what rounding may do is told by their sizes, not by their sum.
    assert loss == pytest.approx(plain_loss, rel=0, abs=1e-5 + 1e-6 * size)
    assert shared.keys() == plain.keys()
    for name, want in plain.items():
        assert torch.allclose(shared[name], want, rtol=0, atol=1e-5 * max(1.0, float(want.abs().max()))), name


def test_a_whole_step_reports_the_same_and_leaves_the_same_weights():
    batch = forest(11, ["group"] * 8 + ["longer"] * 4 + ["equal"] * 2)
    found = []
    for share in (False, True):
        model = copy.deepcopy(tiny_model())
        metrics = Learner(model, LearnerConfig(lr=1e-3, loss="clip")).step(pack(batch, 400, share=share))
        found.append((metrics, model.state_dict()))
    (plain, plain_weights), (shared, weights) = found
    for name in ("loss", "grad_norm", "entropy", "ratio", "ess", "tokens", "action_tokens", "sequences"):
        assert shared[name] == pytest.approx(plain[name], rel=1e-5, abs=1e-6), name
    assert shared["tokens_computed"] < plain["tokens_computed"] == plain["tokens"]
    # Adam's first step is lr times the gradient's sign: where that is all but zero, so much apart is rounding.
    for name, want in plain_weights.items():
        assert float((weights[name] - want).abs().mean()) < 1e-6, name


def test_turns_that_extend_one_another_are_one_segment():
    rng = np.random.default_rng(5)
    whole = make_sequence(rng, 90)
    action = np.arange(90) % 30 == 29
    column = np.where(action, 1, 0).astype(np.float32)
    samples = [
        TrainSequence(whole.tokens[:n], action[:n], column[:n], -column[:n], np.where(action[:n], 0, -1))
        for n in (30, 60, 90)
    ]
    (p,) = pack(samples[::-1], 1000)
    assert p.segments == (Segment(0, 89),)
    assert p.lengths == (29, 59, 89)
    # A sample that leaves the others half way has what it shares with them as its context.
    other = make_sequence(rng, 80, whole.tokens[:40])
    (p,) = pack([*samples, other], 1000)
    assert len(p.segments) == 2
    assert p.segments[1].context == ((0, 40),)
    assert len(p.tokens) == 89 + other.length - 40


def test_packs_are_cut_between_groups():
    rng = np.random.default_rng(6)
    groups = [[make_sequence(rng, 190, prompt) for _ in range(4)] for prompt in rng.integers(0, VOCAB, (5, 160))]
    alone = [pack(g, 10**6)[0] for g in groups]
    largest = max(len(p.tokens) for p in alone)
    # Room for one group and most of the next: filling it up would compute that group's prompt twice.
    packs = pack([q for g in groups for q in g], int(1.8 * largest))
    assert sorted(len(p.tokens) for p in packs) == sorted(len(p.tokens) for p in alone)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), budget=st.integers(1, 400), count=st.integers(0, 8))
def test_no_other_cut_costs_less(data, budget, count):
    lengths = data.draw(st.lists(st.integers(1, 300), min_size=count, max_size=count))
    common = [0] * count
    for k in range(1, count):
        common[k] = data.draw(st.integers(0, min(lengths[k - 1], lengths[k])))

    def cost(starts: tuple[int, ...]) -> float:
        total = 0
        for first, last in itertools.pairwise([*starts, count]):
            size = sum(lengths[first:last]) - sum(common[first + 1 : last])
            if size > budget and last - first > 1:
                return float("inf")
            total += size + PACK_COST
        return total

    found = _starts(lengths, common, budget)
    assert found == sorted(set(found))
    assert found[:1] == [0] * bool(count)
    every = ((0, *rest) for size in range(count) for rest in itertools.combinations(range(1, count), size))
    assert cost(tuple(found)) == min(map(cost, every), default=0)


def test_a_beginning_that_is_hardly_common_is_not_shared():
    rng = np.random.default_rng(7)
    for same, saved in ((SHARE_FROM - 1, 0), (SHARE_FROM, SHARE_FROM)):
        a = make_sequence(rng, 40)
        b = make_sequence(rng, 40, a.tokens[:same])
        b.tokens[same] = (a.tokens[same] + 1) % VOCAB
        (p,) = pack([a, b], 1000)
        assert len(p.tokens) == a.length + b.length - saved


def test_ids_order_as_numbers_not_as_their_low_bytes():
    columns = (np.array([False] * 40 + [True]), np.zeros(41, dtype=np.float32))
    turn = np.where(columns[0], 0, -1)
    first, second = (np.r_[np.full(30, 300), np.full(10, n), 5] for n in (256, 1))
    third = np.r_[np.full(30, 300), np.full(10, 257), 5]
    batch = [TrainSequence(t, columns[0], columns[1], columns[1], turn) for t in (first, second, third)]
    (p,) = pack(batch, 1000)
    assert p.sequence.tolist() == [1, 0, 2]
    assert len(p.tokens) == 40 + 2 * 10
