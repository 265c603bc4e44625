"""Selection modules that leave groups or attempts out: against plain loops, and on what is odd about groups."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from select_cases import BATCHES, context, kept, played, saved_and_loaded

from agentgym.config import parse
from agentgym.credit import TurnTable
from agentgym.credit.grpo import Grpo
from agentgym.errors import ConfigError, CreditError, StoreError
from agentgym.registry import load
from agentgym.select import Selection
from agentgym.select.contrastive import Contrastive
from agentgym.select.difficulty import Difficulty
from agentgym.select.zero_variance import ZeroVariance
from agentgym.types import Trajectory

NAMES = ("zero-variance", "difficulty", "curriculum", "rapo", "guided-retry", "contrastive")
MIXED, FLAT = [(1.0, True, 2, 3), (0.0, False, 3, 3)], [(0.0, False, 1, 3), (0.0, False, 4, 3)]


def by_group(trajectories: list[Trajectory]) -> dict[str, list[Trajectory]]:
    found: dict[str, list[Trajectory]] = defaultdict(list)
    for t in trajectories:
        if t.trainable:
            found[t.group].append(t)
    return dict(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_a_selection_module_that_refuses_unknown_parameters(name: str) -> None:
    module = load("selection", name)
    assert issubclass(module, Selection)
    with pytest.raises(ConfigError, match="unknown key"):
        parse(module, {"nonsense": 1}, name)


# Zero variance ------------------------------------------------------------------------------------------------------


def test_zero_variance_leaves_flat_groups_out() -> None:
    working = ZeroVariance().open(context())
    assert kept(working, played({"a": MIXED, "b": FLAT, "c": [(1.0, True, 1, 1)]})) == {"a#0", "a#1"}
    assert working.metrics() == {"dropped_groups": 2.0}
    assert working.metrics() == {"dropped_groups": 0.0}


def test_an_infra_error_is_no_difference() -> None:
    assert kept(ZeroVariance().open(context()), played({"a": [(1.0, True, 2, 1), (0.0, False, -2, 1)]})) == set()


def test_tolerance() -> None:
    batch = played({"a": [(1.0, True, 1, 1), (0.5, False, 1, 1)]})
    assert kept(ZeroVariance(tolerance=0.4).open(context()), batch) == {"a#0", "a#1"}
    assert kept(ZeroVariance(tolerance=0.5).open(context()), batch) == set()


@given(BATCHES)
def test_zero_variance_is_a_plain_loop(batch: list[Trajectory]) -> None:
    expected = {t.id for group in by_group(batch).values() if len({t.score for t in group}) > 1 for t in group}
    assert kept(ZeroVariance().open(context()), batch) == expected


@given(BATCHES)
def test_zero_variance_changes_no_group_relative_advantage_of_what_it_keeps(batch: list[Trajectory]) -> None:
    table = TurnTable.from_trajectories(batch)
    rows = ZeroVariance().open(context()).keep(table, batch)
    whole = Grpo()(table)["advantage"]
    assert not whole[~rows].any()
    assert (Grpo()(table.where(rows))["advantage"] == whole[rows]).all()


# Difficulty ---------------------------------------------------------------------------------------------------------


@given(BATCHES, st.floats(0, 1), st.floats(0, 1))
def test_difficulty_is_a_plain_loop(batch: list[Trajectory], a: float, b: float) -> None:
    low, high = sorted((a, b))
    expected: set[str] = set()
    for group in by_group(batch).values():
        if low <= sum(t.success for t in group) / len(group) <= high:
            expected |= {t.id for t in group}
    working = Difficulty(low=low, high=high).open(context())
    working.observe(batch, 0)
    assert kept(working, batch) == expected


def test_difficulty_counts_what_it_leaves_out() -> None:
    working = Difficulty().open(context())
    kept(working, played({"a": MIXED, "b": FLAT, "c": [(1.0, True, 1, 1)] * 2}))
    assert working.metrics() == {"too_hard": 1.0, "too_easy": 1.0}


def test_memory_is_a_running_mean_over_visits() -> None:
    config = Difficulty(low=0.3, high=0.9, memory=0.75)
    working = config.open(context())
    hard, easy = [(0.0, False, 1, 1)] * 2, [(1.0, True, 1, 1)] * 2
    for mean, group in ((0.0, hard), (0.25, easy), (0.4375, easy), (0.328125, hard), (0.24609375, hard)):
        batch = played({"g": group}, task="t")
        working.observe(batch, 0)
        assert working.state()["means"] == {"t": mean}
        assert kept(working, batch) == ({"g#0", "g#1"} if mean >= 0.3 else set())
        working = saved_and_loaded(working, config.open(context()))


def test_a_visit_in_which_the_world_broke_leaves_the_mean_alone() -> None:
    working = Difficulty(memory=0.5).open(context())
    working.observe(played({"a": MIXED}, task="t"), 0)
    working.observe(played({"b": [(0.0, False, -1, 1)]}, task="t"), 0)
    assert working.state()["means"] == {"t": 0.5}


def test_a_task_that_was_never_observed_is_an_error_not_a_zero() -> None:
    with pytest.raises(CreditError, match="'t' of group 'a' has not been observed"):
        kept(Difficulty(memory=0.5).open(context()), played({"a": MIXED}, task="t"))


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"low = 0\.8 is above high = 0\.2"):
        parse(Difficulty, {"low": 0.8, "high": 0.2}, "selection.0")


@pytest.mark.parametrize("wrong", [{}, {"means": {}}, {"parameters": {"low": 0.5}, "means": {}}])
def test_a_state_of_other_parameters_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(StoreError, match="state of Difficulty"):
        Difficulty().open(context()).load_state(wrong)


def test_a_state_that_is_no_state_is_refused() -> None:
    state = Difficulty().open(context()).state()
    with pytest.raises(StoreError, match="no numbers by task"):
        Difficulty().open(context()).load_state({**json.loads(json.dumps(state)), "means": ["x"]})


# Contrastive --------------------------------------------------------------------------------------------------------


def reference(batch: list[Trajectory], pairs: int, cost: str, lone: str) -> set[str]:
    chosen: set[str] = set()
    for group in by_group(batch).values():

        def length(t: Trajectory) -> int:
            return len(t.turns) if cost == "turns" else sum(len(turn.completion.tokens or ()) for turn in t.turns)

        right = sorted((t for t in group if t.success), key=lambda t: (-t.score, length(t)))
        wrong = sorted((t for t in group if not t.success), key=lambda t: (t.score, -length(t)))
        each = min(len(right), len(wrong), pairs)
        picked = [*right[:each], *wrong[:each]] if each or lone == "drop" else group
        chosen |= {t.id for t in picked}
    return chosen


@given(BATCHES, st.integers(1, 4), st.sampled_from(["tokens", "turns"]), st.sampled_from(["drop", "keep"]))
def test_contrastive_is_a_plain_loop(batch: list[Trajectory], pairs: int, cost: str, lone: str) -> None:
    config = Contrastive.model_validate({"pairs": pairs, "cost": cost, "lone": lone})
    assert kept(config.open(context()), batch) == reference(batch, pairs, cost, lone)


def test_shortest_right_and_longest_wrong() -> None:
    right, wrong = [(1.0, True, 3, 2), (1.0, True, 2, 2), (1.0, True, 4, 2)], [(0.0, False, 3, 2), (0.0, False, 5, 2)]
    working = Contrastive().open(context())
    assert kept(working, played({"a": [*right, *wrong]})) == {"a#1", "a#4"}
    assert working.metrics() == {"chosen": 2.0, "lone_groups": 0.0}


def test_quality_goes_before_cost() -> None:
    batch = played({"a": [(0.5, True, 1, 1), (1.0, True, 4, 4), (0.5, False, 4, 4), (0.0, False, 1, 1)]})
    assert kept(Contrastive().open(context()), batch) == {"a#1", "a#3"}


@given(BATCHES, st.integers(1, 4))
def test_advantages_of_pairs_are_finite_and_never_zero(batch: list[Trajectory], pairs: int) -> None:
    batch = [t for t in batch if t.success == (t.score == 1.0)]
    table = TurnTable.from_trajectories(batch)
    advantage = Grpo()(table.where(Contrastive(pairs=pairs).open(context()).keep(table, batch)))["advantage"]
    assert all(math.isfinite(a) and a != 0 for a in advantage)


# The page -----------------------------------------------------------------------------------------------------------


def test_the_page_has_every_module_and_its_example_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "selection.md").read_text()
    assert all(f"| `{name}` |" in page for name in NAMES)
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    names: dict[str, Any] = {}
    exec(compile(example, "selection.md", "exec"), names)
    working = names["Short"](turns=2).open(context())
    assert kept(working, played({"a": MIXED})) == {"a#0"}
