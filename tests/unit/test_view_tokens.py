"""Tokens with a number each: from the log, and from the run's own model, which must agree about its own samples."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from view_cases import played

from agentgym import registry
from agentgym.errors import UsageError
from agentgym.limits import Limits
from agentgym.policy import Sampling
from agentgym.rollout import attempts, collect
from agentgym.store import RunFolder, TrajectoryLog
from agentgym.view.data import RunData

RECIPE = """
seed = 3
[env]
id = "keydoor-v0"
[model]
ref = "scratch:tiny"
dtype = "float32"
[[credit]]
use = "grpo"
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model of random weights that was never trained: what it gives now is what it gave then."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from agentgym import checkpoint, models

    loaded = models.load("scratch:tiny", dtype="float32", device="cpu", seed=3)
    policy = registry.load("policies", "transformers")(loaded=loaded, max_batch=4)
    todo = attempts(list(registry.tasks("keydoor-v0", "train")[:2]), 2, 0)
    short = Sampling(max_tokens=8)
    done = collect(todo, env="keydoor-v0", policy=policy, limits=Limits(turns=4), sampling=short, schedule="ordered")
    with RunFolder.create("a", tmp_path_factory.mktemp("tokens"), RECIPE) as run:
        for one in done:
            run.trajectories.append(one, iteration=0)
        checkpoint.export(loaded.model, loaded.chat.tokenizer, run.model)
        return run.path


def test_log_probabilities_are_those_of_the_log(path: Path) -> None:
    run = RunData(path)
    run.refresh(60)
    for n, entry in enumerate(TrajectoryLog(run.index.log)):
        found = run.tokens(n, "logprob")
        values = [[token["value"] for token in turn["tokens"]] for turn in found["turns"]]
        assert values == [list(turn.completion.logprobs or ()) for turn in entry.trajectory.turns]
        assert [[t["id"] for t in turn["tokens"]] for turn in found["turns"]] == [
            list(turn.completion.tokens or ()) for turn in entry.trajectory.turns
        ]
        assert found["high"] <= 0
        assert found["low"] == min(value for turn in values for value in turn)
    assert all(token["text"] for turn in found["turns"] for token in turn["tokens"])


def test_the_model_agrees_with_itself(path: Path) -> None:
    run = RunData(path)
    run.refresh(60)
    ratio, entropy = run.tokens(1, "ratio"), run.tokens(1, "entropy")
    values = [token["value"] for turn in ratio["turns"] for token in turn["tokens"]]
    assert len(values) > 20
    assert values == pytest.approx([1.0] * len(values), abs=2e-3)
    assert ratio["model"] == "the trained model"
    assert all(turn["why"] is None for turn in ratio["turns"])
    some = [token["value"] for turn in entropy["turns"] for token in turn["tokens"]]
    assert all(0 < value < math.log(1000) for value in some)
    logprobs = [token["value"] for turn in run.tokens(1)["turns"] for token in turn["tokens"]]
    # Random weights are nearly uniform: entropy and surprise are then about the same.
    assert sum(some) / len(some) == pytest.approx(-sum(logprobs) / len(logprobs), rel=0.35)


def test_what_cannot_be_had_says_why(path: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with RunFolder.create("bare", tmp_path, RECIPE) as bare:
        for entry in TrajectoryLog(path / "trajectories.jsonl"):
            bare.trajectories.append(entry.trajectory)
        bare.trajectories.append(played()[0])
    run = RunData(bare.path)
    run.refresh(60)
    with pytest.raises(UsageError, match="neither a checkpoint nor a model"):
        run.tokens(0, "ratio")
    with pytest.raises(UsageError, match="without a tokenizer"):
        run.tokens(4, "logprob")
    assert run.tokens(0)["turns"][0]["tokens"][0]["text"], "the recipe's own tokenizer has the words"
    (bare.path / "config.toml").write_text("nonsense = 1\n")
    with pytest.raises(UsageError, match="nonsense"):
        run.tokens(0, "entropy")
