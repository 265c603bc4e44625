"""The benchmark against TRL compares like with like: the same games, token by token, on both sides."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agentgym import models, registry
from agentgym.ledger import ChatTokenizer
from agentgym.limits import Limits
from agentgym.models.scratch import make
from agentgym.policy import Request
from agentgym.rollout import attempts, collect
from agentgym_policies.scripted import Scripted

MISSING = importlib.util.find_spec("trl") is None
needs_trl = pytest.mark.skipif(MISSING, reason="TRL is not installed: pip install 'agentgym-suite[trl]'")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WORDS = ("left", "right", "take", "open", "dance")
ROOMS, TURNS, TASKS = 3, 9, 12


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("versus_sides")


def word(prompt: Sequence[int]) -> str:
    """What to say, of the exact tokens so far: one that differs, and play goes another way."""
    return WORDS[zlib.crc32(str(list(prompt)).encode()) % len(WORDS)]


class Checksum(Scripted):
    """Says `word`."""

    def choose(self, request: Request) -> str:
        return word(request.tokens or ())


@needs_trl
@pytest.mark.filterwarnings("ignore:You are using 'environment_factory'")
def test_trl_plays_our_games_token_by_token(sides: Any, tmp_path: Path) -> None:
    model, tokenizer = make("scratch:tiny?hidden=32&layers=1", 0)
    tokenizer.chat_template = sides.TEMPLATE
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    tasks = list(registry.tasks("keydoor-v0", "train", rooms=ROOMS))[:TASKS]
    job = sides.Job(
        out="",
        model=str(tmp_path / "model"),
        steps=1,
        tasks=TASKS,
        group=2,
        batch=24,
        rooms=ROOMS,
        turns=TURNS,
        order=(tuple(task.id for task in tasks),),
    )
    chat = ChatTokenizer(tokenizer)
    played = collect(
        attempts(tasks, 1, seed=0), env="keydoor-v0", policy=Checksum(chat=chat), limits=Limits(turns=TURNS)
    )

    trainer, kept = sides.trl_trainer(job, tmp_path), []
    generate = trainer._generate

    def keep(prompts: Any) -> Any:
        kept.append(generate(prompts))
        return kept[-1]

    def say(prompts: Any, *_: Any, **__: Any) -> Any:
        return [[*chat.encode(word(prompt)), tokenizer.eos_token_id] for prompt in prompts], None

    trainer._generate, trainer._generate_single_turn = keep, say
    trainer.model.train()
    trainer._generate_and_score_completions([row for row in trainer.train_dataset for _ in range(job.group)])
    prompts, completions, masks = kept[0][:3]
    scores = [environment.get_reward() for environment in trainer.environments]
    assert 0 < sum(scores) < len(scores)  # Some games end early, some at their last turn.
    for i, trajectory in enumerate(played):
        (sample,) = trajectory.samples
        for row in (2 * i, 2 * i + 1):
            assert prompts[row] + completions[row] == list(sample.tokens)
            assert [0] * len(prompts[row]) + masks[row] == [int(turn >= 0) for turn in sample.turn]
            assert scores[row] == trajectory.score


def test_the_template_is_chatml_to_us(sides: Any) -> None:
    """The benchmark's model reads as `scratch:tiny` does, so that nothing else changes with the template."""
    plain, changed = (models.load("scratch:tiny?hidden=32&layers=1").chat.tokenizer for _ in range(2))
    changed.chat_template = sides.TEMPLATE
    roles = ("system", "user", "assistant", "user")
    assert ChatTokenizer(plain).glue(roles) == ChatTokenizer(changed).glue(roles)


@needs_trl
@pytest.mark.timeout(900)  # Twenty seconds of one core, most of them imports; a busy machine takes longer.
def test_the_small_benchmark_runs_and_says_who_did_what(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "versus_trl.py"), "--small", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert all(rows.count(name) == 3 for name in ("ours", "trl"))
    found = {name: json.loads((tmp_path / f"{name}-0.json").read_text()) for name in ("ours", "trl")}
    assert [s["tasks"] for s in found["ours"]["steps"]] == [s["tasks"] for s in found["trl"]["steps"]]
    for one in found.values():
        assert 0 < one["loaded"] <= one["peak"]
        for step in one["steps"]:
            assert 0 < step["generate"] <= step["sampling"]
            assert step["sampling"] + step["learning"] <= step["seconds"]
            assert 0 < step["answered"] < step["tokens"]
