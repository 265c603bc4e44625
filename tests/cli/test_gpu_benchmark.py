"""The benchmark for a GPU runs to its end without one, so that its code is not first tried on borrowed time."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from agentgym.attention import Segment
from agentgym.batch import TrainSequence, pack

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu_chip")


def run(*flags: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), *flags], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_part_runs_on_a_processor_and_prints_its_table():
    said = run("--device", "cpu", "--small", "--no-vllm", "--seconds", "250")
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", said, flags=re.MULTILINE | re.DOTALL))
    assert list(parts) == ["chip", "learner", "prefix", "sampler", "weights", "training"]
    assert "no GPU" in said
    for name, text in parts.items():
        assert "not done" not in text, f"{name}: {text}"
    learner = re.search(r"^tiny +(\d+) +(\d+) +([\d.]+) +- +(\d+)%", parts["learner"], flags=re.MULTILINE)
    assert learner is not None
    assert int(learner[1]) > int(learner[2]) > 0
    for load in ("groups", "turns"):
        row = re.search(rf"^{load} +\d+ +\d+ +[\d.]+ +([\d.]+) +([\d.]+) +(\d+)%", parts["prefix"], re.MULTILINE)
        assert row is not None
        assert 1.5 < float(row[1]) <= float(row[2])
    assert re.search(r"^embedded policy +[1-9]\d* tokens/s", parts["sampler"], flags=re.MULTILINE)
    assert "eval:trained" in parts["training"]
    assert re.search(r"keydoor.toml: \d+ s$", parts["training"], flags=re.MULTILINE)


def test_parts_past_the_time_are_left_out_and_said_so():
    said = run("--device", "cpu", "--no-vllm", "--seconds", "0")
    for part in ("chip", "learner", "prefix", "sampler", "training"):
        assert f"{part}: left out" in said
    assert "tokens/s" not in said.partition("## sampler")[2]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_does_not_fail():
    assert "there is no GPU that torch can use" in run("--device", "cuda")


def test_operations_are_those_of_the_algorithm_and_not_of_the_layout(chip: ModuleType):
    model = chip.random_model("tiny", torch.device("cpu"), torch.float32).model
    action = np.array([False] * 40 + [True] * 2)
    zero = np.zeros(42, dtype=np.float32)
    turn = np.where(action, 0, -1)
    batch = [TrainSequence(np.r_[np.arange(30), np.full(12, n)], action, zero, zero, turn) for n in (50, 60)]
    alone, shared = pack(batch, 1000, share=False), pack(batch, 1000)
    layer = 4 * 64 * 64 + 3 * 64 * 192
    head, wide, pairs = 512 * 64, 2 * 64, 41 * 42 // 2
    assert chip.operations(model, alone) == 2 * (6 * (2 * layer * 41 + head * 2) + 12 * wide * pairs)
    assert shared[0].segments == (Segment(0, 41), Segment(41, 52, ((0, 30),)))
    saved = 6 * 2 * layer * 30 + 12 * wide * 30 * 31 // 2
    assert chip.operations(model, shared) == chip.operations(model, alone) - saved


def test_the_longest_name_that_fits_a_chip_counts(chip: ModuleType):
    for name, known in (("NVIDIA H200", "H200"), ("NVIDIA H100 PCIe", "H100 PCIe"), ("NVIDIA L40S", "L40S")):
        assert chip.data_sheet(name) == chip.PEAKS[known]
    assert chip.data_sheet("processor") == chip.data_sheet("A Chip of Tomorrow") == 0.0


def test_a_rate_is_positive(chip: ModuleType):
    assert chip.matrix_rate(torch.device("cpu"), torch.float32, 64, repeats=1) > 0


def test_a_command_past_its_time_ends_with_its_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sampler = importlib.import_module("gpu_sampler")
    assert sampler.bounded([sys.executable, "-c", "print(2)"], 60) == (0, "2\n", "")
    child = tmp_path / "child"
    # Done only when a child has its name in the file: then there is one that could outlive the command.
    parent = (
        f"import subprocess as s; p = s.Popen(['sleep', '300']); open({str(child)!r}, 'w').write(str(p.pid)); p.wait()"
    )
    assert sampler.bounded([sys.executable, "-c", parent], 5) == (None, "", "")
    status = Path(f"/proc/{child.read_text()}/stat")
    until = time.monotonic() + 10  # A killed process takes a moment to go; this one would live for minutes.
    while running(status) and time.monotonic() < until:
        time.sleep(0.01)
    assert not running(status)


def running(status: Path) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
