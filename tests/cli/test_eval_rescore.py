"""`agentgym rescore` and `compare` on runs on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentgym.cli import main
from agentgym.evaluate.stored import stored
from agentgym.store import RunFolder

ENV = '''
"""keydoor with a price on each step, so that the rules can be changed after the game."""
from dataclasses import replace
from agentgym import registry
from agentgym.types import Step

BASE = registry.spec("keydoor-v0")
Base = registry.resolve(BASE.entry)

class Costly(Base):
    def __init__(self, cost=0.0, patience=99):
        super().__init__()
        self.cost, self.patience = cost, patience

    def begin(self, task, rng):
        self.left = self.patience
        return super().begin(task, rng)

    def act(self, action):
        step = super().act(action)
        self.left -= 1
        if self.left <= 0 and not step.terminated:
            return Step.failure(step.observation, -1.0)
        return step._replace(reward=step.reward - self.cost)

def tasks(split, rooms=4):
    return registry.tasks("keydoor-v0", split, rooms=rooms)

SPEC = replace(BASE, id="./costly.py:SPEC", entry="./costly.py:Costly", tasks="./costly.py:tasks")
NOISY = replace(SPEC, id="./costly.py:NOISY", abilities=frozenset())
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "costly.py").write_text(ENV)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_other_rules_show_in_old_attempts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played = run(
        capsys,
        "eval",
        "./costly.py:SPEC",
        "--policy",
        "noisy-oracle",
        "-p",
        "epsilon=0.6",
        "--attempts",
        "3",
        "--save",
        "a",
    )
    same = run(capsys, "rescore", "a")
    assert (same["changed"], same["not_replayed"], same["other_observations"]) == ([], [], 0)
    assert same["before"]["success"] == same["after"]["success"] == played["success"]

    dear = run(capsys, "rescore", "a", "-o", "cost=0.01", "--save", "b")
    assert len(dear["changed"]) == played["attempts"]
    assert dear["after"]["score"] == pytest.approx(played["score"] - 0.01 * played["turns"])
    assert dear["after"]["success"] == played["success"]
    old = {e.trajectory.id: e.trajectory for e in RunFolder("a").trajectories}
    for entry in RunFolder("b").trajectories:
        before = old[entry.trajectory.id]
        assert entry.phase == "eval:noisy-oracle"
        assert entry.trajectory.score == pytest.approx(before.score - 0.01 * len(before.turns))
        assert [t.action for t in entry.trajectory.turns] == [t.action for t in before.turns]
        assert [t.completion for t in entry.trajectory.turns] == [t.completion for t in before.turns]
    assert stored("b").saved is not None
    assert stored("b").saved.plan.options == {"cost": 0.01}

    short = run(capsys, "rescore", "a", "-o", "patience=4")
    ended = [c for c in short["changed"] if "turns" in c["what"]]
    assert ended
    assert all(c["ending"][1] == "failure" for c in ended)
    assert short["after"]["turns"] <= 4

    paired = run(capsys, "compare", "a", "b")
    assert paired["success"]["value"] == 0.0
    assert paired["metrics"]["score"]["value"] < 0
    assert paired["metrics"]["score"]["p"] < 0.05
    assert paired["settings_that_differ"] == ["options {} in A, {'cost': 0.01} in B"]


@pytest.mark.parametrize("policy", ["empty", "random"])
@pytest.mark.parametrize("env", ["tools-stateful-v0", "cabinet-v0", "router-v0", "lockgrid-v0"])
def test_shipped_environments_come_to_the_same(
    env: str, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save = str(tmp_path / "run")
    run(capsys, "eval", env, "--policy", policy, "--tasks", "6", "--turns", "7", "--save", save)
    found = run(capsys, "rescore", save)
    assert found["trajectories"] == 6
    assert (found["changed"], found["not_replayed"], found["other_observations"]) == ([], [], 0)


def test_what_cannot_be_replayed_is_refused_or_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "eval", "./costly.py:NOISY", "--policy", "oracle", "--save", "n")
    assert main(["rescore", "n"]) == 2
    assert "it is not deterministic" in capsys.readouterr().err
    counted = run(capsys, "rescore", "n", "--metrics")
    assert (counted["success"], counted["attempts"]) == (1.0, 9)
    run(capsys, "eval", "keydoor-v0", "--policy", "oracle", "--save", "k")
    gone = run(capsys, "rescore", "k", "-o", "rooms=5", code=1)
    assert {entry["why"] for entry in gone["not_replayed"]} == {"the environment no longer has its task"}
    for words, said in (
        (["rescore", "k", "--phase", "trained"], "no trajectory of the phase 'trained'; it has eval:oracle"),
        (["rescore", "k", "--metrics", "--save", "x"], "nothing to --save"),
        (["rescore", "k", "--save", "n"], "exists already"),
        (["rescore", "k", "-o", "romms=3"], "did you mean 'rooms'?"),
        (["rescore", "kk"], "did you mean 'k'?"),
        (["compare", "k", "n"], "only one environment can be compared"),
        (["compare", "k:oracel", "k"], "did you mean 'oracle'?"),
        (["compare", "k", "k", "--flips", "-1"], "--flips must be at least 0"),
    ):
        assert main(words) == 2, words
        shown = capsys.readouterr()
        assert said in shown.err
        assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_a_comparison_names_what_flipped_and_what_is_missing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "eval", "keydoor-v0", "--policy", "random", "--policy", "oracle", "--save", "both")
    run(capsys, "eval", "keydoor-v0", "--policy", "oracle", "--tasks", "5", "--save", "few")
    found = run(capsys, "compare", "both:random", "both:oracle")
    lost = {e.trajectory.task_id for e in RunFolder("both").trajectories if not e.trajectory.success}
    assert {flip["task"] for flip in found["won"]} == lost
    assert found["lost"] == []
    assert all(flip["trajectories_b"] == [f"{flip['task']}#0"] for flip in found["won"])
    assert found["success"]["p"] == pytest.approx(2 / 2 ** len(lost))
    fewer = run(capsys, "compare", "both:random", "few")
    assert len(fewer["only_a"]) == 4
    assert fewer["only_b"] == []
    assert main(["compare", "both:random", "few"]) == 0
    shown = capsys.readouterr().out
    assert "only in A" in shown
    assert "4 tasks: " in shown
    assert "won by B" in shown
    assert "McNemar's exact test" in shown
    assert main(["compare", "both", "few"]) == 2
    assert "say which: both:random, both:oracle" in capsys.readouterr().err
    other = run(capsys, "eval", "keydoor-v0", "--policy", "oracle", "--seed", "4", "--save", "seeded")
    assert other["success"] == 1.0
    seeded = run(capsys, "compare", "few", "seeded")
    assert seeded["other_starts"] == 5
    assert "seed 0 in A, 4 in B" in seeded["settings_that_differ"]


def test_the_evaluations_of_a_training_run_can_be_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two stages of one run, as the trainer writes them: no plan beside them."""
    run(capsys, "eval", "keydoor-v0", "--policy", "random", "--policy", "oracle", "--save", "t")
    (here / "t" / "evaluation.json").unlink()
    assert run(capsys, "compare", "t:random", "t:oracle")["success"]["b"] == 1.0


def test_half_a_log_is_compared_as_far_as_it_is_whole(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "eval", "keydoor-v0", "--policy", "oracle", "--save", "k")
    log = here / "k" / "trajectories.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) - 40])
    found = run(capsys, "compare", "k", "k")
    assert found["success"]["tasks"] == 8
    assert "damaged or half written" in found["warnings"][0]
    log.write_bytes(whole[:40])
    assert main(["compare", "k", "k"]) == 2
    assert "holds no evaluation" in capsys.readouterr().err
