"""The benchmark on a tenth of the turns: it measures every module, and its results are the plain loops'."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import credit as benchmark  # benchmarks/credit.py

from agentgym import registry

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "credit.py"


def test_every_registered_module_is_measured():
    assert {name for name, _ in benchmark.VARIANTS} == set(registry.names("credit"))


def test_benchmark_in_small():
    done = subprocess.run([sys.executable, BENCHMARK, "--small", "--json"], capture_output=True, text=True, check=True)
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["module"].split()[0] for row in measured if row["module"].startswith("anchor")] == ["anchor-state"] * 2
    for row in measured:
        assert row["difference"] < 1e-9, row
        assert row["large_mb"] < 40, row
