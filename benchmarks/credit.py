"""Time and memory of every credit module on 100 thousand and on 1 million turns, beside plain loops over rows.

    python benchmarks/credit.py [--json] [--small]

Trajectories are in groups of 8, with lognormal lengths (median 10 turns, some above 100); each group walks a small
world of its own, so that attempts meet the same states again and again. Seconds are of one processor core (best of
several calls), so that a busy machine does not count; memory is the peak beyond the table during one call, results
included. The plain loops of `credit_reference.py` run on the smaller table, and their results must be the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from credit_reference import MODULES as ESTIMATORS
from credit_reference_shapers import MODULES as SHAPERS
from credit_reference_turns import MODULES as OF_TURNS

from agentgym import registry
from agentgym.credit import CreditModule, TurnTable
from agentgym.seeding import generator

MODULES: dict[str, Callable[..., Any]] = {**ESTIMATORS, **OF_TURNS, **SHAPERS}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("outcome", {}),
    ("discounted-return", {"gamma": 0.95}),
    ("grpo", {}),
    ("dr-grpo", {}),
    ("rloo", {}),
    ("reinforce++", {}),
    ("reinforce++", {"baseline": "group"}),
    ("anchor-state", {}),
    ("anchor-state", {"mode": "mean_std_norm", "episode_statistics": "rows"}),
    ("turn-group", {}),
    ("gae", {}),
    ("min-form", {}),
    ("gated-accumulation", {"low": [{"column": "reward.format"}, {"column": "reward.tool"}]}),
    (
        "hierarchical-gate",
        {"levels": [{"columns": {"reward.format": 1.0}, "threshold": 1.0}, {"columns": {"reward": 1.0}}]},
    ),
    ("information-gain", {}),
    ("information-gain", {"normalise": "return"}),
    ("log-ratio-td", {}),
    ("progress", {}),
    ("implicit-step", {}),
    ("implicit-process", {}),
    ("entropy-modulated", {}),
    ("potential", {}),
    ("format", {}),
    ("length", {"free": 20, "limit": 50}),
    ("invalid-action", {}),
    ("tool-correctness", {}),
    ("behaviour-step", {"enough": 2}),
    ("citation-rubric", {"normalise": True}),
    ("scheduled-mix", {"steps": 20}),
    ("partial-success", {}),
    ("likelihood", {}),
    ("likelihood", {"scale": "probability"}),
    ("novelty", {}),
    ("novelty", {"episodic": "elliptical", "combine": "sum"}),
    ("subgoal", {"threshold": None, "power": 1.0}),
    ("renorm", {}),
]
"""Every registered module with the parameters that matter for their cost; the rest are at their defaults."""


def columns(turns: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Columns of a table of exactly `turns` turns."""
    rng = generator(seed, "benchmark", turns)
    lengths = np.maximum(1, rng.lognormal(np.log(10), 0.8, size=turns).astype(np.int64))
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), turns)) + 1]
    lengths[-1] -= int(lengths.sum()) - turns
    trajectory = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    group = trajectory // 8
    place = rng.geometric(0.15, size=turns).astype(np.uint64)  # Near places are met often, far ones once.
    codes = rng.integers(0, 2**63, size=4096, dtype=np.uint64)
    solved = rng.random(len(lengths)) < rng.random(int(group[-1]) + 1)[np.arange(len(lengths)) // 8]
    done = np.append(trajectory[1:] != trajectory[:-1], True)
    reward = np.where(done, solved[trajectory].astype(np.float64), -0.01 * (rng.random(turns) < 0.2))
    return {
        "group": group,
        "trajectory": trajectory,
        "turn": np.arange(turns) - starts[trajectory],
        "reward": reward,
        "outcome": np.bincount(trajectory, weights=reward)[trajectory],
        "done": done,
        "state": codes[(place + group.astype(np.uint64) * np.uint64(31)) % np.uint64(4096)],
        "tokens": rng.integers(1, 60, size=turns),
        **further(rng, turns, trajectory, done),
    }


def further(rng: np.random.Generator, n: int, trajectory: np.ndarray[Any, Any], done: np.ndarray[Any, Any]) -> Any:
    """Columns that trajectories and scorers bring."""
    logprob = -rng.exponential(2.0, size=n)
    starts = np.append(True, done[:-1])
    malformed = rng.random(n) < 0.05
    return {
        "success": (rng.random(int(trajectory[-1]) + 1) < 0.4)[trajectory],
        "malformed": malformed,
        "fault": malformed | (rng.random(n) < 0.1),
        "truncated": rng.random(n) < 0.02,
        "characters": rng.integers(1, 200, size=n),
        "action": rng.integers(0, 50, size=n).astype(np.uint64),
        "logprob": -rng.exponential(5.0, size=n),
        "progress": rng.random(n),
        "reward.format": rng.random(n),
        "reward.tool": rng.normal(size=n),
        "answer_logprob": logprob,
        "answer_logprob_before": np.where(starts, -rng.exponential(3.0, size=n), np.append(0.0, logprob[:-1])),
        "progress_score": rng.normal(size=n),
        "value": rng.random(n),
        "implicit_reward": rng.normal(size=n),
        "entropy": rng.exponential(1.0, size=n),
        "judge_score": rng.random(n),
        "tool_correctness": rng.uniform(-3, 3, size=n),
        "tool_format": rng.random(n) < 0.9,
        "redundant": rng.random(n) < 0.3,
        "useful": rng.random(n) < 0.5,
        "partial": rng.random(int(trajectory[-1]) + 1)[trajectory],
        "visits": rng.integers(0, 30, size=n),
        "iteration": np.full(n, 10),
        "advantage": rng.normal(size=n),
        "anchor": rng.integers(0, 50, size=n),
    }


def seconds(call: Callable[[], Any], repeats: int = 3) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best


def megabytes(call: Callable[[], Any]) -> float:
    """Peak of memory allocated during a call, its results included."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def measure(small: int, large: int) -> list[dict[str, Any]]:
    tables = {n: TurnTable(columns(n)) for n in (small, large)}
    names = tables[small].columns
    lists = [tables[small][name].tolist() for name in names]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]
    return [measure_one(name, parameters, tables[small], tables[large], rows) for name, parameters in VARIANTS]


def measure_one(
    name: str, parameters: dict[str, Any], small: TurnTable, large: TurnTable, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    module: CreditModule = registry.load("credit", name)(**parameters)
    at_small = seconds(lambda: module(fresh(small)), repeats=10)
    at_large = seconds(lambda: module(fresh(large)))
    began = time.process_time()
    expected = MODULES[name](rows, **module.model_dump())
    loop = time.process_time() - began
    found = module(small)
    whole = expected if isinstance(expected, dict) else {"advantage": expected}
    difference = max(float(np.abs(found[column] - np.asarray(values)).max()) for column, values in whole.items())
    return {
        "module": name + "".join(f" {v}" for v in parameters.values() if isinstance(v, str)),
        "small_s": at_small,
        "large_s": at_large,
        "growth": at_large / at_small,
        "large_mb": megabytes(lambda: module(fresh(large))),
        "loop_small_s": loop,
        "times_faster": loop / at_small,
        "difference": difference,
    }


def fresh(table: TurnTable) -> TurnTable:
    """The table without what it remembers of earlier calls: each call pays for its own segments."""
    return table.with_columns({})


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    parser.add_argument("--small", action="store_true", help="a tenth of the turns, to try it")
    chosen = parser.parse_args(arguments)
    small, large = (10_000, 100_000) if chosen.small else (100_000, 1_000_000)
    measured = measure(small, large)
    if chosen.json:
        for row in measured:
            print(json.dumps(row))
        return 0
    k, m = f"{small // 1000}k", f"{large // 1000}k"
    titles = f"{f'{k} s':>8} {f'{m} s':>8} {'growth':>7} {'MB':>6} {f'loop {k} s':>12} {'faster':>8} {'diff':>8}"
    print(f"{'module':34} {titles}")
    for r in measured:
        print(
            f"{r['module']:34} {r['small_s']:8.4f} {r['large_s']:8.4f} {r['growth']:6.1f}x {r['large_mb']:6.0f} "
            f"{r['loop_small_s']:12.3f} {r['times_faster']:7.0f}x {r['difference']:8.0e}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
