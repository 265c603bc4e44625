"""The embedded sampler: what its cache gives is what a plain forward pass over the whole conversation gives."""

from __future__ import annotations

import asyncio
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import models
from agentgym.errors import UsageError
from agentgym.ledger import Ledger
from agentgym.policy import Request, Sampling
from agentgym.types import Completion, Message, Observation
from agentgym_policies.transformers import TransformersPolicy, common_prefix, nucleus

LOADED = models.load("scratch:tiny?hidden=32&layers=2", seed=1)


def ask(
    policy: TransformersPolicy, prompts: dict[str, tuple[int, ...]], turn: int = 0, **how: object
) -> list[Completion]:
    sampling = Sampling(**{"max_tokens": 5, **how})  # type: ignore[arg-type]
    requests = [
        Request(name, turn, (), Observation(""), seed=hash_of(name, turn), sampling=sampling, tokens=tokens)
        for name, tokens in prompts.items()
    ]
    return asyncio.run(policy.complete(requests))


def hash_of(name: str, turn: int) -> int:
    return sum(name.encode()) * 100 + turn


def plain_logprobs(model: torch.nn.Module, ledger: Ledger) -> list[tuple[float, float]]:
    """(recorded, computed in one plain pass) for every sampled token."""
    pairs = []
    for sample in ledger.samples():
        with torch.no_grad():
            logits = model(torch.tensor([sample.tokens])).logits[0].float().log_softmax(-1)
        pairs += [
            (sample.logprobs[i], float(logits[i - 1, token]))
            for i, token in enumerate(sample.tokens)
            if sample.turn[i] >= 0
        ]
    return pairs


WORDS = st.lists(st.sampled_from(["go", "north", "a longer word", "x"]), min_size=0, max_size=6).map(" ".join)


@settings(max_examples=15, deadline=None)
@given(
    openings=st.lists(WORDS, min_size=2, max_size=5),
    plays=st.lists(st.tuples(st.sets(st.integers(0, 4), min_size=1), WORDS), min_size=1, max_size=4),
    temperature=st.sampled_from([0.0, 0.7, 1.0]),
)
def test_logprobs_equal_a_plain_forward_pass(
    openings: list[str], plays: list[tuple[set[int], str]], temperature: float
) -> None:
    policy = TransformersPolicy(loaded=LOADED, prefill_tokens=64)
    ledgers = {f"t{i}": Ledger(LOADED.chat, [Message("user", text)]) for i, text in enumerate(openings)}
    for turn, (who, said) in enumerate(plays):
        names = [f"t{i}" for i in sorted(who) if f"t{i}" in ledgers]
        if not names:
            continue
        answers = ask(policy, {n: ledgers[n].prompt for n in names}, turn, temperature=temperature)
        for name, answer in zip(names, answers, strict=True):
            ledgers[name].act(answer)
            ledgers[name].observe([Message("user", said)])
        if turn == 1:
            policy.forget(names[0])
    for ledger in ledgers.values():
        for recorded, computed in plain_logprobs(LOADED.model, ledger):
            assert recorded == pytest.approx(computed, abs=1e-4)
    policy.close()


def test_a_second_turn_computes_only_what_is_new() -> None:
    policy = TransformersPolicy(loaded=LOADED)
    ledger = Ledger(LOADED.chat, [Message("user", "a room with a view " * 5)])
    (first,) = ask(policy, {"t": ledger.prompt})
    ledger.act(first)
    known = len(ledger)
    ledger.observe([Message("user", "and now?")])
    (second,) = ask(policy, {"t": ledger.prompt}, 1)
    assert first.cached_tokens == 0
    # The last sampled token was drawn but never fed back, so it is computed now.
    assert second.cached_tokens == known - 1
    policy.reset_cache()
    (again,) = ask(policy, {"t": ledger.prompt}, 1)
    assert again.cached_tokens == 0
    assert again.tokens == second.tokens


def test_equal_prompts_are_computed_once() -> None:
    policy = TransformersPolicy(loaded=LOADED)
    prompt = Ledger(LOADED.chat, [Message("user", "the same beginning")]).prompt
    answers = ask(policy, {f"t{i}": prompt for i in range(6)}, max_tokens=1)
    assert policy.tokens_computed == len(prompt)
    assert [a.cached_tokens for a in answers] == [0, *[len(prompt)] * 5]
    assert len({a.tokens for a in answers}) > 1  # Each draws with its own seed.


def test_an_answer_depends_on_its_seed_and_not_on_its_neighbours() -> None:
    policy = TransformersPolicy(loaded=LOADED)
    prompts = {f"t{i}": Ledger(LOADED.chat, [Message("user", f"number {i}")]).prompt for i in range(4)}
    together = ask(policy, prompts)
    for (name, prompt), answer in zip(prompts.items(), together, strict=True):
        policy.reset_cache()
        (alone,) = ask(policy, {name: prompt})
        assert alone.tokens == answer.tokens


def test_greedy_top_p_stop_and_length() -> None:
    policy = TransformersPolicy(loaded=LOADED)
    prompt = Ledger(LOADED.chat, [Message("user", "hello")]).prompt
    (greedy,) = ask(policy, {"t": prompt}, temperature=0.0)
    policy.forget("t")
    (narrow,) = ask(policy, {"t": prompt}, temperature=1.0, top_p=1e-6)
    assert greedy.tokens == narrow.tokens
    assert greedy.finish == "length"
    assert len(greedy.tokens or ()) == 5
    policy.forget("t")
    stop = LOADED.chat.decode((greedy.tokens or ())[:2])
    (stopped,) = ask(policy, {"t": prompt}, temperature=0.0, stop=(stop,))
    assert stopped.finish == "stop"
    assert len(stopped.tokens or ()) <= 2


def test_a_request_past_its_deadline_is_aborted() -> None:
    policy = TransformersPolicy(loaded=LOADED)
    prompt = Ledger(LOADED.chat, [Message("user", "hello")]).prompt
    late = Request("t", 0, (), Observation(""), 0, Sampling(max_tokens=500), prompt, deadline=time.monotonic() - 1)
    soon = Request(
        "u",
        0,
        (),
        Observation(""),
        0,
        Sampling(temperature=0.0, max_tokens=1900),
        prompt,
        deadline=time.monotonic() + 0.3,
    )
    calm = Request("v", 0, (), Observation(""), 0, Sampling(max_tokens=2), prompt)
    answers = asyncio.run(policy.complete([late, soon, calm]))
    assert [a.finish for a in answers] == ["abort", "abort", "length"]
    assert [len(a.tokens or ()) for a in answers][::2] == [0, 2]
    assert len(answers[1].tokens or ()) >= 1


def test_the_model_s_own_attention_is_as_it_was() -> None:
    before = LOADED.model.config._attn_implementation
    ask(TransformersPolicy(loaded=LOADED), {"t": Ledger(LOADED.chat, [Message("user", "x")]).prompt})
    assert LOADED.model.config._attn_implementation == before


def test_requests_must_have_tokens_and_be_of_different_trajectories() -> None:
    policy = TransformersPolicy(loaded=LOADED)
    request = Request("t", 0, (), Observation(""), 0, Sampling())
    with pytest.raises(UsageError, match="token ledger"):
        asyncio.run(policy.complete([request]))
    prompt = Ledger(LOADED.chat, [Message("user", "x")]).prompt
    twice = [Request("t", 0, (), Observation(""), 0, Sampling(), prompt)] * 2
    with pytest.raises(UsageError, match="same trajectory"):
        asyncio.run(policy.complete(twice))


def test_nucleus_keeps_the_smallest_set_that_reaches_its_mass() -> None:
    probs = torch.tensor([0.1, 0.5, 0.15, 0.25])
    assert nucleus(probs, 0.7).tolist() == pytest.approx([0.0, 0.5, 0.0, 0.25])
    assert nucleus(probs, 1.0).tolist() == pytest.approx(probs.tolist())


def test_common_prefix() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
    assert common_prefix([], [1]) == 0


@pytest.mark.model
def test_the_embedded_model_in_bfloat16_is_near_itself_in_float32() -> None:
    loaded = models.load("smollm2-135m", dtype="bfloat16")
    policy = TransformersPolicy(loaded=loaded)
    ledger = Ledger(loaded.chat, [Message("user", "Name a colour.")])
    for turn in range(2):
        (answer,) = ask(policy, {"t": ledger.prompt}, turn, max_tokens=8)
        ledger.act(answer)
        ledger.observe([Message("user", "Another one.")])
    gaps = [abs(a - b) for a, b in plain_logprobs(loaded.model, ledger)]
    assert sum(gaps) / len(gaps) < 0.15
