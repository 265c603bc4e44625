"""answer-logprob asked from the sampler: the same columns as from the learner's module, out of the prefix cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from vllm_cases import counters
from vllm_marks import needs_vllm, slow

from agentgym import models, registry
from agentgym.credit import TurnTable
from agentgym.errors import CreditError
from agentgym.limits import Limits
from agentgym.policy import Sampling
from agentgym.rollout import attempts, collect
from agentgym.scorers import ScorerContext
from agentgym.scorers.answer_logprob import AnswerLogprob
from agentgym.types import Task
from agentgym_policies.vllm import VllmPolicy


@dataclass(frozen=True)
class Context(ScorerContext):
    sampler: Any = None


def context(loaded: models.Loaded, sampler: Any) -> Context:
    return Context(lambda name: Task(name, data={"answer": "key " + name[-1]}), loaded, sampler=sampler)


def test_who_cannot_be_asked_is_refused() -> None:
    loaded = models.load("scratch:tiny?hidden=32&layers=1", seed=1)
    with pytest.raises(ValidationError, match="the sampler has no other weights"):
        AnswerLogprob(asks="sampler", weights="initial")
    for sampler in (None, object()):
        with pytest.raises(CreditError, match=r"sampler\.use = 'vllm'"):
            AnswerLogprob(asks="sampler").open(context(loaded, sampler))


@needs_vllm
@slow
def test_the_sampler_says_what_the_learner_says(policy: VllmPolicy, loaded: models.Loaded) -> None:
    played = collect(
        attempts(registry.tasks("keydoor-v0", "train")[:3], 2, seed=5),
        env="keydoor-v0",
        policy=policy,
        limits=Limits(turns=3),
        sampling=Sampling(max_tokens=6),
    )
    table = TurnTable.from_trajectories(played)
    assert len(table) == 18
    own = AnswerLogprob().open(context(loaded, None)).score(played, table)
    before = counters(policy)
    work = AnswerLogprob(asks="sampler").open(context(loaded, policy))
    found = work.score(played, table)
    after = counters(policy)
    for name, values in own.items():
        np.testing.assert_allclose(found[name], values, atol=1e-3)
    assert len(set(own["answer_logprob"])) > 10
    assert work.learn(played, table)["probes"] > 18
    asked, hits = (after[k] - before[k] for k in ("prefix_cache_queries_total", "prefix_cache_hits_total"))
    assert hits > 0.7 * asked
