"""The learner's benchmark counts what it says it counts, and runs."""

import subprocess
import sys
from pathlib import Path

import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import learner as bench  # noqa: E402
import packing  # noqa: E402

from agentgym.attention import Segment  # noqa: E402
from agentgym.batch import pack  # noqa: E402


def test_operations_by_hand():
    model = packing.make_model("small", torch.float32)
    packs = pack(packing.play(0, 4, model.config.vocab_size), 10**6)
    tokens, actions = (sum(len(getattr(p, name)) for p in packs) for name in ("tokens", "target"))
    found = bench.needed(model, packs)
    # 256 wide, 4 heads of 64, 2 of keys; 768 between; 4 layers; a vocabulary of 8,192.
    layer = 256 * 256 * 2 + 256 * 128 * 2 + 3 * 256 * 768
    assert found["layers' matrices"] == 6 * 4 * layer * tokens
    assert found["output layer"] == 6 * 8192 * 256 * actions
    assert found["attention"] == 12 * 4 * 4 * 64 * bench.pairs(packs)


def test_pairs_of_a_segment_are_its_context_and_its_triangle():
    (p,) = pack(packing.play(0, 1, 100), 10**6)
    made = type(p)(**{**p.__dict__, "segments": (Segment(0, 5), Segment(5, 8, ((0, 2),)))})
    assert bench.pairs([made]) == 15 + 3 * 2 + 6


def test_it_runs():
    command = [sys.executable, str(BENCHMARKS / "learner.py"), "--small", "--threads", "1", "--steps", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=True)
    assert "best step" in done.stdout
    assert "the machine's matrix product" in done.stdout
