"""Scorers that ask the model or remember, in the real loop: a run that was cut has the bits of one that was not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tiny_recipe import start

from agentgym.errors import CreditError
from agentgym.progress import Silent
from agentgym.recipe import load_recipe
from agentgym.session import Session
from agentgym.store import RunFolder
from agentgym.train import stages, train

ENVIRONMENT = '''
from agentgym.env import Ability, EnvSpec, TextEnv
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task

WORDS = ["red", "blue", "green"]


class Ask(TextEnv):
    """Says the answer in the first observation, and ends after three actions; odd bytes at the end are a success."""

    def begin(self, task, rng):
        self.left, self.word = 3, task.data["answer"]
        return Observation("The word is " + self.word)

    def act(self, action):
        self.left -= 1
        odd, seen = len(action.encode()) % 2 == 1, Observation("Go on.")
        tests = {"odd": odd, "short": len(action) < 4}
        if self.left:
            return Step.on(seen, 0.25 * odd, tests=tests)
        return Step.success(seen, tests=tests) if odd else Step.failure(seen, tests=tests)


def tasks(split="train", **options):
    first = 0 if split == "train" else 50
    return TaskSet(split, 8, lambda i: Task(f"{split}-{i}", "Say it.", {"answer": WORDS[i % 3]}, split, first + i))


SPEC = EnvSpec("ask-v0", f"{__name__}:Ask", f"{__name__}:tasks", abilities=frozenset({Ability.ANSWER}), max_turns=3)
'''

RECIPE = f"""
{start()}
[limits]
turns = 4
[sampling]
max_tokens = 5
[warmstart]
tasks = 6
epochs = 2
lr = 3e-3
batch = 3
[trainer]
iterations = 2
tasks = 3
group = 4
lr = 3e-3
keep_flat = true
[eval]
tasks = 0
"""

SETUPS = {
    "answer": ('use = "answer-logprob"', 'use = "information-gain"'),
    "frozen answer": ('use = "answer-logprob"\nweights = "initial"', 'use = "log-ratio-td"\n[[credit]]\nuse = "rloo"'),
    "progress": ('use = "progress-estimator"', 'use = "progress"\n[[credit]]\nuse = "discounted-return"'),
    "critic": ('use = "turn-critic"\nreplay = 20', 'use = "gae"'),
    "preference": ('use = "implicit-reward"\nlr = 1e-2', 'use = "implicit-step"'),
    "outcome": ('use = "implicit-reward"\nobjective = "outcome"\nlr = 1e-2', 'use = "implicit-process"'),
    "entropy": ('use = "turn-entropy"', 'use = "grpo"\n[[credit]]\nuse = "entropy-modulated"'),
    "sampled entropy": (
        'use = "turn-entropy"\nsource = "sampler"',
        'use = "grpo"\n[[credit]]\nuse = "entropy-modulated"',
    ),
    "visits": ('use = "visits"', 'use = "novelty"\n[[credit]]\nuse = "discounted-return"'),
    "tests": ('use = "test-difficulty"', 'use = "partial-success"\n[[credit]]\nuse = "grpo"'),
    "schedule": (
        'use = "schedule"',
        'use = "scheduled-mix"\ncolumn = "reward"\nsteps = 4\n[[credit]]\nuse = "grpo"',
    ),
}

LEARNS = {
    **dict.fromkeys(("answer", "frozen answer"), ("probes", "before")),
    **dict.fromkeys(("progress", "critic"), ("heldout_error", "target_variance")),
    "preference": ("pairs", "grad_norm"),
    "outcome": ("attempts", "grad_norm"),
    **dict.fromkeys(("entropy", "sampled entropy"), ("mean",)),
    "visits": ("states",),
    "tests": ("results",),
    "schedule": ("iteration",),
}


def recipe(tmp_path: Path, setup: str, keydoor: bool = False):
    scorer, credit = SETUPS[setup]
    path = tmp_path / "tiny.toml"
    text = RECIPE
    if not keydoor:  # Where an untrained model fails always, a head or a preference has nothing to learn.
        (tmp_path / "ask.py").write_text(ENVIRONMENT)
        text = text.replace('"keydoor-v0"\noptions = { rooms = 4 }', f'"{tmp_path}/ask.py:SPEC"')
        text = text.replace("[warmstart]\ntasks = 6", "[warmstart]\ntasks = 0")
    path.write_text(f"{text}\n[[scorers]]\n{scorer}\n[[credit]]\n{credit}\n")
    return load_recipe(path)


def metrics(folder: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time")} for line in lines]


@pytest.mark.parametrize("setup", SETUPS)
def test_a_resumed_run_has_the_same_bits(setup: str, tmp_path: Path):
    wanted = recipe(tmp_path, setup, keydoor="entropy" in setup)
    with RunFolder.create("whole", root=tmp_path) as run:
        train(wanted, run)
        whole = run.path
    name, learns = wanted.scorers[0]["use"], LEARNS[setup]
    trained = [line for line in metrics(whole) if str(line["stage"]).startswith("train:")]
    assert len(trained) == 2
    for line in trained:
        found = {k: v for k, v in line.items() if k.startswith(f"{name}/")}
        assert all(isinstance(v, float) and math.isfinite(v) for v in found.values()), found
        assert all(found[f"{name}/{key}"] for key in learns), found  # There was something to learn from.
        assert line["learn/grad_norm"]

    with RunFolder.create("cut", root=tmp_path) as run:
        cut = run.path
        plan = stages(wanted)
        upto = next(i for i, stage in enumerate(plan) if stage.name == "train:0")
        with Session(wanted, run, Silent()) as session:
            for index, stage in enumerate(plan[: upto + 1], start=0):
                stage.run(session)
                session.save(index + 1)
    with RunFolder(cut, write=True) as run:
        train(wanted, run)
    assert metrics(cut) == metrics(whole)
    newest = max(path.name for path in (whole / "checkpoints").glob("step-*"))
    a, b = (load_file(folder / "checkpoints" / newest / "tensors.safetensors") for folder in (whole, cut))
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert value.equal(b[key]), key
    states = [json.loads((f / "checkpoints" / newest / "meta.json").read_text())["scorers"] for f in (whole, cut)]
    assert states[0] == states[1]


def test_the_reference_is_taken_after_the_warm_start(tmp_path: Path):
    """What the policy had learnt from demonstrations, its reference knows as well."""
    wanted = recipe(tmp_path, "preference", keydoor=True)
    with RunFolder.create("x", root=tmp_path) as run, Session(wanted, run, Silent()) as session:
        plan = stages(wanted)
        start = session.loaded.model.lm_head.weight.detach().clone()
        for stage in plan[:2]:
            stage.run(session)
        warm = session.loaded.model.lm_head.weight.detach().clone()
        tensors, _ = session.scorers[0][1].state()
        assert not tensors  # Nothing taken yet, nothing to save.
        plan[2].run(session)
        frozen = session.scorers[0][1].state()[0]["frozen.lm_head.weight"]
        assert plan[2].name == "train:0"
        assert frozen.equal(warm)
        assert not frozen.equal(start)


def test_a_recipe_without_answers_does_not_load(tmp_path: Path):
    path = tmp_path / "bad.toml"
    path.write_text(RECIPE + '[[scorers]]\nuse = "answer-logprob"\n[[credit]]\nuse = "information-gain"\n')
    with pytest.raises(CreditError, match="keydoor-v0 has no private answers"):
        load_recipe(path)
