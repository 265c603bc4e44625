"""Branching against exact values: worlds of the lab, where the value of every state is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from branch_cases import HERE, OURS, Softmax, exact, play, walks

from agentgym import models, registry
from agentgym.branch import Branched, Continuations, Refused, branch, read_decisive, write_decisive
from agentgym.branch.branching import refusal
from agentgym.branch.continuing import place, prefix_of
from agentgym.branch.intervals import Scale, difference, known, mean
from agentgym.branch.values import changes, strongest
from agentgym.branch.values import named as name_it
from agentgym.errors import StoreError, UsageError
from agentgym.host import HostPool
from agentgym.limits import Limits
from agentgym.rollout import Attempt, Prefix, attempts, collect
from agentgym.types import Ending, Trajectory
from agentgym_policies.scripted import NoisyOracle


def branched_in(
    name: str, played: list[Trajectory], k: int, restore: str = "auto", budget: int | None = None, seed: int = 0
):
    world = OURS[name]
    limits = Limits(turns=world.horizon)
    with Continuations(f"{HERE}:BOTH", Softmax(world), limits=limits, restore=restore, seed=seed) as going_on:
        return branch(played, going_on, policy="softmax", k=k, budget=budget), going_on


@pytest.mark.parametrize(
    ("name", "restore", "size", "rounds"),
    [
        ("key-door", "auto", 20, 2),
        ("corridor", "replay", 20, 2),
        ("drafts", "snapshot", 4, 20),
        ("riddles", "snapshot", 4, 20),
    ],
)
def test_intervals_cover_the_exact_values(name: str, restore: str, size: int, rounds: int) -> None:
    """Chance of the policy alone, and of the world as well; solved or not, and graded scores."""
    world = OURS[name]
    inside: list[bool] = []
    moved: list[bool] = []
    errors: list[float] = []
    for seed in range(rounds):
        played = play(world, size, seed)
        found, _ = branched_in(name, played, 10, restore, seed=seed)
        seen: set[object] = set()
        for trajectory, result in zip(played, found, strict=True):
            assert isinstance(result, Branched)
            true = exact(world, trajectory)
            for turn in range(len(trajectory.turns)):
                if place(trajectory, turn) in seen:  # Shared: it would be counted twice.
                    continue
                seen.add(place(trajectory, turn))
                value, change = result.values[turn], result.advantages[turn]
                inside.append(value.low - 1e-9 <= true[turn] <= value.high + 1e-9)
                moved.append(change.low - 1e-9 <= true[turn + 1] - true[turn] <= change.high + 1e-9)
                errors.append(value.value - true[turn])
            assert result.values[-1].value == pytest.approx(true[-1])
    assert len(inside) > 50
    least = 0.95 - 3 * math.sqrt(0.95 * 0.05 / len(inside))  # Nominal, less what so many draws can miss by chance.
    assert np.mean(inside) > least
    assert np.mean(moved) > least
    assert abs(np.mean(errors)) < 3.5 * np.std(errors) / math.sqrt(len(errors)) + 1e-9


def test_intervals_are_no_wider_than_they_need_be() -> None:
    """From the binomial itself: coverage of Wilson's and Newcombe's intervals at k = 12."""
    k, scale = 12, Scale(0.0, 1.0, True)
    found = {c: mean([1.0] * c + [0.0] * (k - c), scale) for c in range(k + 1)}

    def chance(c: int, p: float) -> float:
        return math.comb(k, c) * p**c * (1 - p) ** (k - c)

    for p, q in ((0.2, 0.5), (0.5, 0.5), (0.9, 0.6)):
        one = sum(chance(c, p) for c in found if found[c].low <= p <= found[c].high)
        two = sum(
            chance(a, p) * chance(b, q)
            for a in found
            for b in found
            if difference(found[a], found[b]).low <= p - q <= difference(found[a], found[b]).high
        )
        assert 0.9 < one < 0.99
        assert 0.93 < two < 0.985


def test_a_few_equal_graded_scores_are_not_certain() -> None:
    scale = Scale.of([0.0, 0.3, 0.9])
    assert not scale.two
    found = mean([0.3] * 8, scale)
    assert found.low < 0.2 < 0.4 < found.high
    assert difference(known(0.3), found).low < 0 < difference(known(0.3), found).high


@pytest.mark.parametrize("at", [0, 2, 4])
def test_the_turn_that_fell_into_the_pit_is_named(at: int) -> None:
    world = OURS["trap"]
    lost = walks(world, ["walk"] * at + ["jump"] + ["wait"] * 8)
    assert lost.ending is Ending.OUT_OF_TURNS
    (found,), _ = branched_in("trap", [lost], 12)
    assert found.decisive is not None
    assert found.decisive.turn == at
    assert found.decisive.high < 0
    assert f"turn {at + 1} lost it" in found.verdict
    (spent,), going_on = branched_in("trap", [lost], 2, budget=80)
    assert spent.decisive is not None
    assert spent.decisive.turn == at
    assert 60 <= going_on.played <= 80
    assert "no part in picking" in spent.corrected


def test_a_win_against_the_odds_is_named_and_a_walk_is_not() -> None:
    world = OURS["drafts"]
    lucky = next(t for seed in range(50) for t in play(world, 1, seed) if t.success and len(t.turns) == 1)
    (found,), _ = branched_in("drafts", [lucky], 24, "snapshot")
    assert found.decisive is not None
    assert found.decisive.turn == 0
    assert "won it" in found.verdict
    easy = walks(OURS["trap"], ["walk"] * 5)
    (found,), _ = branched_in("trap", [easy], 8)
    assert found.decisive is None
    assert "no single turn can be named with k = 8" in found.verdict
    assert found.candidate.low <= 0 <= found.candidate.high


@pytest.mark.parametrize("graded", [False, True])
def test_naming_is_corrected_for_the_number_of_turns(graded: bool) -> None:
    """Where no turn matters at all, one is named in at most one episode of twenty; uncorrected it were far more."""
    rng, turns = np.random.default_rng(0), 10
    named: dict[float, int] = {}
    for _ in range(300):
        drawn = rng.random((turns + 1, 16)) if graded else (rng.random((turns + 1, 16)) < 0.5).astype(float)
        scale = Scale.of(drawn.ravel())
        assert scale.two is not graded
        for level in (0.95, 1 - 0.05 / turns):
            found = changes([mean(scores.tolist(), scale, level) for scores in drawn])
            named[level] = named.get(level, 0) + (name_it(strongest(found, False), False) is not None)
    assert named[1 - 0.05 / turns] / 300 < 0.06
    assert named[0.95] / 300 > 0.06


def test_changes_add_up_to_the_score() -> None:
    played = play(OURS["key-door"], 4)
    found, _ = branched_in("key-door", played, 4)
    for trajectory, result in zip(played, found, strict=True):
        assert result.values[0].value + sum(c.change for c in result.advantages) == pytest.approx(trajectory.score)


def test_the_same_seed_gives_the_same_and_attempts_share_what_they_have_in_common() -> None:
    played = play(OURS["key-door"], 6)
    one, first = branched_in("key-door", played, 5)
    two, _ = branched_in("key-door", played, 5)
    assert [each.to_json() for each in one] == [each.to_json() for each in two]
    assert len({result.values[0] for result in one}) == 1
    assert first.played == 5 * len({place(t, n) for t in played for n in range(len(t.turns))})
    assert first.played < 5 * sum(len(t.turns) for t in played)
    alone, _ = branched_in("key-door", played[:1], 5)
    assert alone[0].to_json() == one[0].to_json()


def test_processes_give_what_this_process_gives() -> None:
    task = registry.tasks("keydoor-v0", "train")[0]
    policy = NoisyOracle(0.5)
    (played,) = collect(attempts([task], 1, 3), env="keydoor-v0", policy=policy)
    results = []
    for kind in ("inline", "process"):
        with Continuations("keydoor-v0", policy, processes=1) as going_on:
            going_on._hosts.close()
            going_on._hosts = HostPool("keydoor-v0", kind=kind, processes=1)
            results.append(branch([played], going_on, policy="noisy-oracle", k=3)[0].to_json())
    assert results[0] == results[1]
    assert len(results[0]["values"]) == len(played.turns) + 1


def test_a_prefix_keeps_the_tokens_that_were_sampled() -> None:
    chat = models.load("scratch:tiny").chat
    task = registry.tasks("keydoor-v0", "train")[0]
    policy = NoisyOracle(0.5, chat=chat)
    (played,) = collect(attempts([task], 1, 3), env="keydoor-v0", policy=policy)
    turn = len(played.turns) - 1
    begun = Attempt("again", task, "g", 0, 9, played.seed, prefix_of(played, turn, chat))
    (again,) = collect([begun], env="keydoor-v0", policy=policy)
    assert again.turns[:turn] == played.turns[:turn]
    (one,), (two,) = played.samples, again.samples
    length = one.turn.index(turn)
    assert two.tokens[:length] == one.tokens[:length]
    assert two.turn[:length] == one.turn[:length]
    foreign = replace(
        played, turns=tuple(replace(t, completion=replace(t.completion, tokens=(9, 9))) for t in played.turns)
    )
    begun = Attempt("foreign", task, "g", 0, 9, played.seed, prefix_of(foreign, turn, chat))
    (other,) = collect([begun], env="keydoor-v0", policy=policy)
    assert other.samples[0].tokens[:length] == one.tokens[:length]  # Encoded anew: the ids were another model's.


def test_a_prefix_counts_as_turns_and_rewards() -> None:
    world = OURS["riddles"]
    played = play(world, 1)[0]
    task = next(t for t in registry.tasks(f"{HERE}:BOTH", "train")[:] if t.id == played.task_id)
    begun = Attempt("again", task, "g", 0, 1, played.seed, Prefix(played.turns[:1], played.turns[1].observation))
    (again,) = collect([begun], env=f"{HERE}:BOTH", policy=Softmax(world), limits=Limits(turns=2))
    assert len(again.turns) == 2
    assert again.score == pytest.approx(played.turns[0].reward + again.turns[1].reward)
    (cut,) = collect([begun], env=f"{HERE}:BOTH", policy=Softmax(world), limits=Limits(turns=1))
    assert (cut.ending, len(cut.turns)) == (Ending.OUT_OF_TURNS, 1)


def test_what_does_not_play_again_as_recorded_is_refused() -> None:
    world = OURS["key-door"]
    played = next(t for t in play(world, 8) if len(t.turns) > 2)
    odd = replace(played.turns[2], observation=replace(played.turns[2].observation, state="elsewhere"))
    forged = replace(played, turns=(*played.turns[:2], odd, *played.turns[3:]))
    (found,), _ = branched_in("key-door", [forged], 2)
    assert isinstance(found, Refused)
    assert "turn 1 played again leads to another state" in found.why


def test_refusals_and_bad_input(tmp_path: Path) -> None:
    world = OURS["trap"]
    played = walks(world, ["walk"] * 5)
    broken = replace(played, id="b", ending=Ending.INFRA_ERROR)
    empty = replace(played, id="e", turns=())
    found, _ = branched_in("trap", [played, broken, empty], 2)
    assert [type(each) for each in found] == [Branched, Refused, Refused]
    assert "infra error" in found[1].why
    assert "too small" in refusal(played, 10)
    with pytest.raises(UsageError, match="at least 2"):
        branched_in("trap", [played], 1)
    with pytest.raises(UsageError, match="two trajectories have the id"):
        branched_in("trap", [played, played], 2)
    with pytest.raises(UsageError, match="neither replay its actions nor restore"):
        Continuations(f"{HERE}:NEITHER", Softmax(world))
    with pytest.raises(UsageError, match="'deterministic'"):
        Continuations(f"{HERE}:RESTORES", Softmax(world), restore="replay")
    with pytest.raises(UsageError, match="no task 'gone'"):
        branched_in("trap", [replace(played, task_id="gone")], 2)


def test_results_are_stored_and_replaced(tmp_path: Path) -> None:
    played = play(OURS["trap"], 2)
    found, _ = branched_in("trap", played, 2)
    write_decisive(tmp_path, found[:1])
    write_decisive(tmp_path, found)
    lines = read_decisive(tmp_path)
    assert lines == [each.to_json() for each in found]
    assert {"id", "policy", "k", "values", "advantages", "decisive"} <= set(lines[0])
    assert [path.name for path in tmp_path.iterdir()] == ["decisive.jsonl"]
    (tmp_path / "decisive.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(StoreError, match="line 1"):
        read_decisive(tmp_path)
