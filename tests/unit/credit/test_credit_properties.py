"""What must hold of every credit module on any table."""

from __future__ import annotations

import doctest
import importlib
import importlib.metadata as metadata
import pkgutil

import numpy as np
import pytest
from credit_cases import ANCHORS, CASES, GROUP_RELATIVE, MODULES, as_rows, furnished, tables
from credit_reference import MODULES as ESTIMATORS
from credit_reference_shapers import MODULES as SHAPERS
from credit_reference_turns import MODULES as OF_TURNS
from hypothesis import given
from hypothesis import strategies as st

import agentgym.credit
from agentgym import registry
from agentgym.credit import TurnTable
from agentgym.credit.anchor_state import AnchorState
from agentgym.credit.discounted_return import DiscountedReturn
from agentgym.credit.dr_grpo import DrGrpo
from agentgym.credit.grpo import Grpo
from agentgym.credit.outcome import Outcome

TOLERANCE = 1e-9
SUITE = "agentgym-suite"
REFERENCE = {**ESTIMATORS, **OF_TURNS, **SHAPERS}


def close(found, expected):
    """Equal to 1e-9 of the size of the values: sums of eleven numbers in another order differ in the last digits.

    A deviation that is all rounding (1e-16 of the values) is divided by epsilon, which makes 1e-10 of it.
    """
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_every_shipped_module_is_covered():
    shipped = {point.name for point in metadata.entry_points(group="agentgym.credit") if point.dist.name == SUITE}
    assert shipped == {name for name, _ in MODULES} == set(REFERENCE)
    for name, module in MODULES:
        assert isinstance(module, registry.load("credit", name))


@CASES
@given(tables())
def test_equal_to_the_plain_loops(columns):
    table = TurnTable(columns)
    rows = as_rows(table)
    for name, module in MODULES:
        expected, found = REFERENCE[name](rows, **module.model_dump()), module(table)
        for column, values in (expected if isinstance(expected, dict) else {"advantage": expected}).items():
            np.testing.assert_allclose(found[column], values, rtol=1e-9, atol=TOLERANCE, err_msg=f"{column}: {module}")


@CASES
@given(tables())
def test_columns_are_whole_and_finite_and_the_table_is_untouched(columns):
    table = TurnTable(columns)
    for _, module in MODULES:
        new = module(table)
        assert set(new) == module.writes
        for values in new.values():
            assert values.shape == (len(table),)
            assert np.isfinite(values).all()
        for name, values in columns.items():
            assert table[name].tolist() == values.tolist()


@CASES
@given(tables(), st.randoms(use_true_random=False))
def test_permutation_of_rows_groups_and_trajectories_changes_nothing(columns, random):
    n = len(columns["turn"])
    rows, groups, trajectories = ([*range(k)] for k in (n, columns["group"].max() + 1, columns["trajectory"].max() + 1))
    for numbers in (rows, groups, trajectories):
        random.shuffle(numbers)
    moved = {
        **columns,
        "group": np.array(groups)[columns["group"]] * 3 - 5,  # Any numbers will do as names.
        "trajectory": np.array(trajectories)[columns["trajectory"]] * 7 - 11,
        "row": np.arange(n),
    }
    table = TurnTable(columns)
    shuffled = TurnTable.build({name: values[rows] for name, values in moved.items()})
    for _, module in MODULES:
        expected, found = module(table), module(shuffled)
        for name in module.writes - {"step_group"}:
            undone = np.empty(n)
            undone[shuffled["row"]] = found[name]
            close(undone, expected[name])
        if isinstance(module, AnchorState):
            groups_of = np.empty(n, dtype=np.int64)
            groups_of[shuffled["row"]] = found["step_group"]
            same = groups_of[:, None] == groups_of
            assert (same == (expected["step_group"][:, None] == expected["step_group"])).all()


@CASES
@given(tables(), st.floats(-100, 100), st.data())
def test_a_constant_added_to_a_group_changes_no_group_relative_advantage(columns, constant, data):
    group = data.draw(st.sampled_from(sorted(set(columns["group"].tolist()))))
    here = columns["group"] == group
    table, moved = TurnTable(columns), TurnTable({**columns, "outcome": columns["outcome"] + constant * here})
    for module in GROUP_RELATIVE:
        np.testing.assert_allclose(module(moved)["advantage"], module(table)["advantage"], rtol=0, atol=1e-6)
    alone = np.array([len(set(columns["trajectory"][columns["group"] == g])) == 1 for g in columns["group"]])
    for module in (m for m in ANCHORS if m.episode_statistics == "trajectories"):
        found, expected = module(moved)["advantage"], module(table)["advantage"]
        np.testing.assert_allclose(found[~alone], expected[~alone], rtol=0, atol=1e-6)


@CASES
@given(tables(longest=1))
def test_one_turn_trajectories_reduce_to_the_outcome_estimator(columns):
    columns["reward"] = columns["outcome"]
    table = TurnTable(columns)
    close(DiscountedReturn(gamma=0.5)(table)["advantage"], Outcome()(table)["advantage"])
    several = table.groups.sizes[table.groups.ids] > 1
    for mode, episode_level in (("mean_norm", DrGrpo()), ("mean_std_norm", Grpo())):
        expected = episode_level(table)["advantage"]
        for statistics in ("trajectories", "rows"):  # A row is a trajectory here.
            module = AnchorState(mode=mode, episode_statistics=statistics, step_weight=0.0)
            close(module(table)["advantage"][several], expected[several])
    # With one state for all, the turn is compared with just what the episode is compared with.
    one_state = table.with_columns({"state": np.zeros(len(table), dtype=np.uint64)})
    credit = AnchorState()(one_state)
    close(credit["step_advantage"], DrGrpo()(table)["advantage"])


@CASES
@given(tables())
def test_weight_zero_is_the_episode_level_alone(columns):
    table = TurnTable(columns)
    for module in ANCHORS:
        credit = module.model_copy(update={"step_weight": 0.0})(table)
        assert credit["advantage"].tolist() == credit["episode_advantage"].tolist()
        assert credit["episode_advantage"].tolist() == module(table)["episode_advantage"].tolist()


@CASES
@given(tables())
def test_group_relative_advantages_of_a_group_sum_to_zero(columns):
    table = TurnTable(columns)
    last = table.last
    for module in GROUP_RELATIVE:
        sums = np.bincount(columns["group"][last], weights=module(table)["advantage"][last])
        np.testing.assert_allclose(sums, 0.0, atol=1e-6)


@pytest.mark.parametrize("module", GROUP_RELATIVE, ids=str)
def test_a_group_of_one_or_of_equal_outcomes_gets_exactly_zero(module):
    """0.1 has no exact binary form: a mean of several that is off by a bit must make no advantage."""
    table = TurnTable.from_rewards([[[0.1], [0.1], [0.1]], [[0.7, 0.1]], [[1.0], [0.0]]])
    advantage = module(table)["advantage"]
    assert advantage[:5].tolist() == [0.0] * 5
    assert (advantage[5:] != 0).all()


@pytest.mark.parametrize(("name", "module"), MODULES, ids=lambda v: str(v))
def test_no_rows_give_no_rows(name, module):
    new = module(furnished(TurnTable.from_trajectories([])))
    assert {len(values) for values in new.values()} == {0}


@pytest.mark.parametrize(("name", "module"), MODULES, ids=lambda v: str(v))
@pytest.mark.parametrize("size", [1e100, -1e100, 1e-320])
def test_extreme_rewards_stay_finite(name, module, size):
    table = TurnTable.from_rewards(
        [[[size, size], [-size]], [[size]]], states=[[["a", "a"], ["a"]], [["a"]]], outcomes=[[size, -size], [0.0]]
    )
    for values in module(furnished(table)).values():
        assert np.isfinite(values).all()


def test_docstrings_are_true():
    failed = attempted = 0
    modules = [m.name for m in pkgutil.iter_modules(agentgym.credit.__path__, "agentgym.credit.")]
    for name in modules:
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.FAIL_FAST)
        failed, attempted = failed + result.failed, attempted + result.attempted
    assert failed == 0
    assert attempted > 20


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_every_module_has_a_source_a_bias_and_an_example(name):
    text = registry.load("credit", name).__doc__
    assert "Source: " in text
    assert "arXiv" in text
    assert "Bias: " in text
    assert ">>> " in text
