"""answer-logprob: one packed pass says what a plain pass for each turn says, and bad input is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scorers_play import action_of, context, load, plain_pass, play, shared_model

from agentgym import registry
from agentgym.credit import TurnTable
from agentgym.errors import CreditError, StoreError
from agentgym.scorers.answer_logprob import AnswerLogprob
from agentgym.types import Ending

ANSWERS = {"task0": "red", "task1": ["a blue door", "blue"], "task2": "x"}


def by_plain_passes(loaded, played, scorer):
    """For each trajectory the probe before the first turn and after each, one forward pass each."""
    chat = loaded.chat
    opens = chat.tokenizer.encode(scorer.template_open, add_special_tokens=False)
    closes = chat.tokenizer.encode(scorer.template_close, add_special_tokens=False) if scorer.count_close else []
    found = []
    for trajectory in played:
        answer = ANSWERS[trajectory.task_id]
        counted = [*chat.encode(answer if isinstance(answer, str) else answer[0]), *closes]
        prefixes = []
        for t in range(len(trajectory.turns)):
            sample, start, stop = action_of(trajectory, t)
            prefixes.append(list(sample.tokens[:start]))
        end = list(sample.tokens[:stop])
        text = "<|im_end|>\n<|im_start|>assistant\n"
        head = chat.tokenizer.encode(text, add_special_tokens=False)
        prefixes.append(end + (head[1:] if end[-1] == head[0] else head))
        values = []
        for prefix in prefixes:
            tokens = [*prefix, *opens, *counted]
            logp, _ = plain_pass(loaded.model, tokens)
            at = range(len(tokens) - len(counted), len(tokens))
            values.append(sum(float(logp[i - 1, tokens[i]]) for i in at))
        found.append(np.asarray(values) / (len(counted) if scorer.normalise == "mean" else 1))
    return found


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from(
        [{}, {"normalise": "sum", "template_open": ""}, {"template_close": "<|im_end|>", "count_close": True}]
    ),
    st.sampled_from([40, 200, 8192]),
)
def test_equals_a_plain_pass_for_each_turn(seed, turns, cut, parameters, budget):
    loaded = shared_model()
    played = play(loaded, seed, turns, cut=cut)
    table = TurnTable.from_trajectories(played)
    scorer = AnswerLogprob(**parameters)
    work = scorer.open(context(loaded, ANSWERS, token_budget=budget))
    columns = work.score(played, table)
    before = table.with_columns(columns).per_trajectory("answer_logprob_before", len(played))
    after = table.with_columns(columns).per_trajectory("answer_logprob", len(played))
    for expected, b, a in zip(by_plain_passes(loaded, played, scorer), before, after, strict=True):
        np.testing.assert_allclose(b, expected[:-1], atol=1e-4)
        np.testing.assert_allclose(a, expected[1:], atol=1e-4)
        assert (a[:-1] == b[1:]).all()  # The very same probe.
        assert (a < 0).all()


def test_what_is_common_is_computed_once():
    loaded = load()
    played = play(loaded, 5, [4, 4, 4, 4], group=4)
    table = TurnTable.from_trajectories(played)
    work = AnswerLogprob().open(context(loaded, ANSWERS))
    sizes: list[int] = []
    loaded.model.get_decoder().register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    work.score(played, table)
    assert len(sizes) == 1  # One pass for everything.
    assert work.learn(played, table)["probes"] == 1 + 4 * 4  # The probe before the first turn is one for the group.
    separate = sum(len(s.tokens) for t in played for s in t.samples)
    assert sizes[0] < separate + 17 * (8 + 3 + 12)  # No prefix twice: probes add their own few tokens only.
    prompt = played[0].samples[0].turn.index(0)
    assert sizes[0] < separate - 3 * prompt + 17 * (8 + 3 + 12)


def test_no_gradients_and_no_table():
    loaded = load()
    work = AnswerLogprob().open(context(loaded, ANSWERS))
    played = play(loaded, 0, [2, 3])
    work.score(played, TurnTable.from_trajectories(played))
    assert all(p.grad is None for p in loaded.model.parameters())
    broken = [replace(t, ending=Ending.INFRA_ERROR) for t in played]
    empty = TurnTable.from_trajectories(broken)
    assert all(len(c) == 0 for c in work.score(broken, empty).values())
    assert work.learn(broken, empty) == {"probes": 0.0}


def test_infra_errors_stand_aside():
    loaded = shared_model()
    played = play(loaded, 3, [2, 3, 1])
    whole = AnswerLogprob().open(context(loaded, ANSWERS))
    alone = whole.score(played[1:2], TurnTable.from_trajectories(played[1:2]))["answer_logprob"]
    played[0] = replace(played[0], ending=Ending.INFRA_ERROR, samples=())
    scored = whole.score(played, TurnTable.from_trajectories(played))["answer_logprob"]
    np.testing.assert_allclose(scored[:3], alone, atol=1e-6)


@pytest.mark.parametrize("answer", [None, "", "  ", 7, [], [3], {"a": 1}, b"red", [""]])
def test_a_missing_answer_names_the_task(answer):
    loaded = shared_model()
    played = play(loaded, 0, [1])
    work = AnswerLogprob().open(context(loaded, {"task0": answer}))
    with pytest.raises(CreditError, match=r"task 'task0': data\['answer'\] is"):
        work.score(played, TurnTable.from_trajectories(played))


def test_an_answer_cannot_forge_a_turn():
    loaded = shared_model()
    played = play(loaded, 0, [1])
    work = AnswerLogprob().open(context(loaded, {"task0": "<|im_end|>"}))
    work.score(played, TurnTable.from_trajectories(played))
    ids = work._answer(played[0])
    assert len(ids) == len("<|im_end|>")
    assert not set(ids) & loaded.chat.end_ids


def test_text_only_play_and_empty_answers_are_refused():
    loaded = shared_model()
    (one,) = play(loaded, 0, [2])
    work = AnswerLogprob().open(context(loaded, ANSWERS))
    table = TurnTable.from_trajectories([one])
    with pytest.raises(CreditError, match="'t0' has no token ledger"):
        work.score([replace(one, samples=())], table)
    sample = one.samples[0]
    hidden = replace(sample, turn=tuple(-1 if t == 1 else t for t in sample.turn))
    with pytest.raises(CreditError, match="'t0', turn 1 has no tokens"):
        work.score([replace(one, samples=(hidden,))], table)
    with pytest.raises(CreditError, match="loaded model"):
        AnswerLogprob().open(context(None))


def test_environments_without_answers_are_refused():
    with pytest.raises(CreditError, match="keydoor-v0 has no private answers"):
        AnswerLogprob().check(registry.spec("keydoor-v0"))
    AnswerLogprob().check(registry.spec("cabinet-v0"))


def test_broken_weights_are_no_answer():
    loaded = load()
    with torch.no_grad():
        loaded.model.lm_head.weight[3] = float("nan")
    played = play(loaded, 0, [1])
    with pytest.raises(CreditError, match="not finite"):
        AnswerLogprob().open(context(loaded, ANSWERS)).score(played, TurnTable.from_trajectories(played))


def test_initial_weights_stay_when_the_policy_learns():
    loaded = load()
    played = play(loaded, 2, [2, 3])
    table = TurnTable.from_trajectories(played)
    for p in loaded.model.get_decoder().layers[0].parameters():
        p.requires_grad_(False)
    works = {w: AnswerLogprob(weights=w).open(context(loaded, ANSWERS)) for w in ("policy", "initial")}
    first = {w: work.score(played, table)["answer_logprob"] for w, work in works.items()}
    assert (first["policy"] == first["initial"]).all()
    with torch.no_grad():
        loaded.model.lm_head.weight *= 1.5
    assert (works["initial"].score(played, table)["answer_logprob"] == first["initial"]).all()
    assert (works["policy"].score(played, table)["answer_logprob"] != first["policy"]).all()
    # What nobody trains is not held twice, and not saved.
    copy = works["initial"].frozen.get()
    assert copy.get_decoder().layers[0].mlp.up_proj.weight is loaded.model.get_decoder().layers[0].mlp.up_proj.weight
    tensors, meta = works["initial"].state()
    assert not any(".layers.0." in name for name in tensors)
    again = AnswerLogprob(weights="initial").open(context(loaded, ANSWERS))
    again.load_state(tensors, meta)
    assert (again.score(played, table)["answer_logprob"] == first["initial"]).all()
    with pytest.raises(StoreError, match="answer-logprob"):
        works["policy"].load_state(tensors, meta)
    with pytest.raises(StoreError, match="other parameters"):
        again.load_state({"lm_head.weight": tensors["lm_head.weight"]}, meta)
