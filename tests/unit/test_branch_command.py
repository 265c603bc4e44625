"""`agentgym decide` on stored runs, and what `agentgym eval` calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgym import registry
from agentgym.branch import read_decisive
from agentgym.cli import main
from agentgym.cli.decide_run import after_eval
from agentgym.cli.saving import recording
from agentgym.limits import Limits
from agentgym.policy import Sampling
from agentgym.rollout import attempts, collect
from agentgym.types import Trajectory
from agentgym_policies.scripted import NoisyOracle

LIMITS = Limits(turns=7)
WORDS = ["--policy", "noisy-oracle", "-p", "epsilon=0.5", "--turns", "7"]


def played(count: int = 3) -> list[Trajectory]:
    tasks = registry.tasks("keydoor-v0", "heldout")[:count]
    return collect(attempts(tasks, 2, 0), env="keydoor-v0", policy=NoisyOracle(0.5), limits=LIMITS)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder as an evaluation leaves it, with an earlier phase that repeats ids."""
    with recording(tmp_path / "ev") as folder:
        for phase in ("eval:first", "eval:second"):
            for trajectory in played():
                folder.trajectories.append(trajectory, phase=phase)
    return tmp_path / "ev"


def test_a_run_is_decided_and_the_result_stored(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decide", str(run), *WORDS, "--k", "4", "--credit-check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in found["trajectories"]] == [t.id for t in played()]
    assert read_decisive(run) == found["trajectories"]
    first = found["trajectories"][0]
    assert (first["policy"], first["k"], len(first["values"])) == ("noisy-oracle", 4, len(played()[0].turns) + 1)
    assert all(value["n"] == 4 for value in first["values"][:-1])
    assert found["restored_by"] == "replay"
    assert {row["module"] for row in found["credit_check"]["rows"]} >= {"grpo", "anchor-state", "gae"}
    assert main(["decide", str(run), *WORDS, "--k", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trajectories"] == found["trajectories"]


def test_one_trajectory_by_number_or_id_as_a_person_sees_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = played()[1]
    for name in ("1", chosen.id):
        assert main(["decide", str(run), name, *WORDS, "--budget", "60"]) == 0
        shown = capsys.readouterr().out
        assert chosen.id in shown
        assert f"({chosen.ending.value})" in shown
        assert shown.count("█") + shown.count("·") >= 10 * len(chosen.turns)
    assert [line["id"] for line in read_decisive(run)] == [chosen.id]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "noisy-oracle", "--k", "1"], "--k must be at least 2"),
        (["nobody", "--policy", "oracle"], "no trajectory 'nobody'"),
        (["--iteration", "3", "--policy", "oracle"], "no trajectories of iteration 3"),
        (["--phase", "eval:seco", "--policy", "oracle"], "did you mean 'eval:second'?"),
        ([], "has no trained model: name who plays on with --policy"),
        (["--policy", "noisy-oracle", "-o", "rooms=6"], "no task 'keydoor-4"),
        (["--policy", "noisi-oracle"], "did you mean 'noisy-oracle'?"),
    ],
)
def test_bad_input_is_one_line(run: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decide", str(run), *words]) == 2
    shown = capsys.readouterr().err.strip().splitlines()
    assert said in shown[-1]
    assert not (run / "decisive.jsonl").exists()


def test_a_plan_plays_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turns = sum(len(t.turns) for t in played())
    assert main(["decide", str(run), "--policy", "oracle", "--k", "3", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["continuations_at_most"] == 3 * turns
    assert not (run / "decisive.jsonl").exists()


def test_after_an_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    found = after_eval(
        played(1),
        env="keydoor-v0",
        policy=NoisyOracle(0.5),
        options={},
        sampling=Sampling(temperature=0.0),
        limits=LIMITS,
        continuations=3,
        credit_check=True,
        json=True,
        seed=0,
        system="",
        dialect=None,
    )
    assert capsys.readouterr().out == ""
    assert json.loads(json.dumps(found)) == found
    assert found["temperature"] == 1.0
    assert found["continuations"] <= 3 * sum(len(t.turns) for t in played(1))
    assert found["credit_check"]["trajectories"] == 2
