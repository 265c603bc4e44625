"""The command line as a person and as a script meet it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agentgym import registry
from agentgym.cli import main
from agentgym.cli.bars import numbers
from agentgym.cli.show import safe
from agentgym.report import read_data
from agentgym.store import RunFolder

COMMANDS = [
    "list",
    "init",
    "check",
    "play",
    "eval",
    "train",
    "resume",
    "report",
    "view",
    "credit",
    "lab",
    "serve",
    "doctor",
]
RECIPES = Path(__file__).parents[2] / "recipes"
TINY = """
name = "tiny"
[env]
id = "keydoor-v0"
options = { rooms = 4 }
[model]
ref = "scratch:tiny?hidden=32&layers=2"
[limits]
turns = 4
[sampling]
max_tokens = 4
[warmstart]
tasks = 4
[trainer]
iterations = 1
tasks = 2
group = 2
[eval]
tasks = 4
"""


def command(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The real console entry, in a process of its own."""
    options = {"capture_output": True, "text": True, "timeout": 120} | options
    return subprocess.run([sys.executable, "-m", "agentgym.cli", *words], check=False, **options)


def test_help_lists_every_command_and_is_quick() -> None:
    began = time.monotonic()
    done = command("--help")
    assert done.returncode == 0
    assert time.monotonic() - began < 5
    for name in COMMANDS:
        assert f" {name} " in done.stdout


def test_starting_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "gymnasium", "numpy", "textworld", "pydantic")
    code = f"import sys, agentgym.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example" in shown
    assert f"agentgym {name}" in shown.partition("Example")[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import agentgym

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == agentgym.__version__


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evl"], 'Did you mean "eval"?'),
        (["eval", "keydor-v0"], "unknown environment 'keydor-v0', did you mean 'keydoor-v0'?"),
        (["check", "keydoor"], "did you mean 'keydoor-v0'?"),
        (["play", "keydor-v0"], "did you mean 'keydoor-v0'?"),
        (["eval", "keydoor-v0", "--policy", "oraclee"], "unknown policy 'oraclee', did you mean 'oracle'?"),
        (["eval", "keydoor-v0", "--polcy", "oracle"], "Did you mean --policy?"),
        (["eval", "keydoor-v0", "--tasks", "0"], "--tasks must be at least 1, not 0"),
        (["eval", "keydoor-v0", "--tasks", "9999999"], "held"),
        (["eval", "keydoor-v0", "--tasks", "many"], "many"),
        (["eval", "keydoor-v0", "--model", "x"], "the policy 'random' takes no --model"),
        (["eval", "keydoor-v0", "-o", "rooms"], "--option takes name=value, not 'rooms'"),
        (["eval", "keydoor-v0", "-o", "romms=3"], "did you mean 'rooms'?"),
        (["play", "keydoor-v0", "-o", "romms=3"], "did you mean 'rooms'?"),
        (["eval", "keydoor-v0", "-p", "epsilom=1", "--policy", "noisy-oracle"], "did you mean 'epsilon'?"),
        (["eval", "keydoor-v0", "--attempts", "2", "--temperature", "0"], "the same attempt again"),
        (["eval", "keydoor-v0", "--dialect", "plainn"], "did you mean 'plain'?"),
        (["train", "no/such/recipe.toml"], "no/such/recipe.toml: no such file"),
        (["train", "--trainer.lr", "1e-3", "recipe.toml"], "the recipe comes before"),
        (["report", "no/such/run"], "unknown run 'no/such/run'"),
        (["resume", "no/such/run"], "unknown run 'no/such/run'"),
        (["play", "keydoor-v0", "--task", "-1"], "counted from 0"),
        (["list", "env"], "envs"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert said.lower() in shown.err.lower()


def test_recipe_mistakes_name_the_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    for words, said in [
        (["--trainer.lrr", "1e-3"], "trainer.lrr: unknown key, did you mean 'lr'?"),
        (["--credit.0.use", "gropo"], "did you mean 'grpo'?"),
        (["--env.id", "keydor-v0"], "did you mean 'keydoor-v0'?"),
        (["--trainer.lr", "fast"], "trainer.lr"),
    ]:
        if words[0].startswith("--credit"):
            recipe.write_text(TINY + '[[credit]]\nuse = "grpo"\n')
        assert main(["train", str(recipe), *words, "--root", str(tmp_path / "runs")]) == 2
        shown = capsys.readouterr().err
        assert said in shown
        assert shown.count("\n") == 1
    assert not (tmp_path / "runs").exists(), "nothing is made for a recipe that is wrong"


def test_list_names_what_is_registered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for kind in ("envs", "policies", "credit"):
        assert [entry["name"] for entry in found[kind]] == registry.names(kind)
        assert all(entry["summary"] for entry in found[kind])
    assert main(["list", "credit"]) == 0
    assert "anchor-state" in capsys.readouterr().out


def test_listing_does_not_import_policies() -> None:
    code = "import sys; from agentgym.cli import main; main(['list', 'policies']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_doctor_says_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"python", "processor", "memory", "disk", "extra train", "extra textworld", "embedded model"} <= set(rows)
    for row in rows.values():
        assert row["state"] in ("ok", "missing", "note")
        assert row["state"] != "missing" or row["fix"]


def test_eval_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "keydoor-v0", "--policy", "oracle", "--tasks", "5", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    found = json.loads(shown.out)
    assert (found["success"], found["attempts"], found["infra_errors"]) == (1.0, 5, 0)
    assert found["interval"][1] == 1.0
    assert main(["eval", "keydoor-v0", "--policy", "empty", "--tasks", "5", "--attempts", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["success"], found["attempts"], found["pass_at"]) == (0.0, 10, {"1": 0.0, "2": 0.0})


def test_eval_shows_progress_and_saves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "noisy"
    words = ["eval", "keydoor-v0", "--policy", "noisy-oracle", "-p", "epsilon=0.5", "-o", "rooms=4", "--tasks", "4"]
    assert main([*words, "--attempts", "3", "--save", str(folder)]) == 0
    shown = capsys.readouterr()
    assert "pass@2" in shown.out
    assert "95 % interval" in shown.out
    assert "12/12" in shown.err
    assert "success" in shown.err
    entries = list(RunFolder(folder).trajectories)
    assert len(entries) == 12
    assert {entry.phase for entry in entries} == {"eval:noisy-oracle"}
    assert main(["report", str(folder)]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert read_data(page.read_text("utf-8"))["runs"]["runs"][0]["total"] == 12
    assert main([*words, "--save", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_dry_runs_make_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    words = ["train", str(recipe), "--dry-run", "--root", str(tmp_path / "runs")]
    assert main([*words, "--json", "--trainer.group", "5"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["stages"] == ["eval:untrained", "warmstart:0", "eval:warm", "train:0", "eval:trained"]
    assert (plan["training_episodes_at_most"], plan["evaluation_episodes"]) == (10, 12)
    assert plan["turns_at_most"] == (10 + 12) * 4
    assert plan["minutes_last_time"] is None
    assert main(words) == 0
    assert "not known before a first run" in capsys.readouterr().out
    assert main(["eval", "keydoor-v0", "--tasks", "3", "--attempts", "2", "--turns", "7", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["turns_at_most"] == 42
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_can_be_planned(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(recipe), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"]


def oracle_actions() -> list[str]:
    world = registry.make("keydoor-v0")
    world.reset(seed=0, options={"task": registry.tasks("keydoor-v0", "train")[0]})
    actions: list[str] = []
    while (action := world.oracle()) is not None:
        actions.append(action)
        step = world.step(action)
        if step.terminated or step.truncated:
            return actions
    raise AssertionError("the oracle gave up")


def test_a_person_plays_to_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    done = command("play", "keydoor-v0", "--save", str(folder), input="\n".join(["dance", *oracle_actions()]) + "\n")
    assert done.returncode == 0, done.stderr
    assert "actions: " in done.stdout
    assert "success: score 1" in done.stdout
    (entry,) = RunFolder(folder).trajectories
    assert entry.trajectory.success
    assert [turn.action for turn in entry.trajectory.turns] == ["dance", *oracle_actions()]


def test_end_of_input_ends_the_game() -> None:
    done = command("play", "keydoor-v0", input="left\n")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "given up: score 0, 1 turns" in done.stdout


def test_watching_the_oracle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "keydoor-v0", "--policy", "oracle"]) == 0
    shown = capsys.readouterr().out
    for action in oracle_actions():
        assert f"> {action}" in shown
    assert "success: score 1" in shown


def test_train_report_and_resume(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    root = tmp_path / "runs"
    assert main(["train", str(recipe), "--root", str(root), "--trainer.lr", "1e-3"]) == 0
    shown = capfd.readouterr()
    assert f"report: {root / 'tiny' / 'report.html'}" in shown.out
    for name in ("untrained", "warm", "trained"):
        assert name in shown.out
    data = read_data((root / "tiny" / "report.html").read_text("utf-8"))
    assert {row["phase"] for row in data["rows"]["0"]} == {
        "eval:untrained",
        "eval:warm",
        "eval:trained",
        "demo",
        "train",
    }
    (about,) = data["runs"]["runs"]
    assert about["total"] == 4 * 3 + 4 + 4
    assert "lr = 0.001" in about["config"]
    assert main(["train", str(recipe), "--root", str(root), "--dry-run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["minutes_last_time"] is not None
    assert main(["resume", str(root / "tiny"), "--json"]) == 0
    again = json.loads(capfd.readouterr().out)
    assert list(again["evals"]) == ["eval:untrained", "eval:warm", "eval:trained"]
    assert main(["train", str(recipe), "--root", str(root), "--name", "tiny"]) == 2
    assert "agentgym resume" in capfd.readouterr().err


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    for extra in ([], ["--dry-run"]):
        assert main(["train", str(recipe), "--root", str(tmp_path / "r"), "--eval.tasks", "100000", *extra]) == 2
        assert "held-out tasks; there are" in capsys.readouterr().err
    assert list((tmp_path / "r").glob("*")) == []


def test_ctrl_c_says_how_to_resume(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY.replace("iterations = 1", "iterations = 500"))
    words = [sys.executable, "-m", "agentgym.cli", "train", str(recipe), "--root", str(tmp_path)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    log = tmp_path / "tiny" / "metrics.jsonl"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and child.poll() is None and not (log.exists() and "train:1" in log.read_text()):
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert errors.rstrip().endswith(f"stopped; continue with: agentgym resume {tmp_path / 'tiny'}")
    assert "Traceback" not in errors
    assert list((tmp_path / "tiny" / "checkpoints").glob("step-*"))


def test_ctrl_c_in_eval_keeps_what_there_is(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "agentgym.cli", "eval", "keydoor-v0", "--attempts", "20000", "--json"]
    words += ["--save", str(tmp_path / "random")]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    log = tmp_path / "random" / "trajectories.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None and not (log.exists() and log.stat().st_size > 1e5):
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    found = json.loads(out)
    assert found["stopped"] is True
    assert "stopped after" in errors
    assert len(list(RunFolder(tmp_path / "random").trajectories)) == found["attempts"] > 10


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [
        ("torch", ["eval", "keydoor-v0", "--policy", "transformers"], "train"),
        ("torch", ["train", str(RECIPES / "keydoor.toml")], "train"),
        ("textworld", ["eval", "textworld-coin-v0"], "textworld"),
        ("textworld", ["play", "textworld-coin-v0"], "textworld"),
        ("textworld", ["check", "textworld-coin-v0"], "textworld"),
    ],
)
def test_a_missing_extra_names_the_command(module: str, words: list[str], extra: str, tmp_path: Path) -> None:
    # As if it were not installed, in this process and in the environments' own.
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None\n")
    here = tmp_path / "here"
    here.mkdir()
    done = command(*words, cwd=here, env={**os.environ, "PYTHONPATH": str(shadow)})
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"pip install 'agentgym-suite[{extra}]'" in done.stderr
    assert list(here.iterdir()) == []


def test_bars_move_on_a_terminal() -> None:
    main_end, child_end = pty.openpty()
    words = [
        sys.executable,
        "-m",
        "agentgym.cli",
        "eval",
        "keydoor-v0",
        "--policy",
        "noisy-oracle",
        "--attempts",
        "200",
    ]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "140"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=child_end, env=environment) as child:
        os.close(child_end)
        seen = b""
        while True:
            ready, _, _ = select.select([main_end], [], [], 60)
            try:
                piece = os.read(main_end, 65536) if ready else b""
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
        assert child.wait(60) == 0
    os.close(main_end)
    counts = {int(count) for count in re.findall(rb"(\d+)/\d{3,}", seen)}
    assert len(counts) > 2, "the bar did not move"
    assert b"success" in seen
    assert b"reward" in seen


def test_numbers_beside_a_bar() -> None:
    assert numbers({"success": 0.314, "reward": 0.25, "loss": 1.23456}) == "success 31%  reward 0.25  loss 1.23"


def test_text_from_strangers_is_shown_and_not_obeyed() -> None:
    hostile = "a\x1b]52;c;aGk=\x07b\u202ec\ud800\x00\x9b2J\td\ne"
    shown = safe(hostile)
    assert shown == "a␛]52;c;aGk=␇b\ufffdc\ufffd␀\ufffd2J\td\ne"
    shown.encode("utf-8")


def test_a_closed_pipe_is_no_crash() -> None:
    shell = f"{sys.executable} -m agentgym.cli list --json | head -n 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_check_reports_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "keydoor-v0", "--quick", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert len(found["findings"]) >= 8
    assert all(finding["ok"] for finding in found["findings"])


BROKEN = '''
import random
from agentgym import EnvSpec, Observation, Step, Task, TaskSet, TextEnv
from agentgym.env import Ability

class Drifts(TextEnv):
    """Claims to be deterministic, and is not."""

    def begin(self, task, rng):
        return Observation(f"start {random.random()}")

    def act(self, action):
        return Step.failure(Observation("over"))

def tasks(split):
    return TaskSet.of(split, [Task(id=f"{split}-1", split=split)])

SPEC = EnvSpec(
    id="drifts-v0", entry=f"{__file__}:Drifts", tasks=f"{__file__}:tasks",
    abilities=frozenset({Ability.DETERMINISTIC}),
)
'''


def test_check_finds_an_environment_that_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "drifts.py").write_text(BROKEN)
    assert main(["check", f"{tmp_path / 'drifts.py'}:SPEC", "--quick"]) == 1
    assert "FAILED" in capsys.readouterr().out
