"""LoRA by adapter swap on a real server: versioned, checked, amid answers, and again after the server has died."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from vllm_cases import REF, ask, begin, gaps, long_prompts, options, packs, prompt, renew, request, server_of
from vllm_marks import needs_vllm, slow

from agentgym import models
from agentgym.errors import PolicyError, UsageError
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig, LoraConfig
from agentgym_policies.vllm import VllmPolicy
from agentgym_policies.vllm_guard import children
from agentgym_policies.vllm_weights import checksum


def make(**lora: object) -> tuple[models.Loaded, Learner]:
    loaded = models.load(REF, seed=2)
    return loaded, Learner(loaded.model, LearnerConfig(lr=2e-2, lora=LoraConfig(**{"rank": 4, "alpha": 8.0, **lora})))


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def test_what_cannot_be_sent_as_an_adapter_is_refused(tmp_path: Path) -> None:
    here = {"mode": "inprocess", "weights": "adapter"}
    loaded, learner = make(targets=("q_proj", "lm_head"))
    with pytest.raises(UsageError, match="'lm_head' in trainer"):
        VllmPolicy(loaded=loaded, **here).follow(learner)
    with pytest.raises(UsageError, match=r"no \[trainer.lora\]"):
        VllmPolicy(loaded=loaded, **here).follow(Learner(models.load(REF).model, LearnerConfig()))
    loaded, learner = make(rank=600)
    with pytest.raises(UsageError, match="vLLM takes 512 at most"):
        VllmPolicy(loaded=loaded, **here).follow(learner)
    loaded, learner = make()
    learner.step(packs(0))
    with pytest.raises(UsageError, match="before its first step"):
        VllmPolicy(loaded=loaded, **here).follow(learner)
    with pytest.raises(UsageError, match=r"call follow\(learner\)"):
        ask(VllmPolicy(loaded=loaded, **here), request("t", prompt(loaded, "x")))
    with pytest.raises(UsageError, match="leave url out"):
        VllmPolicy(loaded=loaded, weights="adapter", url="http://127.0.0.1:9")
    with pytest.raises(UsageError, match="use publish"):
        VllmPolicy(loaded=loaded, **here).update({}, 1)


@needs_vllm
@slow
def test_adapters_are_swapped(background: ThreadPoolExecutor) -> None:
    loaded, learner = make()
    policy = VllmPolicy(loaded=loaded, weights="adapter", swap="recompute", max_batch=8, **options())
    policy.follow(learner)
    prompts = [prompt(loaded, text) for text in ("a room", "a room with a view " * 5, "where?")]
    requests = [request(f"t{i}", p, max_tokens=16) for i, p in enumerate(prompts)]
    try:
        before = ask(policy, *requests)
        assert {a.version for a in before} == {0}
        assert max(gaps(loaded.model, p, a).max() for p, a in zip(prompts, before, strict=True)) < 1e-3
        for step in range(3):
            learner.step(packs(step))
            renew(policy, learner.version)
            after = ask(policy, *requests)
            assert {a.version for a in after} == {step + 1}
            # The server adds the adapter to the base; the learner's module is merged. The base alone is far away.
            assert max(gaps(loaded.model, p, a).max() for p, a in zip(prompts, after, strict=True)) < 1e-3
            assert [a.logprobs for a in after] != [a.logprobs for a in before]
            before = after

        old = copy.deepcopy(loaded.model)
        prompts = long_prompts(policy, loaded, 3)
        learner.step(packs(3))  # Before, not beside: the answers might be there by its end.
        future = begin(policy, prompts, background)
        policy.publish(4)
        answers = future.result()
        assert any(set(a.versions) == {3, 4} for a in answers)
        for tokens, answer in zip(prompts, answers, strict=True):
            versions = np.asarray(answer.versions)
            for version, model in ((3, old), (4, loaded.model)):
                assert gaps(model, tokens, answer)[versions == version].max(initial=0.0) < 1e-3

        _refused(policy)
        tokens = requests[0].tokens or ()
        (kept,) = ask(policy, requests[0])
        assert (kept.version, gaps(loaded.model, tokens, kept).max() < 1e-3) == (4, True)

        server = server_of(policy)._server
        assert server is not None
        assert server.pid is not None
        os.kill(children(server.pid)[0], signal.SIGKILL)
        (again,) = ask(policy, requests[0])
        assert (again.tokens, again.version) == (kept.tokens, 4)
        assert gaps(loaded.model, tokens, again).max() < 1e-3
        assert policy.metrics()["vllm/restarts"] == 1
    finally:
        policy.close()


def _refused(policy: VllmPolicy) -> None:
    """What is damaged on the way is not taken."""
    engine, adapter, folder = server_of(policy), policy._adapter, policy._folder
    assert adapter is not None
    assert folder is not None
    pack = adapter.pack(9, folder)
    file = pack.path / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name][:, :-1].contiguous()}, file)
    with pytest.raises(PolicyError, match="checksum"):
        policy._submit(engine.load(pack)).result()
    with pytest.raises(PolicyError, match="has shape"):
        policy._submit(engine.load(replace(pack, checksum=checksum(file)))).result()
    pack.remove()
    with pytest.raises(PolicyError, match="cannot be read"):
        policy._submit(engine.load(pack)).result()
