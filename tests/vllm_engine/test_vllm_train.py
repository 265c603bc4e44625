"""A recipe trains with vLLM in the embedded sampler's place, and its numbers are the learner's own."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from vllm_cases import REF, ask, interpreter, options, packs, plain, prompt, renew, request
from vllm_marks import needs_vllm, slow
from vllm_recipes import SMALL, USE

from agentgym import models
from agentgym.errors import ConfigError, UnknownNameError, UsageError
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig
from agentgym.recipe import Recipe, load_recipe
from agentgym.store import RunFolder
from agentgym.train import train
from agentgym_policies.vllm import VllmPolicy

ROOT = Path(__file__).parents[2]


def test_what_a_recipe_may_say_of_its_sampler() -> None:
    small = {"env": {"id": "keydoor-v0"}}
    with pytest.raises(ConfigError, match="needs use"):
        Recipe.model_validate({**small, "sampler": {"python": "x"}}).open_sampler()
    with pytest.raises(UsageError, match="does not follow"):
        Recipe.model_validate({**small, "sampler": {"use": "oracle"}}).open_sampler(loaded=None, max_batch=1)
    for wrong, hint in (("prefil_tokens", "prefill_tokens"), ("model", "no parameter"), ("max_batch", "no parameter")):
        recipe = Recipe.model_validate({**small, "sampler": {"use": "transformers", wrong: 1}})
        with pytest.raises(ConfigError, match=hint):
            recipe.open_sampler(loaded=None, max_batch=1)


def test_a_misspelt_sampler_is_found_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(SMALL + '[sampler]\nuse = "transformer"\n')
    with pytest.raises(UnknownNameError, match="did you mean 'transformers'"):
        load_recipe(path)


@needs_vllm
@slow
def test_a_recipe_trains_with_vllm(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    said = {"use": USE, "mode": "server", "python": interpreter() or sys.executable, "log": str(tmp_path / "log")}
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items())
    path.write_text(f"{SMALL}[sampler]\n{more}threads = 1\nstart_timeout = 900\n")
    recipe = load_recipe(path)
    with RunFolder.create("a", root=tmp_path) as run:
        summary = train(recipe, run)
    assert set(summary.evals) == {"eval:untrained", "eval:warm", "eval:trained"}
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    iterations = [row for row in rows if row.get("stage", "").startswith("train:")]
    assert len(iterations) == 3
    # The sampler had the learner's weights after each step: their log-probabilities differ by rounding alone.
    for row in iterations:
        assert row["learn/logprob_diff"] < 1e-3
        assert row["vllm/restarts"] == 0
    # And those were others each time: the warm start is good enough for some attempts of a group to succeed. Without
    # that all advantages are zero, and only the optimizer's momentum would move anything.
    assert any(row["learn/grad_norm"] > 0 for row in iterations[:-1])
    # In the metrics of every stage that played.
    assert all(row["vllm/cached"] > 0.1 for row in iterations)
    versions = {turn.completion.version for entry in run.trajectories for turn in entry.trajectory.turns}
    assert len(versions) >= 4  # Untrained, warm, and after each step.
    assert (tmp_path / "log").read_text().count("--- start") == 1


@needs_vllm
@slow
def test_in_bfloat16_it_is_as_near_to_the_learner_as_bfloat16_is_to_float32() -> None:
    loaded = models.load(REF, dtype="bfloat16", seed=2)
    learner = Learner(loaded.model, LearnerConfig(lr=1e-2))
    policy = VllmPolicy(loaded=loaded, max_batch=8, **options())
    prompts = [prompt(loaded, f"number {i}, a room with a view") for i in range(6)]
    between: list[np.ndarray] = []
    rounding: list[np.ndarray] = []
    try:
        for step in range(3):
            learner.step(packs(step))
            renew(policy, learner.version)
            answers = ask(policy, *(request(f"t{i}", p, max_tokens=64) for i, p in enumerate(prompts)))
            assert {a.version for a in answers} == {step + 1}
            whole = copy.deepcopy(loaded.model).float()
            for tokens, answer in zip(prompts, answers, strict=True):
                own = plain(loaded.model, tokens, answer)
                between.append(np.abs(np.asarray(answer.logprobs) - own))
                rounding.append(np.abs(plain(whole, tokens, answer) - own))
    finally:
        policy.close()
    assert 0 < np.concatenate(between).mean() <= np.concatenate(rounding).mean()


IN_PROCESS = """
import asyncio, sys
sys.path[:0] = {path!r}
from vllm_cases import REF, ask, gap, models, perturb, prompt, request
from agentgym_policies.vllm import VllmPolicy
loaded = models.load(REF, seed=1)
policy = VllmPolicy(loaded=loaded, mode="inprocess", max_batch=8, threads=1)
tokens = prompt(loaded, "hello there")
first = asyncio.run(policy.complete([request("a", tokens), request("b", tokens)]))
gaps = [gap(loaded.model, tokens, a) for a in first]
perturb(loaded.model, 5, only="embed_tokens")
policy.version = 4
policy.reset_cache()
(second,) = asyncio.run(policy.complete([request("a", tokens)]))
gaps.append(gap(loaded.model, tokens, second))
policy.sleep()
scored = asyncio.run(policy.score(tokens, second.tokens))
gaps.append(max(abs(x - y) for x, y in zip(scored, second.logprobs)))
policy.close()
print("RESULT", [a.version for a in (*first, second)], max(gaps))
"""


@needs_vllm
@slow
def test_in_process_where_vllm_can_be_imported() -> None:
    path = [str(ROOT / "tests/vllm_engine"), str(ROOT), str(ROOT / "policies"), str(ROOT / "envs")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    program = [interpreter() or sys.executable, "-W", "ignore", "-c", IN_PROCESS.format(path=path)]
    done = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=1000, check=False)
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not results and "No module named 'agentgym" not in done.stderr and "No module named" in done.stderr:
        pytest.skip(f"that environment lacks a module of agentgym's own: {done.stderr.splitlines()[-1]}")
    assert results, done.stderr[-2000:]
    versions, worst = results[0].removeprefix("RESULT ").rsplit(" ", 1)
    assert versions == "[0, 0, 4]"
    assert float(worst) < 1e-3
