"""The simulator of a cluster: sums that can be done by hand, and bounds that hold whatever is drawn."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import cluster as simulator  # benchmarks/cluster.py
import cluster_plan

POOL = simulator.POOL


def world(**changes: object) -> simulator.World:
    """Attempts of two turns of five tokens, steps of a second, one engine with room for all."""
    made = simulator.World(
        fixed=0.1,
        each=0.01,
        turns=[2] * POOL,
        tokens=[5] * POOL,
        steps=[1.0] * POOL,
        tokens_per_turn=100.0,
        learner_speed=200.0,
        weights=0.5,
        engines=1,
        batch=64,
        slots=16,
        groups=4,
        size=4,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_in_turns_it_is_a_sum() -> None:
    """Two turns of 5 tokens at 0.1 + 16 x 0.01 s, two steps of 1 s, 16 x 2 x 100 tokens at 200 a second, 0.5 s."""
    found = simulator.simulate(world(), staleness=0, iterations=3)
    playing, learning = 2 * 5 * (0.1 + 16 * 0.01) + 2 * 1.0, 16 * 2 * 100 / 200
    assert found.seconds == pytest.approx(3 * (playing + learning + 0.5))
    assert found.learning == pytest.approx(3 * learning)
    assert found.busy == pytest.approx(3 * 2 * 5 * (0.1 + 16 * 0.01))
    assert found.made == pytest.approx(3 * 16 * 2 * 5)
    assert (found.dropped, found.played, set(found.ages)) == (0, 12, {0})


def test_a_batch_that_is_too_small_makes_a_line() -> None:
    """16 turns of 5 tokens through a batch of 8: two rounds, of which the second overlaps with the first's steps."""
    small = simulator.simulate(world(batch=8), 0, 1)
    large = simulator.simulate(world(), 0, 1)
    assert small.seconds > large.seconds
    assert small.made == pytest.approx(large.made)


@pytest.mark.parametrize("staleness", [1, 2, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_side_by_side_is_faster_and_never_too_old(staleness: int, seed: int) -> None:
    args = {
        "turns": [int(x) for x in simulator.drawn([1.0] * 50 + [9.0] * 51, seed, "turns")],
        "steps": [float(x) for x in simulator.drawn([0.1] * 90 + [3.0] * 11, seed, "env")],
        "tokens_per_turn": 15.0,
    }
    turns = simulator.simulate(world(**args), 0, 6)
    beside = simulator.simulate(world(**args), staleness, 6)
    assert beside.seconds < 0.95 * turns.seconds
    assert max(beside.ages) <= staleness
    assert len(beside.ages) == len(turns.ages) == 24
    assert beside.played - beside.dropped >= 24
    assert beside.seconds >= beside.learning
    assert beside.busy <= beside.seconds


def test_the_same_seed_gives_the_same_table(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        simulator.main(["--slots", "200", "--iterations", "2", "--staleness", "0", "1"])
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert said[0].count("\n| ") == 3
    assert "| 0, in turns |" in said[0]


def test_the_plan_in_the_docs_is_the_one_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    cluster_plan.main()
    printed = capsys.readouterr().out
    assert printed in (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    small = cluster_plan.figures(cluster_plan.PLANS[0])
    assert small["weights, bfloat16"] == "3.1 GB"
    assert small["keys and values a token"] == "29 KB"
