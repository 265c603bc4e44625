"""An evaluation that was cut goes on: after SIGKILL, a limit, or a torn log it comes to what an uncut one comes to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agentgym.cli import main
from agentgym.records import to_json
from agentgym.store import RunFolder

KILLS = int(os.environ.get("AGENTGYM_EVAL_KILLS", "2"))
"""How often the evaluation is killed before it may end; more with the environment variable."""
POLICY = """
import asyncio
from agentgym.types import Completion
from agentgym_policies.scripted import NoisyOracle

class Slow(NoisyOracle):
    def __init__(self, model="small", delay=0.0, dialect="plain"):
        super().__init__(0.5, dialect)
        self.delay = delay

    async def complete(self, requests):
        await asyncio.sleep(self.delay)
        return [Completion(c.text, prompt_tokens=100, written=5) for c in await super().complete(requests)]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "slow.py").write_text(POLICY)
    (tmp_path / "prices.toml").write_text("[models.small]\ninput = 1.0\noutput = 2.0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(save: str, *more: str, delay: float = 0.0) -> list[str]:
    policy = ["--policy", "./slow.py:Slow", "--policy", "random", "-p", f"delay={delay}"]
    return ["eval", "keydoor-v0", *policy, "--attempts", "6", "--slots", "4", "--save", save, "--json", *more]


def numbers(found: dict[str, Any]) -> dict[str, Any]:
    """What an evaluation came to, without what the clock says."""
    kept = {k: v for k, v in found.items() if k != "contestants"}
    for label, of in found["contestants"].items():
        kept[label] = {k: v for k, v in of.items() if k not in ("seconds", "latency")}
    return kept


def log(folder: Path) -> dict[tuple[str, str], Any]:
    """The trajectories of a run without their times."""
    found: dict[tuple[str, str], Any] = {}
    for entry in RunFolder(folder).trajectories:
        record = to_json(entry.trajectory)
        record.pop("seconds")
        for turn in record["turns"]:
            turn["env_seconds"] = turn["completion"]["seconds"] = 0.0
        key = (entry.phase, entry.trajectory.id)
        assert key not in found, "an attempt that was in the log was played again"
        found[key] = record
    return found


def test_a_killed_evaluation_comes_to_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("whole", delay=0.004)) == 0
    whole = json.loads(capsys.readouterr().out)
    path = here / "killed" / "trajectories.jsonl"
    for kill in range(KILLS):
        before = path.stat().st_size if path.exists() else 0
        more = ["--resume"] if kill else []
        command = [sys.executable, "-m", "agentgym.cli", *words("killed", *more, delay=0.004)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            if path.exists() and path.stat().st_size > before + 30_000 * (kill + 1) // KILLS:
                break
            time.sleep(0.002)
        assert child.poll() is None, child.communicate()[1]
        child.send_signal(signal.SIGKILL)
        child.communicate()
    there = len(list(RunFolder(here / "killed").trajectories))
    assert 0 < there < 108
    with path.open("ab") as file:  # What a kill within a write leaves behind.
        file.write(b'{"phase":"eval:random","id":"keyd')
    assert main(["resume", "killed", "--json"]) == 0
    said = capsys.readouterr()
    assert f"{there} of 108 attempts are there already" in said.err
    assert "damaged or half written" in said.err
    assert numbers(json.loads(said.out)) == numbers(whole)
    assert log(here / "killed") == log(here / "whole")
    assert RunFolder(here / "killed").evaluations() == RunFolder(here / "whole").evaluations()


def test_a_limit_reached_has_its_exit_code_and_can_be_raised(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limited = words("limited", "--prices", "prices.toml", "--max-cost", "0.003")
    assert main(limited) == 3
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["limit"].endswith("of at most $0.003 are spent")
    assert "limit reached" in said.err
    slow = found["contestants"]["Slow"]
    assert slow["cost"] == pytest.approx(slow["usage"]["calls"] * (100 * 1.0 + 5 * 2.0) / 1e6)
    assert found["contestants"]["random"]["cost"] is None
    assert main(["resume", "limited", "--json"]) == 3, "what was spent counts, and nothing is played"
    assert log(here / "limited").keys() == {(p, t) for p, t in log(here / "limited")}
    capsys.readouterr()
    assert main(words("limited", "--prices", "prices.toml", "--max-cost", "1", "--resume")) == 0
    done = json.loads(capsys.readouterr().out)
    assert main(words("whole")) == 0
    whole = json.loads(capsys.readouterr().out)
    for label in ("Slow", "random"):
        assert done["contestants"][label]["success"] == whole["contestants"][label]["success"]
    assert log(here / "limited") == log(here / "whole")


def test_another_plan_is_refused_with_what_differs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("run")) == 0
    before = (here / "run" / "trajectories.jsonl").read_bytes()
    capsys.readouterr()
    for more, said in (
        (["--tasks", "5"], "tasks 9 from keydoor-4-3-2-0 there, 5 from keydoor-4-3-2-0 here"),
        (["--seed", "3"], "seed 0 there, 3 here"),
        (["--turns", "5", "--system", "Hurry."], "turns 12 there, 5 here; system  there, Hurry. here"),
        (["-o", "rooms=4"], "options {} there, {'rooms': 4} here"),
        (["-p", "Slow.delay=1"], "entrants"),
    ):
        assert main(words("run", "--resume", *more)) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert (here / "run" / "trajectories.jsonl").read_bytes() == before


def test_folders_that_cannot_be_resumed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*command: str) -> str:
        capsys.readouterr()
        assert main(list(command)) == (1 if "other" in command or "half" in command else 2)
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        return error

    assert "unknown run 'none'" in refused(*words("none", "--resume"))
    assert main(words("run")) == 0
    assert "exists already" in refused(*words("run"))
    assert "--resume needs --save" in refused("eval", "keydoor-v0", "--resume")
    (here / "run" / "evaluation.json").rename(here / "kept.json")
    assert "no evaluation.json, so it is no evaluation" in refused(*words("run", "--resume"))
    for name, text in (("half", '{"format": 1, "plan": {"env"'), ("other", '{"format": 9}')):
        (here / "run" / "evaluation.json").write_text(text)
        (here / "run").rename(here / name)
        error = refused("resume", name)
        assert ("cannot be read" if name == "half" else "has format 9; this agentgym reads format 1") in error
        (here / name).rename(here / "run")
    meta = json.loads((here / "run" / "run.json").read_text())
    (here / "run" / "run.json").write_text(json.dumps({**meta, "format": 99}))
    (here / "kept.json").rename(here / "run" / "evaluation.json")
    (here / "run").rename(here / "other")
    assert "run format 99" in refused(*words("other", "--resume"))
    assert "run format 99" in refused("compare", "other", "other")
    assert "run format 99" in refused("rescore", "other")


BREAKS = """
from dataclasses import replace
from pathlib import Path
from agentgym import registry

def tasks(split, **options):
    return registry.tasks("keydoor-v0", split, **options)

SPEC = replace(registry.spec("keydoor-v0"), id="./breaks.py:SPEC", entry="./breaks.py:Breaks")
Base = registry.resolve(registry.spec("keydoor-v0").entry)

class Breaks(Base):
    def act(self, action):
        if not Path("mended").exists() and self.task.id.endswith("-0"):
            raise OSError("the world is out of order")
        return super().act(action)
"""


def test_attempts_that_met_a_broken_world_can_be_played_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "breaks.py").write_text(BREAKS)
    command = ["eval", "./breaks.py:SPEC", "--policy", "oracle", "--save", "run", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["infra_errors"] > 0
    (here / "mended").touch()
    assert main([*command, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["infra_errors"] == first["infra_errors"], "not played again unasked"
    assert main([*command, "--resume", "--retry-errors"]) == 0
    last = json.loads(capsys.readouterr().out)
    assert (last["infra_errors"], last["success"], last["attempts"]) == (0, 1.0, 9)


def test_a_password_in_an_option_is_kept_nowhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    canary = "canary-4711-password"
    (here / "keyed.py").write_text(
        "from agentgym_policies.scripted import Oracle\n"
        "class Keyed(Oracle):\n"
        "    def __init__(self, base_url='', dialect='plain'):\n"
        "        super().__init__(dialect)\n"
    )
    command = ["eval", "keydoor-v0", "--policy", "./keyed.py:Keyed", "--tasks", "2", "--save", "run"]
    command += ["-p", f"base_url=http://ann:{canary}@127.0.0.1/v1"]
    assert main(command) == 0
    assert not any(canary.encode() in path.read_bytes() for path in (here / "run").rglob("*") if path.is_file())
    assert main([*command, "--resume"]) == 0, "the same plan, whatever was kept of it"
    assert main(["resume", "run"]) == 2
    shown = capsys.readouterr()
    assert "its plan was kept without a key" in shown.err
    assert canary not in shown.out + shown.err
