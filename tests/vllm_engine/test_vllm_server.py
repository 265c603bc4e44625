"""The vLLM sampler against a real server on this machine's processor."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from vllm_cases import ask, gap, options, perturb, prompt, renew, request, server_of, shared_model
from vllm_marks import needs_vllm, slow

from agentgym import models
from agentgym.errors import PolicyError, UsageError
from agentgym.ledger import Ledger
from agentgym.types import Message
from agentgym_policies import vllm_weights
from agentgym_policies.vllm import VllmPolicy
from agentgym_policies.vllm_guard import children
from agentgym_policies.vllm_weights import named_tensors

pytestmark = [needs_vllm, slow]


def family(policy: VllmPolicy) -> list[int]:
    """Process ids of the guardian and all below it."""
    server = server_of(policy)._server
    assert server is not None
    assert server.pid is not None
    found = [server.pid]
    for pid in found:
        found += children(pid)
    return found


def gone(pids: list[int], seconds: float = 20.0) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if not any(Path(f"/proc/{pid}").exists() and not _zombie(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_logprobs_are_the_learner_s_before_and_after_updates(policy: VllmPolicy, loaded: models.Loaded) -> None:
    prompts = [prompt(loaded, f"number {i}, a room with a view") for i in range(4)]
    before = ask(policy, *(request(f"t{i}", p) for i, p in enumerate(prompts)))
    assert max(gap(loaded.model, p, a) for p, a in zip(prompts, before, strict=True)) < 1e-3
    assert {a.version for a in before} == {policy.version}
    for version, only in ((1, ""), (2, "embed_tokens"), (3, "layers.1")):
        perturb(loaded.model, seed=version, only=only)
        renew(policy, version)
        after = ask(policy, *(request(f"t{i}", p) for i, p in enumerate(prompts)))
        assert {a.version for a in after} == {version}
        # With the output layer that was tied left behind, the embeddings' change would show here.
        assert max(gap(loaded.model, p, a) for p, a in zip(prompts, after, strict=True)) < 1e-3
        assert [a.logprobs for a in after] != [a.logprobs for a in before]
        before = after


def test_ids_text_and_seeds(policy: VllmPolicy, loaded: models.Loaded) -> None:
    tokens = prompt(loaded, "hello")
    one, other, again = (ask(policy, request(n, tokens))[0] for n in ("a", "b", "a"))
    assert (one.tokens, one.logprobs) != (other.tokens, other.logprobs)
    assert one.tokens == again.tokens
    assert one.text == loaded.chat.decode(one.tokens or ())
    assert one.prompt_tokens == len(tokens)
    greedy, narrow = ask(policy, request("a", tokens, temperature=0.0), request("b", tokens, top_p=1e-6))
    assert greedy.tokens == narrow.tokens
    # Before temperature: what is trained on is the model's own probability.
    hot = ask(policy, request("a", tokens, temperature=2.0))[0]
    assert gap(loaded.model, tokens, hot) < 1e-3


def test_a_second_turn_reads_the_prefix_cache(policy: VllmPolicy, loaded: models.Loaded) -> None:
    ledger = Ledger(loaded.chat, [Message("user", "a room with a view " * 10)])
    (first,) = ask(policy, request("t", ledger.prompt))
    ledger.act(first)
    ledger.observe([Message("user", "and now?")])
    (second,) = ask(policy, request("t", ledger.prompt, 1))
    assert 0.5 * len(ledger.prompt) < second.cached_tokens < len(ledger.prompt)
    assert gap(loaded.model, ledger.prompt, second) < 1e-3
    assert policy.metrics()["vllm/cached"] > 0
    policy.reset_cache()
    (fresh,) = ask(policy, request("t", ledger.prompt, 1))
    assert fresh.cached_tokens == 0


def test_log_probabilities_of_a_given_answer(policy: VllmPolicy, loaded: models.Loaded) -> None:
    tokens, answer = prompt(loaded, "where?"), tuple(loaded.chat.encode("in the attic"))
    found = asyncio.run(policy.score(tokens, answer))
    with torch.no_grad():
        logits = loaded.model(torch.tensor([[*tokens, *answer]])).logits[0].float().log_softmax(-1)
    wanted = [float(logits[len(tokens) + k - 1, token]) for k, token in enumerate(answer)]
    assert found == pytest.approx(wanted, abs=1e-3)
    with pytest.raises(UsageError, match="a prompt and an answer"):
        asyncio.run(policy.score((), answer))


def test_deadlines_and_what_does_not_fit(policy: VllmPolicy, loaded: models.Loaded) -> None:
    tokens = prompt(loaded, "hello")
    late = request("late", tokens, deadline=time.monotonic() - 1)
    soon = request("soon", tokens, deadline=time.monotonic() + 0.3, max_tokens=900, temperature=0.0)
    calm = request("calm", tokens, max_tokens=2)
    answers = ask(policy, late, soon, calm)
    assert [a.finish for a in answers[::2]] == ["abort", "length"]
    assert answers[1].finish in ("abort", "length", "stop")
    with pytest.raises(UsageError, match=r"limits\.tokens"):
        ask(policy, request("long", tokens, max_tokens=1024))
    with pytest.raises(UsageError, match="token ledger"):
        ask(policy, request("none", ()))


def test_weights_that_do_not_fit_are_refused_and_the_old_ones_stay(policy: VllmPolicy, loaded: models.Loaded) -> None:
    tokens = prompt(loaded, "hello")
    (before,) = ask(policy, request("t", tokens))
    good = named_tensors(loaded.model)
    name = "model.layers.0.mlp.up_proj.weight"
    lacking = {k: v for k, v in good.items() if k != name}
    bad = {
        "lack": lacking,
        "which the model has not": {**good, "x": good[name]},
        "shape": {**good, name: good[name][:-1]},
        "bfloat16": {**good, name: good[name].bfloat16()},
        "not finite": {**good, name: good[name] * float("nan")},
    }
    for match, tensors in bad.items():
        with pytest.raises(PolicyError, match=match):
            policy.update(tensors, 99)
    # What is damaged on the way: the server's own checks, as if ours had not been.
    engine = server_of(policy)
    folder = policy._folder
    assert folder is not None
    pack = vllm_weights.pack(good, 98, folder, folder / "model" / vllm_weights.MANIFEST, torch.float32)
    with pack.path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\x01\x02\x03\x04")
    with pytest.raises(PolicyError, match="checksum"):
        policy._submit(engine.load(pack)).result()
    pack.path.unlink()
    with pytest.raises(PolicyError, match="cannot be read"):
        policy._submit(engine.load(pack)).result()
    (after,) = ask(policy, request("t", tokens))
    assert (after.tokens, after.version) == (before.tokens, before.version)
    policy.update(good, 7)
    assert ask(policy, request("t", tokens))[0].version == 7
    assert engine.restarts_made == 0


def test_a_server_that_dies_or_hangs_is_started_again_with_its_weights() -> None:
    loaded = shared_model()
    policy = VllmPolicy(loaded=loaded, max_batch=8, **options())
    tokens = prompt(loaded, "hello")
    perturb(loaded.model, seed=11)
    renew(policy, 12)
    (before,) = ask(policy, request("t", tokens))
    first = family(policy)
    os.kill(first[1], signal.SIGKILL)  # The server itself; first[0] is the guardian.
    (after,) = ask(policy, request("t", tokens))
    assert (after.tokens, after.version) == (before.tokens, 12)
    assert gap(loaded.model, tokens, after) < 1e-3
    assert gone(first)

    engine, second = server_of(policy), family(policy)
    assert engine.restarts_made == 1
    engine._timeout = 3.0
    for pid in second[1:]:
        os.kill(pid, signal.SIGSTOP)
    (again,) = ask(policy, request("t", tokens))
    assert (again.tokens, again.version) == (before.tokens, 12)
    assert engine.restarts_made == 2
    assert gone(second)

    third = family(policy)
    engine._restarts = 0
    os.kill(third[1], signal.SIGKILL)
    with pytest.raises(UsageError, match="the server has ended 3 times"):
        ask(policy, request("t", tokens))
    folder = policy._folder
    assert folder is not None
    policy.close()
    policy.close()
    assert gone(third)
    assert not folder.exists()
