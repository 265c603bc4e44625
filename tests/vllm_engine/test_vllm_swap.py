"""New weights amid answers, requests that are aborted, and what the prefix cache saves: with a real server."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from vllm_cases import LONG, ask, begin, counters, gaps, long_prompts, perturb, prompt, request, server_of, until
from vllm_marks import needs_vllm, slow

from agentgym import models
from agentgym.types import Completion
from agentgym_policies.vllm import VllmPolicy

pytestmark = [needs_vllm, slow]


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.mark.parametrize("swap", ["recompute", "finish"])
def test_each_token_has_its_version(
    policy: VllmPolicy, loaded: models.Loaded, background: ThreadPoolExecutor, swap: str
) -> None:
    policy.publish(20)
    prompts = long_prompts(policy, loaded, 3)
    engine = server_of(policy)
    kept, engine._swap = engine._swap, swap
    known = {20: copy.deepcopy(loaded.model)}
    try:
        future = begin(policy, prompts, background)
        perturb(loaded.model, seed=21, scale=0.02)
        policy.publish(21)
        known[21] = loaded.model
        (after,) = ask(policy, request("after", prompts[0], max_tokens=4))
        answers = future.result()
    finally:
        engine._swap = kept
    assert set(after.versions) == {21}
    seen = [set(answer.versions) for answer in answers]
    # An answer under way is finished with the weights it was begun with, or goes on with the new ones.
    assert ({20, 21} in seen) if swap == "recompute" else (seen == [{20}] * 3)
    for tokens, answer in zip(prompts, answers, strict=True):
        versions = np.asarray(answer.versions)
        assert len(versions) == len(answer.tokens or ())
        assert (np.diff(versions) >= 0).all()
        assert answer.version == versions[0]
        for version in set(answer.versions):
            # Keys and values were computed again: its tokens are the version's own, whatever came before.
            assert gaps(known[version], tokens, answer)[versions == version].max() < 1e-3
            other = known[41 - version]
            if (versions == version).sum() > 50:
                assert gaps(other, tokens, answer)[versions == version].max() > 1e-2


def test_an_episode_past_its_deadline_is_aborted_at_the_server(policy: VllmPolicy, loaded: models.Loaded) -> None:
    (tokens,) = long_prompts(policy, loaded, 1)
    before = counters(policy)
    (late,) = ask(policy, request("late", tokens, max_tokens=LONG, temperature=0.0, deadline=time.monotonic() + 0.1))
    assert (late.finish, late.tokens, late.logprobs) == ("abort", (), ())
    # If it were still computed, it would be finished before another one that begins after it.
    (again,) = ask(policy, request("again", tokens, max_tokens=LONG, temperature=0.0))
    assert len(again.tokens or ()) == LONG
    until(lambda: counters(policy)["num_requests_running"] == 0)
    sampled = counters(policy)["generation_tokens_total"] - before["generation_tokens_total"]
    assert LONG <= sampled < 1.9 * LONG
    assert policy.metrics()["vllm/restarts"] == 0


@pytest.mark.parametrize("text", ["where?", "where? " * 40], ids=["whole", "by token"])
def test_given_answers_are_scored_and_the_cache_is_used(policy: VllmPolicy, loaded: models.Loaded, text: str) -> None:
    tokens, answer = prompt(loaded, text), tuple(loaded.chat.encode("in the"))
    ask(policy, request("t", tokens, max_tokens=1))  # Now its beginning is in the cache.
    before = counters(policy)
    found = asyncio.run(policy.score(tokens, answer))
    after = counters(policy)
    given = Completion("", answer, found)
    assert gaps(loaded.model, tokens, given).max() < 1e-3
    hits = after["prefix_cache_hits_total"] - before["prefix_cache_hits_total"]
    if len(text) > 100:
        assert hits >= len(answer) * (len(tokens) - 32)
    else:
        assert hits == 0
    ends = min(loaded.chat.end_ids)  # To end the turn is an answer, too.
    (last,) = asyncio.run(policy.score(tokens, (ends,)))
    assert gaps(loaded.model, tokens, Completion("", (ends,), (last,))).max() < 1e-3
