"""`agentgym credit` on a run that was really trained: the recorded credit again, and credit of other pipelines."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_recipe import start

from agentgym import config, scorers
from agentgym.cli import main
from agentgym.cli.credit import with_parameters
from agentgym.cli.differences import correlation
from agentgym.cli.recredit import check_columns, read_iterations
from agentgym.credit import Pipeline, TurnTable
from agentgym.credit.grpo import Grpo
from agentgym.errors import ConfigError, CreditError, StoreError, UsageError
from agentgym.recipe import load_recipe
from agentgym.store import RunFolder
from agentgym.train import train
from agentgym.types import Ending

RECIPE = f"""
{start(slots=24)}
[limits]
turns = 12
[sampling]
max_tokens = 8
[warmstart]
tasks = 60
epochs = 8
lr = 1e-2
batch = 8
[[credit]]
use = "anchor-state"
gamma = 0.9
[trainer]
iterations = 2
tasks = 4
group = 6
lr = 1e-3
[eval]
tasks = 0
"""
SIMILAR = f"{Path(scorers.__file__).with_name('similar_states.py')}:SimilarStates"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("credit")
    path = root / "tiny.toml"
    path.write_text(RECIPE)
    recipe = load_recipe(path)
    with RunFolder.create("tiny", root=root, config_text=config.dump(recipe)) as run:
        train(recipe, run)
    return root / "tiny"


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def ask(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> dict[str, Any]:
    assert main(["credit", str(run), *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> str:
    assert main(["credit", str(run), *words]) == 2
    return capsys.readouterr().err


def rewrite(run: Path, change: Any) -> None:
    """Write a run's log again, with `change(entry)` giving trajectory and advantages."""
    folder = RunFolder(run)
    entries = list(folder.trajectories)
    folder.trajectories.cut(0)
    for entry in entries:
        trajectory, advantages = change(entry)
        folder.trajectories.append(trajectory, phase=entry.phase, iteration=entry.iteration, advantages=advantages)
    folder.close()


def test_the_run_s_own_pipeline_gives_what_was_recorded(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, trained)
    assert found["credit"] == [{"use": "anchor-state", "gamma": 0.9}]
    assert [row["iteration"] for row in found["iterations"]] == [0, 1]
    turns = [row["turns"] for row in found["iterations"]]
    assert min(turns) >= 12
    assert found["all"]["turns"] == sum(turns)
    assert found["all"]["largest_difference"] <= 1e-6
    assert found["all"]["correlation"] == pytest.approx(1.0)  # And not `None`: there is credit to compare.
    assert (found["all"]["sign_flips"], found["all"]["changed"], found["turns"]) == (0, 0.0, [])


def test_another_pipeline_is_that_pipeline_on_the_stored_table(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ask(capsys, trained, "--use", "grpo", "--iteration", "1", "--limit", "3")
    (recorded,) = [one for one in read_iterations(RunFolder(trained)) if one.number == 1]
    table = TurnTable.from_trajectories(recorded.played)
    old, new = recorded.advantages, Grpo()(table)["advantage"]
    (row,) = found["iterations"]
    assert row["iteration"] == 1
    assert row["mean_absolute_difference"] == pytest.approx(float(np.abs(new - old).mean()))
    assert row["correlation"] == pytest.approx(float(np.corrcoef(old, new)[0, 1]))
    assert row["sign_flips"] == int((old * new < 0).sum())
    assert row["changed"] == pytest.approx(float((np.abs(old - new) > 1e-6).mean())) != 0.0
    largest = np.sort(np.abs(new - old))[::-1]
    assert [abs(t["new"] - t["recorded"]) for t in found["turns"]] == pytest.approx(largest[:3].tolist())
    first = found["turns"][0]
    trajectory = next(t for t in recorded.played if t.id == first["trajectory"])
    turn = trajectory.turns[first["turn"]]
    assert first["action"] == (turn.completion.text if turn.action is None else turn.action)


def test_parameters_change_the_run_s_pipeline(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, trained, "-p", "anchor-state.step_weight=0", "-p", "anchor-state.gamma=1.0")
    assert found["credit"] == [{"use": "anchor-state", "gamma": 1.0, "step_weight": 0}]
    same = ask(capsys, trained, "--use", "dr-grpo")
    assert found["all"] == same["all"]  # Without the step level that is what anchor-state is.


def test_two_modules_in_order(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, trained, "--use", "outcome", "--use", "anchor-state", "-p", "anchor-state.gamma=0.9")
    assert [entry["use"] for entry in found["credit"]] == ["outcome", "anchor-state"]
    assert found["all"]["changed"] == 0.0


def test_tables_for_a_person(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["credit", str(trained), "--use", "grpo", "--limit", "2"]) == 0
    said = capsys.readouterr().out
    for word in ("iteration", "correlation", "flips", "all", "largest differences", "recorded"):
        assert word in said
    assert main(["credit", str(trained)]) == 0
    assert "every advantage is as recorded" in capsys.readouterr().out


def test_a_scorer_without_a_model_runs_first(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("-p", "anchor-state.keys=similar")
    assert "'anchor-state' needs the column 'anchor'" in refused(capsys, trained, *words)
    found = ask(capsys, trained, *words, "--scorer", SIMILAR, "--iteration", "0")
    assert [row["iteration"] for row in found["iterations"]] == [0]
    assert found["credit"][0]["keys"] == "similar"


def test_trajectories_that_got_no_credit_stay_out(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = ask(capsys, copied)["all"]
    dropped: list[str] = []

    def drop(entry: Any) -> tuple[Any, Sequence[float] | None]:
        """Two more: one that a selection module would have dropped, one that met an infra error."""
        if entry.phase == "train" and entry.iteration == 1 and len(dropped) < 2:
            broken = len(dropped) == 1
            dropped.append(entry.trajectory.id)
            ending = Ending.INFRA_ERROR if broken else entry.trajectory.ending
            return dataclasses.replace(entry.trajectory, ending=ending), None
        return entry.trajectory, entry.advantages

    rewrite(copied, drop)
    found = ask(capsys, copied, "--use", "outcome")
    assert found["all"]["left_out"] == before["left_out"] + 2
    assert found["iterations"][1]["left_out"] >= 2
    assert found["all"]["turns"] < before["turns"]
    assert not {turn["trajectory"] for turn in found["turns"]} & set(dropped)


def test_what_a_log_must_not_hold_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(copied, lambda e: (e.trajectory, None if e.advantages is None else [*e.advantages, 0.0]))
    assert main(["credit", str(copied)]) == 1
    assert "turns and" in capsys.readouterr().err
    with pytest.raises(StoreError, match="advantages"):
        read_iterations(RunFolder(copied))
    rewrite_nothing = RunFolder(copied)
    rewrite_nothing.trajectories.cut(0)
    rewrite_nothing.close()
    assert "no trajectory of a training iteration" in refused(capsys, copied)


def test_what_a_person_gets_wrong_is_one_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'grpo'" in refused(capsys, trained, "--use", "grop")
    assert "0 to 1" in refused(capsys, trained, "--iteration", "9")
    assert "gama" in refused(capsys, trained, "-p", "anchor-state.gama=1")
    assert "no module 'grpo'" in refused(capsys, trained, "-p", "grpo.x=1")
    assert "NAME.KEY=VALUE" in refused(capsys, trained, "-p", "gamma=1")
    assert "unknown scorer" in refused(capsys, trained, "--scorer", "nobody")
    assert "unknown run" in refused(capsys, trained.with_name("tinny"))


def test_a_column_that_costs_a_model_is_named_with_the_reason() -> None:
    table = TurnTable.from_rewards([[[1.0]]])

    class Needy(Grpo):
        column: str = "answer_logprob"

        def required(self) -> frozenset[str]:
            return frozenset({self.column})

    for column, why in [
        ("logprob", "policy that played gave none"),
        ("progress", "environment did not report"),
        ("nonsense", "no installed module or scorer"),
        ("episode_advantage", "anchor-state"),
    ]:
        with pytest.raises(CreditError, match=f"'needy' needs the column '{column}'.*{why}"):
            check_columns(Pipeline((("needy", Needy(column=column)),)), table)


def test_parameters_of_modules_from_files() -> None:
    listed = [{"use": "./quick.v2.py:Quick"}, {"use": "grpo"}]
    assert with_parameters(listed, ["./quick.v2.py:Quick.decay=0.5"])[0]["decay"] == 0.5
    assert listed[0] == {"use": "./quick.v2.py:Quick"}
    with pytest.raises((UsageError, ConfigError)):
        with_parameters(listed, ["grpo."])


def test_correlation_of_extremes() -> None:
    huge = np.array([1e99, -1e99, 0.0])
    assert correlation(huge, huge * 1e-200) == pytest.approx(1.0)
    assert correlation(huge, np.ones(3)) is None
    assert correlation(np.zeros(0), np.zeros(0)) is None
    assert correlation(np.array([1.0, 2.0, 4.0]), -np.array([1.0, 2.0, 4.0])) == pytest.approx(-1.0)
