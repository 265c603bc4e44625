"""Every credit module trains in the loop, from its own recipe, for the recipe's three iterations."""

from __future__ import annotations

import importlib.metadata as metadata
import json
import math
import tomllib
from pathlib import Path

import pytest
from judge_server import JudgeServer

from agentgym.recipe import load_recipe
from agentgym.store import RunFolder
from agentgym.track import read_metrics
from agentgym.train import train

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "credit").glob("*.toml"))


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warm start is the same in all recipes: it is trained once, from the first of them."""
    recipe = load_recipe(RECIPES[0], ["--trainer.iterations", "0", "--eval.tasks", "20", "--eval.attempts", "2"])
    with RunFolder.create("warm", root=tmp_path_factory.mktemp("warm")) as run:
        summary = train(recipe, run)
    assert 0.1 < summary.evals["eval:warm"]["eval/success"] < 0.9  # Something to compare, and something to learn.
    return run.model


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_trains_for_three_iterations(path: Path, warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path / "cache"))  # Verdicts of this judge are for this test only.
    more = {"model": {"ref": str(warm)}, "warmstart": {"tasks": 0}, "eval": {"tasks": 0}}
    with JudgeServer() as judge:
        plain = tomllib.loads(path.read_text())
        if any("base_url" in entry for entry in plain.get("scorers", [])):
            more["scorers"] = [
                {**entry, "base_url": judge.url} if "base_url" in entry else entry for entry in plain["scorers"]
            ]
        recipe = load_recipe(path, more)
        with RunFolder.create("x", root=tmp_path) as run:
            train(recipe, run)
            assert recipe.trainer.iterations == 3
            lines = [line for line in read_metrics(run.metrics) if line.stage.startswith("train:")]
            advantages = [entry.advantages for entry in run.trajectories if entry.phase == "train"]
    assert [line.stage for line in lines] == ["train:0", "train:1", "train:2"]
    for line in lines:
        assert all(math.isfinite(value) for value in line.values.values()), line
    given = [a for turns in advantages if turns is not None for a in turns]
    assert all(math.isfinite(a) for a in given)
    assert any(given), "no turn got credit in three iterations"
    assert max(line.values.get("learn/grad_norm", 0.0) for line in lines) > 0


def test_every_module_has_a_recipe():
    used: set[str] = set()
    for path in RECIPES:
        plain = tomllib.loads(path.read_text())
        used |= {entry["use"] for entry in plain["credit"]}
        used |= {entry["use"] for kind in ("scorers", "selection") for entry in plain.get(kind, [])}
    shipped = {
        point.name
        for kind in ("credit", "scorers", "selection")
        for point in metadata.entry_points(group=f"agentgym.{kind}")
        if point.dist is not None and point.dist.name == "agentgym-suite"
    }
    assert used == shipped, json.dumps({"without recipe": sorted(shipped - used), "unknown": sorted(used - shipped)})
