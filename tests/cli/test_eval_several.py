"""Several policies at once, what a dry run foresees, and what bad input says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_cases import Handler, Server

from agentgym import registry
from agentgym.cli import main
from agentgym.cli.contestants import model_labels, unique
from agentgym.evaluate import evaluate
from agentgym.policy import Sampling
from agentgym.store import RunFolder

THREE = [
    "--policy",
    "oracle",
    "--policy",
    "noisy-oracle",
    "--policy",
    "noisy-oracle",
    "-p",
    "noisy-oracle-2.epsilon=0.9",
]


def test_several_play_the_same_attempts_and_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save = tmp_path / "run"
    assert main(["eval", "keydoor-v0", *THREE, "--attempts", "4", "--save", str(save), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["contestants"]) == ["oracle", "noisy-oracle", "noisy-oracle-2"]
    success = {label: of["success"] for label, of in found["contestants"].items()}
    assert success["oracle"] == 1.0 >= success["noisy-oracle"] > success["noisy-oracle-2"]
    apart = found["differences"]["noisy-oracle-2"]
    assert apart["than"] == "oracle"
    assert apart["success"]["value"] == pytest.approx(success["noisy-oracle-2"] - 1.0)
    assert apart["success"]["high"] < 0
    assert apart["success"]["p"] < 0.05
    seeds: dict[str, set[tuple[str, int]]] = {}
    for entry in RunFolder(save).trajectories:
        seeds.setdefault(entry.phase, set()).add((entry.trajectory.id, entry.trajectory.seed))
    assert set(seeds) == {"eval:oracle", "eval:noisy-oracle", "eval:noisy-oracle-2"}
    assert len({frozenset(played) for played in seeds.values()}) == 1, "the same tasks, the same seeds"
    assert list(RunFolder(save).evaluations()) == list(seeds)

    # Beside others, each plays what it plays alone.
    player = registry.load("policies", "noisy-oracle")(epsilon=0.9)
    alone = evaluate(
        "keydoor-v0",
        player,
        registry.tasks("keydoor-v0", "heldout")[:9],
        attempts=4,
        sampling=Sampling(temperature=1.0, max_tokens=64),
    )
    assert alone.success == success["noisy-oracle-2"]

    assert main(["eval", "keydoor-v0", *THREE, "--tasks", "4"]) == 0
    shown = capsys.readouterr()
    assert "noisy-oracle-2 less oracle, task by task" in shown.out
    assert "tasks that flipped" in shown.out
    assert "12/12" in shown.err


def test_several_models_run_at_the_same_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each waits until the other has asked as well: played one after the other, none would ever answer."""
    policy = tmp_path / "meet.py"
    policy.write_text(
        "import asyncio\n"
        "from agentgym_policies.scripted import Random\n"
        "SEEN = set()\n"
        "class Meet(Random):\n"
        "    def __init__(self, model, dialect='plain'):\n"
        "        super().__init__(dialect)\n"
        "        self.model = model\n"
        "    async def complete(self, requests):\n"
        "        SEEN.add(self.model)\n"
        "        while len(SEEN) < 2:\n"
        "            await asyncio.sleep(0.001)\n"
        "        return await super().complete(requests)\n"
    )
    models = ["--model", "models/one/final", "--model", "models/two/final"]
    assert main(["eval", "keydoor-v0", "--policy", f"{policy}:Meet", *models, "--tasks", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {label: of["model"] for label, of in found["contestants"].items()} == {
        "one": "models/one/final",
        "two": "models/two/final",
    }
    assert found["differences"]["two"]["success"]["value"] == 0.0, "the same policy with the same seeds"


def test_labels() -> None:
    assert model_labels(["a/b/c", "a/x/c"]) == ["b", "x"]
    assert model_labels(["gpt-9", "org/other:free"]) == ["gpt-9", "org-other-free"]
    assert unique(model_labels(["same", "same"])) == ["same", "same-2"]


def test_a_dry_run_foresees_what_happens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.toml").write_text("[models.noisy-oracle]\ninput = 1.0\noutput = 2.0\n")
    words = ["eval", "sokoban-v0", "--policy", "noisy-oracle", "--tasks", "30", "--max-tokens", "8", "--json"]
    words += ["--prices", "prices.toml", "--save", "runs/first"]

    def plan(*more: str) -> dict[str, Any]:
        assert main([*words, "--dry-run", *more]) == 0
        return json.loads(capsys.readouterr().out)["estimates"]["noisy-oracle"]

    spec, sample = plan(), plan("--sample", "20")
    assert "limits and the texts" in spec["basis"]
    assert sample["basis"] == "a sample of 20 attempts"
    assert list(tmp_path.iterdir()) == [tmp_path / "prices.toml"], "nothing is written"
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    after = plan()
    assert after["basis"].endswith("runs/first")
    true = {"calls": found["usage"]["calls"], "tokens_read": found["usage"]["input"]}
    true |= {"tokens_written": found["usage"]["output"], "cost": found["cost"]}
    for name, value in true.items():
        assert spec[name]["low"] <= value <= spec[name]["high"], f"{name} is not within the bounds"
        assert sample[name]["low"] <= value <= sample[name]["high"], f"{name} is not within the sample's interval"
        assert after[name]["middle"] == pytest.approx(value, rel=1e-6), "measured on the very same attempts"
        assert sample[name]["high"] - sample[name]["low"] < spec[name]["high"] - spec[name]["low"]
    assert spec["seconds"] is None
    assert sample["seconds"]["low"] <= sample["seconds"]["middle"] <= sample["seconds"]["high"]
    assert main([*words[:-4], "--max-cost", "1", "--prices", "prices.toml", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["limits"] == {"dollars": 1.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "oracle", "--policy", "oraclee"], "unknown policy 'oraclee', did you mean 'oracle'?"),
        (["--policy", "oracle", "--policy", "random", "--model", "m"], "the policy 'oracle' takes no --model"),
        (["--policy", "openai", "--policy", "vllm", "--model", "a", "--model", "b"], "several models for one policy"),
        (["--policy", "oracle", "--policy", "noisy-oracle", "-p", "epsilom=1"], "did you mean 'epsilon'?"),
        (["--policy", "oracle", "--policy", "noisy-oracle", "-p", "oracle.epsilon=1"], "option of the policy oracle"),
        (["--max-cost", "3"], "--max-cost needs --prices"),
        (["--max-cost", "0", "--prices", "p.toml"], "a limit on all cost must be above 0"),
        (["--total-tokens", "0"], "a limit on all tokens must be above 0"),
        (["--tokens", "-1"], "limit of tokens must be above 0"),
        (["--attempts", "0"], "--attempts must be at least 1, not 0"),
        (["--sample", "4"], "--dry-run"),
        (["--decisive", "0"], "--decisive must be at least 1"),
        (["--retry-errors", "--save", "x"], "--retry-errors goes with --resume"),
        (["--prices", "none.toml"], "none.toml: no such file"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "keydoor-v0", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_a_price_table_without_the_model_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "prices.toml"
    table.write_text('[models."large-2"]\ninput = 1.0\noutput = 2.0\n')
    words = ["eval", "keydoor-v0", "--policy", "openai", "--model", "large-1", "--prices", str(table)]
    assert main(words) == 2
    assert "'large-1', did you mean 'large-2'?" in capsys.readouterr().err


class Same(Handler):
    """Says the server's `answer` to each request."""

    def do_POST(self) -> None:
        self.server.asked.append(self.body())
        self.send(200, self.server.answer)


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any
    with Server(Same) as made:
        made.words = ["eval", "keydoor-v0", "--policy", "openai", "--model", "m", "--json", "--tasks", "2"]
        made.words += ["-p", f"base_url={made.url}/v1"]
        yield made


def test_a_model_that_answers_nothing_is_told_as_such(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    choice = {"message": {"role": "assistant", "content": ""}, "finish_reason": "length"}
    server.answer = {"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 0}}
    assert main(server.words) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["faults"] == {"empty": 24}
    assert (found["fault_rate"], found["success"]) == (1.0, 0.0)
    assert "openai answered nothing in any turn" in shown.err


def test_what_a_server_counts_is_what_is_paid_for(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = {"message": {"role": "assistant", "content": "left"}, "finish_reason": "stop", "token_ids": [4, 5, 6]}
    usage = {"prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 600}}
    server.answer = {"choices": [choice], "usage": usage}
    table = tmp_path / "prices.toml"
    table.write_text("[models.m]\ninput = 2.0\ncached = 0.5\noutput = 10.0\n")
    assert main([*server.words, "--prices", str(table)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["usage"] == {"calls": 24, "input": 24_000, "cached": 14_400, "output": 72, "estimated": 0}
    assert len(server.asked) == 24
    assert found["cost"] == pytest.approx((9_600 * 2.0 + 14_400 * 0.5 + 72 * 10.0) / 1e6)
    assert found["per_turn"]["cached"]["value"] == pytest.approx(0.6)
    assert found["latency"]["policy"]["median"] > 0
    # A limit within the first attempt: the second never begins, and its 12 calls are never made.
    limited = [*server.words, "--prices", str(table), "--max-cost", "0.001", "--slots", "1"]
    assert main(limited) == 3
    assert json.loads(capsys.readouterr().out)["attempts"] == 1
    assert len(server.asked) == 36


def test_the_decisive_turn_goes_with_an_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "keydoor-v0", "--policy", "noisy-oracle", "--tasks", "2", "--json"]
    assert main([*words, "--decisive", "2", "--save", str(tmp_path / "run")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["attempts"] == 2
    assert len(found["decisive"]["trajectories"]) == 2
    assert (tmp_path / "run" / "decisive.jsonl").exists()
    assert main(["eval", "mcp-v0", "--policy", "oracle", "--decisive", "2"]) == 2
    assert "no turn can be branched" in capsys.readouterr().err


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; from agentgym.cli import main; main(['eval', 'keydoor-v0', '--dry-run', '--json']); "
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.endswith("False\n")
