"""The benchmark of the viewer runs, with few episodes: what it asks the server for is still there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "view.py"


def test_it_prints_a_row_for_each_way_of_opening() -> None:
    words = [sys.executable, str(BENCHMARK), "--episodes", "300"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("with")]
    assert [row.split("  ")[0].strip() for row in rows] == [
        "with the index",
        "without, first time",
        "without, second time",
    ]
    assert all(float(number) >= 0 for row in rows for number in row.split()[-9:])
