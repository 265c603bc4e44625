"""Latencies of a real run, for `benchmarks/cluster.py` to replay at the size of a cluster.

    python benchmarks/cluster_measure.py runs/quickstart --sampler 1:39,8:265,32:630 > latencies.json

Read from the run's folder: turns of an attempt, tokens of a turn, tokens of an attempt, seconds of the environment's
steps (each as 101 quantiles), and the learner's tokens a second (median over steps). The sampler's speed is a property
of batches, which no single turn shows, so it is given: sequences at once, and tokens a second of all of them together.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from agentgym.store import RunFolder

GRID = np.linspace(0, 1, 101)


def quantiles(values: list[float]) -> list[float]:
    """101 quantiles, the smallest and the largest value included."""
    return [float(f"{q:.4g}") for q in np.quantile(np.asarray(values, dtype=float), GRID)]


def measure(folder: str) -> dict[str, object]:
    """Distributions over all training attempts of a run."""
    run = RunFolder(folder)
    turns, answer, steps, tokens = [], [], [], []
    for entry in run.trajectories:
        played = entry.trajectory
        if entry.phase != "train" or not played.trainable:
            continue
        turns.append(len(played.turns))
        answer += [len(turn.completion.tokens or ()) for turn in played.turns]
        steps += [turn.env_seconds for turn in played.turns if turn.action is not None]
        last = played.turns[-1].completion
        tokens.append(last.prompt_tokens + len(last.tokens or ()))
    speeds = []
    for line in run.metrics.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["stage"].startswith("train:"):
            speeds.append(record["time/tokens_per_second"])
    return {
        "attempts": len(turns),
        "turns": quantiles(turns),
        "answer_tokens": quantiles(answer),
        "attempt_tokens_per_turn": float(np.sum(tokens) / np.sum(turns)),
        "env_seconds": quantiles(steps),
        "learner_tokens_per_second": float(np.median(speeds)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--sampler", required=True, help="sequences:tokens a second, two or more, by commas")
    args = parser.parse_args()
    points = [[float(part) for part in pair.split(":")] for pair in args.sampler.split(",")]
    print(json.dumps({"sampler": points, **measure(args.run)}, indent=None, separators=(", ", ": ")))


if __name__ == "__main__":
    main()
