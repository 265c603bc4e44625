"""The Credit Lab: its true gradient is true, its estimates are sums over groups, and known biases come out."""

from __future__ import annotations

import numpy as np
import pytest

from agentgym import registry
from agentgym.credit.reading import hash_state
from agentgym.errors import CreditError
from agentgym.lab import NOT_MEASURED, VARIANTS, WORLDS, Move, Paths, World, measure
from agentgym.lab.columns import LEAST, MEANING, available
from agentgym.lab.groups import Groups, how_many
from agentgym.lab.measure import compare, cost, played
from agentgym.lab.values import Values
from agentgym.lab.worlds import stop_or_continue

BY_LABEL = {variant.label: variant for variant in VARIANTS}
ROWS = "anchor-state (step_weight = 0.0, episode_statistics = rows)"
worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))


def expected_outcome(world: World, theta: np.ndarray) -> float:
    """By backward induction, which shares nothing with enumeration but the world."""
    values = Values.of(world, world.policy(theta))
    return sum(p * values.reward[0, world.states.index(state)] for state, p in world.starts.items())


@worlds
def test_the_true_gradient_is_that_of_finite_differences(world: World) -> None:
    slopes = []
    for i in range(len(world.theta)):
        step = np.zeros(len(world.theta))
        step[i] = 1e-5
        slopes.append(
            (expected_outcome(world, world.theta + step) - expected_outcome(world, world.theta - step)) / 2e-5
        )
    assert Paths.of(world).gradient() == pytest.approx(np.array(slopes), abs=1e-9)


@worlds
def test_paths_are_all_there_is(world: World) -> None:
    paths = Paths.of(world)
    assert paths.probability.sum() == pytest.approx(1.0, abs=1e-12)
    assert paths.probability @ paths.outcome == pytest.approx(expected_outcome(world, world.theta), abs=1e-12)
    assert paths.length.max() <= world.horizon
    assert len({tuple(paths.pair[f : f + n]) for f, n in zip(paths.first, paths.length, strict=True)}) > 1


@worlds
def test_exact_columns_say_what_they_claim(world: World) -> None:
    paths = Paths.of(world)
    rows, weight = paths.rows, np.repeat(paths.probability, paths.length)
    first = rows["turn"] == 0
    assert weight[first] @ rows["value"][first] == pytest.approx(paths.probability @ paths.outcome)
    solved = weight[first] @ np.exp(rows["answer_logprob_before"][first])
    assert solved == pytest.approx(weight[rows["done"]] @ rows["success"][rows["done"]], abs=LEAST)
    trajectory = np.repeat(np.arange(len(paths.length)), paths.length)
    spread = np.bincount(trajectory, weights=rows["progress_score"])  # Telescopes to outcome less first value.
    assert spread == pytest.approx(paths.outcome - rows["value"][paths.first])
    kept = ~first
    assert rows["answer_logprob"][:-1][kept[1:]] == pytest.approx(rows["answer_logprob_before"][kept])
    assert set(available()) == {*rows, "group", "trajectory"}
    assert set(MEANING) <= set(rows)


def test_occupancy_counts_visits() -> None:
    paths = Paths.of(WORLDS["corridor"])
    values = Values.of(paths.world, paths.policy)
    weight = np.repeat(paths.probability, paths.length)
    for number, state in enumerate(paths.world.states):
        met = weight @ (paths.rows["state"] == hash_state(state))
        assert values.occupancy[number] == pytest.approx(met)


@pytest.mark.parametrize(("p", "rows"), [(0.1, 0.64), (0.5, 0.94), (0.9, 0.99)])
def test_known_biases_on_stop_or_continue(p: float, rows: float) -> None:
    world = stop_or_continue(p)
    found = {
        label: measure(world, BY_LABEL[label], 8) for label in ("rloo", "dr-grpo", ROWS, "turn-group (gamma = 0.0)")
    }
    assert all(m.exact for m in found.values())
    assert found["rloo"].ratio == pytest.approx(1.0, abs=1e-12)
    assert found["dr-grpo"].ratio == pytest.approx(0.875, abs=1e-12)
    assert round(found[ROWS].ratio, 2) == rows
    assert found["turn-group (gamma = 0.0)"].ratio == 0.0
    assert found["turn-group (gamma = 0.0)"].cosine is None


@worlds
def test_leave_one_out_is_unbiased_over_all_groups_of_two(world: World) -> None:
    groups = Groups.all(Paths.of(world), 2)
    assert groups.weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert len(groups.weight) == how_many(groups.paths, 2)
    table = BY_LABEL["rloo"].pipeline()(groups.table())
    mean = groups.weight @ groups.estimates(table)
    assert mean == pytest.approx(groups.paths.gradient(), abs=1e-12)


def test_estimates_are_the_sums_that_they_should_be() -> None:
    paths = Paths.of(WORLDS["key-door"])
    groups = Groups.sample(paths, 4, 50, seed=3)
    table = BY_LABEL["anchor-state"].pipeline()(groups.table())
    expected = np.zeros((50, len(paths.policy)))
    row = 0
    for b in range(50):
        for k in groups.drawn[b]:
            for pair in paths.pair[paths.first[k] : paths.first[k] + paths.length[k]]:
                state = paths.world.state_of[pair]
                score = -paths.policy * (paths.world.state_of == state)
                score[pair] += 1.0
                expected[b] += table["advantage"][row] * score / 4
                row += 1
    assert row == len(table)
    assert groups.estimates(table) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(CreditError, match="turns, these groups have"):
        Groups.sample(paths, 4, 51, seed=3).estimates(table)


@pytest.mark.parametrize("label", ["grpo", "anchor-state", "information-gain", "turn-group"])
def test_drawn_groups_agree_with_all_groups(label: str) -> None:
    paths = Paths.of(WORLDS["corridor"])
    pipeline = BY_LABEL[label].pipeline()
    every, drawn = Groups.all(paths, 2), Groups.sample(paths, 2, 20_000, seed=1)
    exact = compare(every, every.estimates(pipeline(every.table())))
    near = compare(drawn, drawn.estimates(pipeline(drawn.table())))
    assert exact.bias_error == exact.ratio_error == 0.0
    assert abs(near.ratio - exact.ratio) < 4 * near.ratio_error < 0.1
    assert near.variance == pytest.approx(exact.variance, rel=0.1)


def test_same_seed_same_groups_and_tasks_stay_apart() -> None:
    paths = Paths.of(WORLDS["riddles"])
    one, two = (Groups.sample(paths, 4, 300, seed=7) for _ in range(2))
    assert (one.drawn == two.drawn).all()
    assert (one.drawn != Groups.sample(paths, 4, 300, seed=8).drawn).any()
    assert (np.ptp(paths.task[one.drawn], axis=1) == 0).all()
    assert 0.4 < paths.task[one.drawn[:, 0]].mean() < 0.6


def test_exact_value_gives_less_noise_and_no_bias() -> None:
    for world in WORLDS.values():
        rloo, critic = (measure(world, BY_LABEL[label], 2, quick=True) for label in ("rloo", "gae (lam = 0.0)"))
        assert critic.bias <= 1e-9 + 3 * critic.bias_error
        assert critic.variance < rloo.variance


def test_every_registered_module_is_measured_or_says_why_not() -> None:
    measured = {variant.module for variant in VARIANTS}
    assert not measured & set(NOT_MEASURED)
    assert set(registry.names("credit")) == measured | set(NOT_MEASURED)
    assert all(reason.strip() for reason in NOT_MEASURED.values())
    assert len(BY_LABEL) == len(VARIANTS)
    for variant in VARIANTS:
        assert variant.module in [entry["use"] for entry in variant.entries], variant.label


@pytest.mark.parametrize("label", list(BY_LABEL))
def test_every_pipeline_finds_its_columns(label: str) -> None:
    BY_LABEL[label].pipeline().check(available())


def test_batch_pipelines_are_never_enumerated() -> None:
    groups, _ = played(WORLDS["stop-or-continue"], 2, True, 0, True)
    assert not groups.exact
    assert played(WORLDS["stop-or-continue"], 2, True, 0, False)[0].exact


def test_cost_is_measured() -> None:
    found = cost([BY_LABEL["rloo"], BY_LABEL["outcome"]], WORLDS["key-door"], 2000)
    assert set(found) == {"rloo", "outcome"}
    assert all(value >= 0 for value in found.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": {"a": 0.5}}, "sum to 1"),
        ({"starts": {"b": 1.0}}, "'b', which has no actions"),
        ({"moves": {"a": {}}}, "has no actions"),
        ({"moves": {"a": {"go": (Move(None, 0.5),)}}}, "chances must be positive and sum to 1"),
        ({"moves": {"a": {"go": (Move("z"),)}}}, "'z', which is no state"),
        ({"horizon": 0}, "horizon"),
        ({"logits": {("a", "fly"): 1.0}}, "no state and action"),
    ],
)
def test_a_wrong_world_is_refused(change: dict[str, object], message: str) -> None:
    right: dict[str, object] = {
        "name": "w",
        "summary": "",
        "starts": {"a": 1.0},
        "moves": {"a": {"go": (Move(None),)}},
        "horizon": 1,
    }
    World(**right)  # type: ignore[arg-type]
    with pytest.raises(CreditError, match=message):
        World(**right | change)  # type: ignore[arg-type]


def test_a_world_without_a_gradient_is_refused() -> None:
    world = World("flat", "", {"a": 1.0}, {"a": {"x": (Move(None),), "y": (Move(None),)}}, 1)
    groups = Groups.all(Paths.of(world), 2)
    with pytest.raises(CreditError, match="true gradient of 'flat' is 0"):
        compare(groups, np.zeros((len(groups.weight), 2)))
