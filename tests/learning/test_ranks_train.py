"""A whole run with two ranks is a run: the same recipe, a checkpoint that one rank goes on from."""

import json
from pathlib import Path

import pytest

from agentgym.checkpoint import load_latest
from agentgym.learner import Learner
from agentgym.models import load
from agentgym.recipe import load_recipe
from agentgym.store import RunFolder
from agentgym.train import train

RECIPE = """
name = "tiny"
seed = 3
[env]
id = "keydoor-v0"
options = { rooms = 4 }
[model]
ref = "scratch:tiny?hidden=32&layers=2"
[limits]
turns = 5
[sampling]
max_tokens = 6
[rollout]
host = "inline"
slots = 8
[warmstart]
tasks = 6
epochs = 2
lr = 3e-3
batch = 3
[[credit]]
use = "anchor-state"
[trainer]
iterations = 3
tasks = 3
group = 4
lr = 1e-3
refill = 1
minibatches = 2
[eval]
tasks = 4
every = 2
"""


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["learn/loss"] for line in lines if "learn/loss" in line]


def test_a_run_with_two_ranks(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    curves: list[list[float]] = []
    for ranks in (1, 2):
        recipe = load_recipe(path, {"trainer.ranks": ranks, "name": f"ranks-{ranks}"})
        with RunFolder.create(recipe.name, root=tmp_path) as run:
            train(recipe, run)
        curves.append(losses(tmp_path / f"ranks-{ranks}"))
    assert curves[1] == pytest.approx(curves[0], abs=1e-4)
    assert len(curves[0]) >= 3, "two epochs of demonstrations, and policy steps"

    found = load_latest(tmp_path / "ranks-2" / "checkpoints")
    assert found is not None
    model = load(recipe.model.ref, dtype="float32", device="cpu", seed=recipe.seed).model
    one = Learner(model, recipe.trainer.model_copy(update={"ranks": 1}))
    one.load_state(found.tensors, found.meta["learner"])
    trained = load(str(tmp_path / "ranks-2" / "model"), dtype="float32", device="cpu").model
    assert all(p.equal(q) for p, q in zip(trained.parameters(), model.parameters(), strict=True))
