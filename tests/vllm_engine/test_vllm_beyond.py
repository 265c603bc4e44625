"""vLLM where rollouts go on beside the learner, and where a Ray actor holds it: the recipe's words stay the same."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import psutil
import pytest
from vllm_cases import interpreter, until
from vllm_marks import long, needs_vllm, slow
from vllm_recipes import SMALL, USE

from agentgym import config
from agentgym.progress import Silent
from agentgym.recipe import Recipe
from agentgym.session import Session
from agentgym.store import RunFolder
from agentgym.track import read_metrics
from agentgym.train import stages

pytestmark = [needs_vllm, slow, long]


def recipe(tmp_path: Path, **tables: dict[str, Any]) -> Recipe:
    """The small recipe with vLLM as its sampler, and what is changed."""
    data: dict[str, Any] = tomllib.loads(SMALL)
    data["sampler"] = {
        "use": USE,
        "mode": "server",
        "python": interpreter() or sys.executable,
        "log": str(tmp_path / "log"),
        "threads": 1,
        "start_timeout": 900.0,
    }
    for name, keys in tables.items():
        data[name] = data.get(name, {}) | keys
    return config.parse(Recipe, data, "test")


def run(made: Recipe, folder: Path) -> list[dict[str, Any]]:
    """Train; the metrics of the iterations."""
    with RunFolder.create(folder.name, root=folder.parent) as where, Session(made, where, Silent()) as session:
        for stage in stages(made):
            stage.run(session)
        session.finish()
    lines = [line.values | {"stage": line.stage} for line in read_metrics(folder / "metrics.jsonl")]
    return [line for line in lines if str(line["stage"]).startswith("train:")]


def servers(log: Path) -> list[psutil.Process]:
    """Processes that were started for a run whose server writes to `log`."""
    found = list[psutil.Process]()
    for process in psutil.process_iter(["cmdline"]):
        if any(str(log.parent) in word for word in process.info["cmdline"] or []):
            found.append(process)
    return found


def test_rollouts_go_on_beside_the_learner(tmp_path: Path) -> None:
    made = recipe(
        tmp_path,
        sampler={"swap": "recompute"},
        rollout={"schedule": "eager"},
        asynchrony={"staleness": 1},
        trainer={"iterations": 4},
    )
    found = run(made, tmp_path / "run")
    assert len(found) == 4
    assert all(line["async/staleness_max"] <= 1 for line in found)
    assert any(line["async/staleness_mean"] > 0 for line in found), "something was played ahead"
    assert all(line["vllm/restarts"] == 0 for line in found)
    entries = [entry for entry in RunFolder(tmp_path / "run").trajectories if entry.phase == "train"]
    names = [entry.trajectory.id for entry in entries]
    assert len(names) == len(set(names)) == 4 * 4 * 8
    said = [turn.completion for entry in entries for turn in entry.trajectory.turns]
    assert all(len(c.versions) == len(c.tokens or ()) for c in said), "each token with its version"
    assert len({v for c in said for v in c.versions}) >= 3
    # The first iteration's samples are of the weights that learn from them: they differ by rounding alone.
    assert found[0]["async/staleness_max"] == 0
    assert found[0]["learn/logprob_diff"] < 1e-3


def test_an_engine_on_a_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'agentgym-suite[ray]'")
    made = recipe(tmp_path, cluster={"address": "local", "rollout_workers": 1, "engines": 1}, eval={"tasks": 2})
    found = run(made, tmp_path / "run")
    assert len(found) == 3
    # The actor's vLLM had the learner's weights of each step: they came by Ray, and went on by shared memory.
    assert all(line["learn/logprob_diff"] < 1e-3 for line in found)
    assert all(line["cluster/lost_engines"] == 0 for line in found)
    entries = [entry for entry in RunFolder(tmp_path / "run").trajectories if entry.phase == "train"]
    assert len({entry.trajectory.id for entry in entries}) == len(entries) == 3 * 4 * 8
    assert len({turn.completion.version for entry in entries for turn in entry.trajectory.turns}) == 3
    assert (tmp_path / "log").read_text().count("--- start") == 1
    until(lambda: not servers(tmp_path / "log"), 30)
