"""The plain-loop reference is shared with the benchmark, where it lives."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
