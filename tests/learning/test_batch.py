"""Packing loses nothing, invents nothing, and packed gradients are those of every sequence on its own."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_cases import VOCAB, make_batch, make_sequence, tiny_model

from agentgym.attention import NAME, Segment, _PackedAttention, hidden_states, packed, packed_attention
from agentgym.batch import TrainSequence, demonstrations, pack, sequences
from agentgym.errors import UsageError
from agentgym.head import token_logprobs
from agentgym.types import Completion, Ending, Observation, Sample, Trajectory, Turn


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 12),
    longest=st.integers(2, 60),
    budget=st.integers(1, 200),
    shared=st.integers(0, 50),
    share=st.booleans(),
)
def test_every_action_token_is_there_once_behind_its_own_history(seed, count, longest, budget, shared, share):
    batch = make_batch(seed, count, longest, shared)
    packs = pack(batch, budget, share=share)
    found = {}
    for p in packs:
        assert len(p.tokens) <= budget or len(p.lengths) == 1
        assert [at for s in p.segments for at in range(s.start, s.stop)] == list(range(len(p.tokens)))
        assert share or sum(p.lengths) == len(p.tokens)
        for k in range(len(p.target)):
            i, at = int(p.sequence[k]), int(p.select[k])
            segment = next(s for s in p.segments if s.start <= at < s.stop)
            seen = [j for start, stop in segment.context for j in range(start, stop)] + [*range(segment.start, at + 1)]
            assert p.positions[seen].tolist() == list(range(len(seen)))
            q, place = batch[i], len(seen)
            assert p.tokens[seen].tolist() == q.tokens[:place].tolist()
            assert q.action[place]
            assert q.tokens[place] == p.target[k]
            found[i, place] = (float(p.advantage[k]), float(p.logprob[k]), int(p.turn[k]))
    wanted = {
        (i, int(at)): (float(q.advantage[at]), float(q.logprob[at]), int(q.turn[at]))
        for i, q in enumerate(batch)
        for at in np.flatnonzero(q.action)
    }
    assert found == wanted


def test_equal_sequences_cost_nothing_and_branches_share_what_they_have_in_common():
    rng = np.random.default_rng(3)
    trunk = make_sequence(rng, 60)
    branch = make_sequence(rng, 50, prefix=trunk.tokens[:30])
    (p,) = pack([trunk, branch, trunk], 1000)
    distinct = {tuple(q.tokens[: n + 1]) for q in (trunk, branch) for n in range(q.length)}
    assert len(p.tokens) == len(distinct)
    assert sum(p.lengths) == 2 * trunk.length + branch.length


def test_tokens_after_the_last_action_are_left_out():
    tokens = np.arange(6)
    action = np.array([0, 0, 1, 0, 0, 0], dtype=bool)
    column = np.zeros(6, dtype=np.float32)
    (p,) = pack([TrainSequence(tokens, action, column, column, np.where(action, 0, -1))], 100)
    assert p.tokens.tolist() == [0, 1]
    assert p.select.tolist() == [1]
    assert p.target.tolist() == [2]


def test_bad_sequences_are_refused_with_what_is_wrong():
    two = np.zeros(2, dtype=np.float32)
    with pytest.raises(UsageError, match="first token"):
        TrainSequence(np.arange(2), np.array([True, False]), two, two, np.array([0, -1]))
    with pytest.raises(UsageError, match="one shape"):
        TrainSequence(np.arange(3), np.array([False, True]), two, two, np.array([-1, 0]))
    with pytest.raises(UsageError, match="must be finite"):
        TrainSequence(np.arange(2), np.array([False, True]), two + np.nan, two, np.array([-1, 0]))
    with pytest.raises(UsageError, match="token_budget"):
        pack([], 0)
    with pytest.raises(UsageError, match="turn 1"):
        TrainSequence.from_sample(Sample((1, 2, 3), (-1, 0, 1), (0.0, -1.0, -1.0)), [1.0])


def trajectory(ending: Ending = Ending.SUCCESS, samples: tuple[Sample, ...] = ()) -> Trajectory:
    turn = Turn(Observation("look"), Completion("go"), "go")
    return Trajectory("t", "e", "task", "g", 0, 0, (turn, turn), ending, samples=samples)


def test_a_trajectory_becomes_one_sequence_a_sample():
    first = Sample((1, 2, 3, 4), (-1, 0, -1, 1), (0.0, -0.5, 0.0, -0.25))
    second = Sample((1, 9), (-1, 1), (0.0, -0.125))
    got = sequences(trajectory(samples=(first, second)), np.array([2.0, -1.0]))
    assert [q.advantage.tolist() for q in got] == [[0, 2, 0, -1], [0, -1]]
    assert got[0].logprob.tolist() == [0, -0.5, 0, -0.25]
    assert [q.advantage.tolist() for q in demonstrations([trajectory(samples=(second,))])] == [[0, 1]]


def test_a_broken_world_is_never_trained_on():
    sample = Sample((1, 2), (-1, 0), (0.0, -0.5))
    with pytest.raises(UsageError, match="must not be trained on"):
        sequences(trajectory(Ending.INFRA_ERROR, (sample,)), [0.0, 0.0])
    with pytest.raises(UsageError, match="no tokens"):
        sequences(trajectory(), [0.0, 0.0])


def gradients_alone(model, batch):
    """The plain way: one sequence at a time, the model's own attention, all logits."""
    model.zero_grad()
    for q in batch:
        if not q.action.any():
            continue
        logp = torch.log_softmax(model(input_ids=torch.from_numpy(q.tokens)[None]).logits[0].float(), -1)
        at = torch.from_numpy(np.flatnonzero(q.action))
        chosen = logp[at - 1, torch.from_numpy(q.tokens)[at]]
        entropy = -(logp[at - 1].exp() * logp[at - 1]).sum(-1)
        (torch.from_numpy(q.advantage)[at] * chosen + 0.1 * entropy).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("kv_heads", [2, 3, 6])
@pytest.mark.parametrize("share", [True, False])
def test_packed_gradients_equal_those_of_single_sequences(share, kv_heads):
    model = tiny_model(num_key_value_heads=kv_heads)
    batch = [*make_batch(1, 6, 300, shared=40), *make_batch(2, 3, 30)]
    batch.append(batch[0])
    want = gradients_alone(model, batch)
    model.zero_grad()
    for p in pack(batch, 500, share=share):
        hidden = hidden_states(model, p.tokens, p.positions, p.segments)
        logprob, entropy = token_logprobs(model, hidden[p.select], p.target)
        (p.advantage * logprob + 0.1 * entropy).sum().backward()
    for name, p in model.named_parameters():
        assert torch.allclose(p.grad, want[name], rtol=1e-4, atol=1e-5 * float(want[name].abs().max())), name


def test_attention_function_by_finite_differences():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        q, k, v = (torch.randn(1, heads, 7, 4, dtype=torch.float64, requires_grad=True) for heads in (4, 2, 2))
    segments = (Segment(0, 3), Segment(3, 5, ((0, 2),)), Segment(5, 7, ((0, 2), (3, 4))))

    def attend(q, k, v):
        return _PackedAttention.apply(q.view(2, 2, 7, 4), k[0], v[0], segments, 0.5)

    # Gradients of keys and values are collected in float32, hence the tolerance.
    assert torch.autograd.gradcheck(attend, (q, k, v), eps=1e-5, atol=1e-5)


def test_nothing_leaks_between_sequences():
    model = tiny_model()
    a, b = make_batch(5, 2, 80)
    joint = pack([a, b], 10**6, share=False)[0]
    with torch.no_grad():
        before = hidden_states(model, joint.tokens, joint.positions, joint.segments)
        changed = joint.tokens.clone()
        first = joint.segments[0]
        changed[first.start : first.stop] = (changed[first.start : first.stop] + 1) % VOCAB
        after = hidden_states(model, changed, joint.positions, joint.segments)
    assert not torch.equal(before[: first.stop], after[: first.stop])
    assert torch.equal(before[first.stop :], after[first.stop :])


def test_the_models_own_attention_is_put_back_even_after_an_error():
    model = tiny_model()
    before = model.config._attn_implementation
    assert before != NAME
    with packed(model):
        assert model.config._attn_implementation == NAME
    with pytest.raises(IndexError):
        hidden_states(model, torch.tensor([VOCAB]), torch.tensor([0]), (Segment(0, 1),))
    assert model.config._attn_implementation == before


def test_models_that_need_another_attention_or_head_are_refused():
    model = tiny_model()
    x = torch.zeros(1, 1, 9, 2)
    with pytest.raises(UsageError, match="sliding window"):
        packed_attention(model, x, x, x, packed_segments=(Segment(0, 9),), sliding_window=4)
    odd = copy.deepcopy(model)
    odd.config.final_logit_softcapping = 30.0
    with pytest.raises(UsageError, match="final_logit_softcapping"):
        token_logprobs(odd, torch.zeros(1, 48), torch.zeros(1, dtype=torch.long))
