"""What the tests of whole runs share: a recipe of seconds, a run of it, and what the run left."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tiny_recipe import start

from agentgym.recipe import Recipe
from agentgym.store import RunFolder
from agentgym.train import train

RECIPE = f"""
{start()}
[limits]
turns = 5
[sampling]
max_tokens = 6
[warmstart]
tasks = 6
epochs = 2
lr = 3e-3
batch = 3
[[credit]]
use = "anchor-state"
[trainer]
iterations = 3
tasks = 3
group = 4
lr = 1e-3
refill = 1
minibatches = 2
[eval]
tasks = 4
every = 2
"""


def run_once(recipe: Recipe, folder: Path) -> Path:
    with RunFolder.create(folder.name, root=folder.parent) as run:
        train(recipe, run)
    return folder


def lines(folder: Path) -> list[dict[str, Any]]:
    """A run's metrics, a dict a line."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> str:
    """A hash of everything that the last checkpoint holds of the learner."""
    newest = max((folder / "checkpoints").glob("step-*"))
    return hashlib.sha256((newest / "tensors.safetensors").read_bytes()).hexdigest()
