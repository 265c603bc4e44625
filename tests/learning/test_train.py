"""The loop as a whole, on a real small model and a real small environment: same seed, same bits; killed, same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_cases import RECIPE, lines, run_once, weights

from agentgym.recipe import load_recipe
from agentgym.train import flat_groups, stages


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def metrics(folder: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in line.items() if not k.startswith("time")} for line in lines(folder)]


def test_same_seed_same_bits(recipe_path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    a, b = run_once(recipe, tmp_path / "a"), run_once(recipe, tmp_path / "b")
    assert metrics(a) == metrics(b)
    assert weights(a) == weights(b)
    other = run_once(load_recipe(recipe_path, ["--seed", "4"]), tmp_path / "c")
    assert weights(other) != weights(a)


def test_metrics_cover_every_stage(recipe_path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    folder = run_once(recipe, tmp_path / "a")
    seen = {line["stage"] for line in metrics(folder)}
    assert seen == {stage.name for stage in stages(recipe)}
    trained = [line for line in metrics(folder) if line["stage"] == "train:0"]
    for name in ("train/success", "train/score", "train/turns", "train/flat_groups"):
        assert name in trained[0], sorted(trained[0])
    assert (folder / "model" / "config.json").exists()


@pytest.mark.parametrize("after", [1.2])  # tests/faults kills at many more points.
def test_killed_and_resumed_gives_the_same_bits(recipe_path: Path, tmp_path: Path, after: float) -> None:
    whole = run_once(load_recipe(recipe_path), tmp_path / "whole")
    command = [sys.executable, "-m", "agentgym.cli", "train", str(recipe_path), "--name", "cut"]
    command += ["--root", str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    folder = tmp_path / "cut"
    deadline = time.monotonic() + 60
    while not (folder / "metrics.jsonl").exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(after)
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    _, errors = child.communicate()
    assert folder.exists(), errors.decode()
    done = subprocess.run(
        [sys.executable, "-m", "agentgym.cli", "resume", str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert metrics(folder) == metrics(whole)
    assert weights(folder) == weights(whole)


def test_a_flat_group_is_one_whose_scores_are_all_equal() -> None:
    from agentgym.types import Completion, Ending, Observation, Trajectory, Turn

    turn = Turn(Observation("o"), Completion("a"), "a")

    def of(group: str, score: float, ending: Ending = Ending.FAILURE) -> Trajectory:
        return Trajectory("t", "e", "k", group, 0, 0, (turn,), ending, score=score)

    played = [of("same", 1), of("same", 1), of("mixed", 1), of("mixed", 0), of("broken", 1)]
    played += [of("broken", 0, Ending.INFRA_ERROR)]
    assert flat_groups(played) == {"same", "broken"}
