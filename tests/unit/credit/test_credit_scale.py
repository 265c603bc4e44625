"""The benchmark on a tenth of the turns: it runs, its results are the plain loops', and time grows with the turns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "credit.py"


def test_benchmark_in_small():
    done = subprocess.run([sys.executable, BENCHMARK, "--small", "--json"], capture_output=True, text=True, check=True)
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["module"].split()[0] for row in measured if row["module"].startswith("anchor")] == ["anchor-state"] * 2
    for row in measured:
        assert row["difference"] < 1e-9, row
        assert row["large_mb"] < 40, row
        # 100 thousand turns take about 10 ms and must stay under 2 s for 10 times as many: room for a slow machine.
        assert row["large_s"] < 0.2, row
        assert row["times_faster"] > 2, row
