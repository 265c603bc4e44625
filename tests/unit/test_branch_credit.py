"""The credit check: exact advantages agree with branched ones, their opposite does not, what is missing is named."""

from __future__ import annotations

import numpy as np
import pytest
from branch_cases import HERE, OURS, Softmax, exact, play

from agentgym import registry
from agentgym.branch import Branched, Continuations, branch, credit_check
from agentgym.branch.credit_check import agreement, ceiling, ranks, spearman
from agentgym.branch.values import to_mapping
from agentgym.errors import UsageError
from agentgym.lab.variants import VARIANTS
from agentgym.limits import Limits
from agentgym.rollout import attempts, collect
from agentgym.types import Trajectory
from agentgym_policies.scripted import NoisyOracle


@pytest.fixture(scope="module")
def lab() -> tuple[list[Trajectory], dict[str, Branched]]:
    """Groups of attempts at the corridor and the key door, with 24 continuations from every turn."""
    played: list[Trajectory] = []
    found: dict[str, Branched] = {}
    for name in ("key-door", "corridor"):
        world = OURS[name]
        mine = [t for seed in range(3) for t in _named(play(world, 8, seed), f"{name}{seed}")]
        with Continuations(f"{HERE}:BOTH", Softmax(world), limits=Limits(turns=world.horizon)) as going_on:
            found |= to_mapping(branch(mine, going_on, policy="softmax", k=24))
        played += mine
    return played, found


def _named(played: list[Trajectory], name: str) -> list[Trajectory]:
    from dataclasses import replace

    return [replace(t, id=f"{name}/{t.id}", group=f"{name}/{t.group}") for t in played]


def truth(played: list[Trajectory]) -> dict[str, np.ndarray]:
    worlds = {name: world for name, world in OURS.items() if name in ("key-door", "corridor")}
    return {t.id: np.diff(exact(worlds[t.task_id.partition(":")[0]], t)) for t in played}


def test_exact_advantages_agree_and_their_opposite_does_not(lab: tuple[list[Trajectory], dict[str, Branched]]) -> None:
    played, found = lab
    true = truth(played)
    best = agreement("exact", "exact", played, found, true)
    worst = agreement("worst", "worst", played, found, {name: -values for name, values in true.items()})
    assert best.correlation is not None
    assert best.within is not None
    assert best.correlation > 0.9
    assert best.within > 0.8
    assert best.signs == 1.0
    assert best.top is not None
    assert best.top > 0.9
    assert worst.correlation == pytest.approx(-best.correlation)
    assert worst.signs == 0.0
    assert worst.top is not None
    assert worst.top < 0.1
    most = ceiling(list(found.values()))
    assert most is not None
    assert abs(most - best.correlation) < 0.15


def test_modules_are_ranked_and_those_that_need_more_say_so(lab: tuple[list[Trajectory], dict[str, Branched]]) -> None:
    played, found = lab
    checked = credit_check(played, found)
    assert len(checked.rows) == len(VARIANTS)
    ranked = [row.correlation for row in checked.rows if row.needs is None]
    assert ranked == sorted(ranked, reverse=True)
    rows = {row.label: row for row in checked.rows}
    outcome, stepwise = rows["grpo"], rows["turn-group (gamma = 0.0)"]
    assert outcome.within == 0.0  # It tells no turn of an attempt from another.
    assert stepwise.within is not None
    anchor = rows["anchor-state (gamma = 1.0)"]
    assert anchor.within is not None
    assert anchor.within > 0.1
    assert anchor.correlation > outcome.correlation
    assert rows["gae"].needs == "value"
    assert rows["information-gain"].needs == "answer_logprob"
    assert rows["gae"].correlation is None
    assert (checked.trajectories, checked.tasks) == (len(played), 2)
    again = credit_check(played, found)
    assert again == checked
    with pytest.raises(UsageError, match="none of the attempts was branched"):
        credit_check(played, {})


def test_intervals_come_with_three_tasks() -> None:
    tasks = registry.tasks("keydoor-v0", "train")[:4]
    policy = NoisyOracle(0.5)
    limits = Limits(turns=7)
    played = collect(attempts(tasks, 4, 0), env="keydoor-v0", policy=policy, limits=limits)
    with Continuations("keydoor-v0", policy, limits=limits) as going_on:
        found = to_mapping(branch(played, going_on, policy="noisy", k=6))
    row = next(row for row in credit_check(played, found).rows if row.module == "rloo")
    assert row.low is not None
    assert row.high is not None
    assert row.low <= row.correlation <= row.high


def test_rank_correlation_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 5, 200).astype(float), rng.integers(0, 5, 200).astype(float)
    slow = np.array([np.mean([float(a > b) + 0.5 * float(a == b) for b in one]) for a in one]) * len(one) - 0.5
    assert ranks(one) == pytest.approx(slow)
    assert spearman(one, two) == pytest.approx(np.corrcoef(ranks(one), ranks(two))[0, 1])
    assert spearman(one, np.full(200, 3.0)) == 0.0
