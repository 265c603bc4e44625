"""The loop with rollouts in the background: nothing too old, lost or doubled, and the newest weights sampled."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from run_cases import lines, run_once
from tiny_recipe import start

from agentgym.batch import pack, sequences
from agentgym.progress import Silent
from agentgym.recipe import load_recipe
from agentgym.rollout import attempts
from agentgym.session import Session
from agentgym.store import RunFolder
from agentgym.train import stages, train_stage

RECIPE = f"""
{start()}
schedule = "eager"  # In [rollout].
[asynchrony]
staleness = 1
[limits]
turns = 4
[sampling]
max_tokens = 5
[warmstart]
tasks = 4
epochs = 1
lr = 3e-3
batch = 4
[[credit]]
use = "anchor-state"
[trainer]
iterations = 4
tasks = 3
group = 3
lr = 1e-3
keep_flat = true
minibatches = 2
[eval]
tasks = 3
every = 2
"""


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def learnt(folder: Path) -> list[tuple[int, str]]:
    """Iteration and id of each trajectory that was learnt from, in the log's order."""
    entries = (json.loads(line) for line in (folder / "trajectories.jsonl").read_text().splitlines())
    return [(e["iteration"], e["id"]) for e in entries if e["phase"] == "train"]


def check_log(folder: Path, groups: int, group: int) -> None:
    """Every group of the run was learnt from, whole, and once."""
    seen = learnt(folder)
    assert len({name for _, name in seen}) == len(seen) == groups * group
    places = [re.match(r"(\d+)\.", name) for _, name in seen]
    assert sorted({int(found[1]) for found in places if found}) == list(range(groups))


def test_a_run_is_whole_and_nothing_in_it_is_too_old(recipe_path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    folder = run_once(recipe, tmp_path / "a")
    found = lines(folder)
    assert {line["stage"] for line in found} == {stage.name for stage in stages(recipe)}
    trained = [line for line in found if str(line["stage"]).startswith("train:")]
    assert all(line["async/staleness_max"] <= 1 for line in trained)
    assert any(line["async/staleness_mean"] > 0 for line in trained), "something was played ahead"
    assert all(line["async/queue"] + line["async/in_flight"] <= 3 for line in trained)
    check_log(folder, 12, 3)
    assert (folder / "model" / "config.json").exists()


@pytest.mark.parametrize("module", ["curriculum", "rapo"])
def test_selection_goes_on_working(recipe_path: Path, tmp_path: Path, module: str) -> None:
    text = RECIPE + f'\n[[selection]]\nuse = "{module}"\n'
    recipe_path.write_text(
        text.replace("iterations = 4", "iterations = 2").replace("tasks = 3\nevery = 2", "tasks = 0")
    )
    folder = run_once(load_recipe(recipe_path), tmp_path / "a")
    trained = [line for line in lines(folder) if str(line["stage"]).startswith("train:")]
    assert len(trained) == 2
    assert all("train/skipped_tasks" in line and line["async/staleness_max"] <= 1 for line in trained)


def test_killed_and_resumed_nothing_is_lost_or_doubled(recipe_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agentgym.cli", "train", str(recipe_path), "--name", "cut"]
    child = subprocess.Popen(
        [*command, "--root", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    folder, deadline = tmp_path / "cut", time.monotonic() + 120
    while child.poll() is None and time.monotonic() < deadline:  # Killed with two iterations behind it.
        if (folder / "metrics.jsonl").exists() and "train:1" in (folder / "metrics.jsonl").read_text():
            os.killpg(child.pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    _, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors.decode()
    done = subprocess.run(
        [sys.executable, "-m", "agentgym.cli", "resume", str(folder)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    check_log(folder, 12, 3)
    assert [line["stage"] for line in lines(folder)].count("train:3") == 1
    assert [line["stage"] for line in lines(folder)].count("train:1") == 1


def test_the_sampler_has_a_copy_that_follows_when_it_is_told_to(recipe_path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    with RunFolder.create("a", root=tmp_path) as run, Session(recipe, run, Silent()) as s:
        s.prepare()
        todo = attempts(list(s.heldout[:2]), 2, 1, prefix="x:")
        first = s.play(todo, "play", 1.0)
        copied = s.policy.loaded.model
        packs = pack([q for t in first for q in sequences(t, [1.0] * len(t.turns))], 4096)
        before = {name: p.clone() for name, p in copied.named_parameters()}
        s.learn(packs, mode="policy", lr=1e-2)
        assert s.policy.version == 0
        assert all(torch.equal(p, before[name]) for name, p in copied.named_parameters()), "a step does not touch it"
        assert any(not torch.equal(p, before[name]) for name, p in s.loaded.model.named_parameters())

        s.publish()
        learner = dict(s.loaded.model.named_parameters())
        assert all(torch.equal(p, learner[name]) for name, p in copied.named_parameters())
        again = s.play(todo, "play", 1.0)
        assert {v for t in again for q in t.samples for v in q.versions} == {-1, 1}
        for p in pack([q for t in again for q in sequences(t, [1.0] * len(t.turns))], 4096):
            with torch.no_grad():
                now = s.learner.logprobs(p)[0]
            assert torch.allclose(now, p.logprob, atol=1e-4), "what was sampled is of the learner's weights"


def test_a_failure_in_the_background_ends_the_run_and_names_itself(recipe_path: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from agentgym_policies.transformers import TransformersPolicy\n"
        "class Broken(TransformersPolicy):\n"
        "    def __init__(self, *, loaded=None, max_batch=64):\n"
        "        super().__init__(loaded=loaded, max_batch=max_batch)\n"
        "    async def complete(self, requests):\n"
        "        raise ZeroDivisionError('a bug of the sampler')\n"
    )
    recipe = load_recipe(recipe_path, ["--sampler.use", f"{tmp_path / 'broken.py'}:Broken"])
    with (
        RunFolder.create("a", root=tmp_path) as run,
        Session(recipe, run, Silent()) as s,
        pytest.raises(ZeroDivisionError, match="a bug of the sampler"),
    ):
        train_stage(s, 0)
