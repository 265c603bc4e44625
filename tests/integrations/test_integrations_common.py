"""From token arrays to turn tables and back: nothing lost, nothing mixed up, everything bad refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from integration_cases import GROUPS, REWARDS, STATES, expected, nested, tokens

from agentgym.credit.table import REQUIRED
from agentgym.errors import CreditError, UnknownNameError, UsageError
from agentgym.integrations import common

COLUMNS = ("reward", "outcome", "done", "turn", "state")


def built(batch: dict[str, Any], **more: Any) -> common.TokenTurns:
    return common.turn_table(batch["rewards"], batch["mask"], GROUPS, states=STATES, **more)


@pytest.mark.parametrize("left", [False, True], ids=["right-padded", "left-padded"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tokens_give_the_table_that_nested_lists_give(seed: int, left: bool) -> None:
    batch = tokens(seed, left)
    made, wanted = built(batch).table, nested()
    for name in COLUMNS:
        np.testing.assert_array_equal(made[name], wanted[name], err_msg=name)
    assert made["trajectory"].tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3]
    lengths = [(batch["turns"][i] == t).sum() for i, r in enumerate(REWARDS) for t in range(len(r))]
    assert made["tokens"].tolist() == lengths


@pytest.mark.parametrize("credit", ["anchor-state", "grpo", "rloo", "discounted-return"])
def test_advantages_reach_the_tokens_of_their_turn_and_no_others(credit: str) -> None:
    batch, line = tokens(), common.pipeline(credit)
    got = built(batch).advantages(line)
    np.testing.assert_allclose(got, expected(line(nested())["advantage"], batch["turns"]), rtol=0, atol=1e-12)


def test_interleaved_groups_are_sorted_and_find_their_way_back() -> None:
    batch, order, line = tokens(), [2, 0, 3, 1], common.pipeline("anchor-state")
    straight = built(batch).advantages(line)
    mixed = common.turn_table(
        batch["rewards"][order], batch["mask"][order], [GROUPS[i] for i in order], states=[STATES[i] for i in order]
    ).advantages(line)
    np.testing.assert_allclose(mixed, straight[order], rtol=0, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_rewards_are_kept_and_turns_are_runs(data: st.DataObject) -> None:
    size, width = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
    cells = st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=size, max_size=size)
    mask = np.asarray(data.draw(cells))
    rewards = np.asarray(data.draw(cells)) * 1.5
    made = common.turn_table(rewards, mask, [0] * size)
    text = ["".join("x" if on else " " for on in row).split() for row in mask]
    assert common.count_turns(mask) == [len(runs) for runs in text]
    assert made.table["tokens"].tolist() == [len(run) for runs in text for run in runs]
    live = mask.any(axis=1)
    assert made.table["reward"].sum() == rewards[live].sum()  # Wherever they lay: between turns, before, after.
    assert set(made.table["trajectory"].tolist()) == set(np.flatnonzero(live).tolist())
    assert ((made.row >= 0) == mask).all()
    np.testing.assert_array_equal(made.spread(np.ones(len(made.table))), mask)


def test_a_reward_after_a_turn_belongs_to_it_and_one_before_all_turns_to_the_first() -> None:
    made = common.turn_table([[1, 2, 4, 8, 16, 32]], [[0, 1, 0, 1, 1, 0]], ["g"])
    assert made.table["reward"].tolist() == [7.0, 56.0]
    assert made.table["outcome"].tolist() == [63.0, 63.0]


def test_turn_numbers_part_turns_that_touch_and_join_turns_that_do_not() -> None:
    made = common.turn_table([[0, 1, 2, 4]], [[1, 1, 0, 1]], ["g"], turns=[[0, 3, -1, 3]])
    assert made.row.tolist() == [[0, 1, -1, 1]]
    assert made.table["reward"].tolist() == [0.0, 7.0]


def test_rows_without_turns_and_rows_not_kept_are_in_no_statistic() -> None:
    rewards = np.asarray([[1.0, 0.0], [0.0, 0.0], [np.nan, 0.0], [9.0, 0.0]])
    mask = np.asarray([[1, 0], [1, 0], [1, 0], [0, 0]])
    made = common.turn_table(rewards, mask, ["g"] * 4, keep=[True, True, False, True])
    assert made.table["trajectory"].tolist() == [0, 1]
    got = made.advantages(common.pipeline("dr-grpo"))
    assert got.tolist() == [[0.5, 0.0], [-0.5, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_a_batch_without_any_turn_has_advantage_zero_everywhere() -> None:
    made = common.turn_table([[1.0]], [[0]], ["g"])
    assert made.advantages(common.pipeline("anchor-state")).tolist() == [[0.0]]


def test_a_group_of_one_is_what_the_module_says_and_finite() -> None:
    made = common.turn_table([[1.0, 2.0]], [[1, 1]], ["alone"])
    assert made.advantages(common.pipeline("grpo")).tolist() == [[0.0, 0.0]]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nan reward": ({"rewards": [[0.0, np.nan], [0, 0]]}, "batch row 0, token 1: the reward is nan"),
    "infinite reward": ({"rewards": [[0, 0], [np.inf, 0]]}, "batch row 1, token 0: the reward is inf"),
    "nan outcome": ({"outcomes": [0.0, np.nan]}, "batch row 1, token 0: the outcome is nan"),
    "shape": ({"rewards": [[0.0], [0.0]]}, r"rewards have shape \[2, 1\], the mask has \[2, 2\]"),
    "flat": ({"mask": [1, 1]}, r"mask must be numbers \[B, T\]"),
    "text": ({"rewards": [["a", "b"], ["c", "d"]]}, "rewards must be numbers"),
    "groups": ({"groups": ["g"]}, "there are 1 groups for 2 rows"),
    "outcomes": ({"outcomes": [1.0]}, "outcomes must be 2 numbers"),
    "few states": ({"states": [["a", "b"], ["a"]]}, "states: batch row 0 has 1 turns, and 2 values"),
    "missing states": ({"states": [["a"]]}, "states: there are 1 lists for 2 rows"),
    "column": ({"columns": {"value": [[1.0], []]}}, "value: batch row 1 has 1 turns, and 0 values"),
    "nan column": ({"columns": {"value": [[np.nan], [1.0]]}}, "'value'.*is not finite"),
    "falling turns": ({"turns": [[1, 0], [0, 0]]}, "batch row 0, token 1: the turn .*never fall"),
    "nan turns": ({"turns": [[0, np.nan], [0, 0]]}, "batch row 0, token 1: the turn"),
    "turns shape": ({"turns": [[0], [0]]}, "turns have shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_by_name(name: str) -> None:
    changed, message = BAD[name]
    call: dict[str, Any] = {"rewards": [[0, 0], [0, 0]], "mask": [[1, 1], [1, 1]], "groups": ["g", "g"], **changed}
    with pytest.raises(CreditError, match=message):
        common.turn_table(**call)


def test_unknown_states_are_an_error_for_credit_that_compares_them_and_for_no_other() -> None:
    batch = tokens()
    made = common.turn_table(batch["rewards"], batch["mask"], GROUPS)
    with pytest.raises(CreditError, match="which states turns began in"):
        made.advantages(common.pipeline("anchor-state"))
    shaped = common.pipeline([{"use": "length", "free": 1, "limit": 2}, {"use": "anchor-state"}])
    with pytest.raises(CreditError, match="which states turns began in"):  # After another module has written, too.
        made.advantages(shaped)
    assert np.isfinite(made.advantages(common.pipeline("rloo"))).all()
    known = made.table.with_columns({"state": np.zeros(len(made.table), np.uint64)})
    assert known["state"].tolist() == [0] * len(known)


def test_state_keys_are_the_tokens_between_turns() -> None:
    ids = np.asarray([[0, 7, 8, 1, 9, 2, 2, 9], [0, 0, 7, 8, 3, 9, 4, 0]])
    model = np.asarray([[0, 0, 0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 1, 0, 1, 0]])
    real = np.asarray([[0, 1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1, 0]])
    first, second = common.state_keys(ids, model, real)
    assert first == second  # Prompt 7 8, then observation 9; padding and what follows the last turn do not count.
    assert len(first) == 2
    assert len(set(first)) == 2
    assert common.state_keys([[5]], [[0]], [[1]]) == [[]]
    with pytest.raises(CreditError, match="one shape"):
        common.state_keys(ids, model[:, :-1], real)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64])
def test_tensors_of_any_type_go_in_and_come_back_as_the_trainers_own(dtype: torch.dtype) -> None:
    estimator = common.Estimator(common.pipeline("rloo"))
    rewards = torch.tensor([[0, 4], [0, 0]], dtype=dtype)
    advantages, returns = estimator(
        rewards, torch.ones(2, 2, dtype=torch.bool), index=np.array(["u", "u"], dtype=object)
    )
    assert advantages.dtype == (dtype if dtype.is_floating_point else torch.float32)
    assert advantages.tolist() == [[4, 4], [-4, -4]]
    assert torch.equal(advantages, returns)
    assert advantages is not returns


def test_facts_reach_an_estimator_and_end_with_their_block() -> None:
    batch, line = tokens(), common.pipeline("anchor-state")
    estimator = common.Estimator(line)
    everything = np.ones_like(batch["mask"])  # A mask that hides the turns.
    with common.facts(mask=batch["mask"], states=STATES):
        got, _ = estimator(batch["rewards"], everything, GROUPS)
    np.testing.assert_allclose(got, expected(line(nested())["advantage"], batch["turns"]), rtol=0, atol=1e-12)
    with pytest.raises(CreditError, match="which states"):
        estimator(batch["rewards"], batch["mask"], GROUPS)


def test_columns_that_were_promised_and_not_brought_are_missed_by_name() -> None:
    batch = tokens()
    estimator = common.Estimator(common.pipeline("gae", columns=["value"]))
    with pytest.raises(CreditError, match="'gae' needs the column 'value'"):
        estimator(batch["rewards"], batch["mask"], GROUPS)
    values = [[0.5] * len(r) for r in REWARDS]
    with common.facts(columns={"value": values}):
        got, _ = estimator(batch["rewards"], batch["mask"], GROUPS)
    flat = nested().with_columns({"value": np.full(9, 0.5)})
    wanted = common.pipeline("gae", columns=["value"])(flat)["advantage"]
    np.testing.assert_allclose(got, expected(wanted, batch["turns"]), rtol=0, atol=1e-12)


def test_estimators_of_equal_credit_are_equal_and_others_are_not() -> None:
    make = common.Estimator
    assert make(common.pipeline("grpo")) == make(common.pipeline([{"use": "grpo"}]))
    assert make(common.pipeline("grpo")) != make(common.pipeline("rloo"))


def test_names_and_wrong_credit() -> None:
    assert common.title("grpo", None) == "agentgym-grpo"
    assert common.title([{"use": "grpo"}], "mine") == "mine"
    with pytest.raises(UsageError, match="needs a name"):
        common.title([{"use": "grpo"}], None)
    with pytest.raises(UnknownNameError, match="did you mean 'grpo'"):
        common.pipeline("grop")
    with pytest.raises(CreditError, match="no module writes 'advantage'"):
        common.pipeline([{"use": "length", "free": 1, "limit": 2}])
    with pytest.raises(CreditError, match="needs the column 'value'"):
        common.pipeline("gae")
    with pytest.raises(UsageError, match="install nonsense first"):
        common.need("no_such_module_of_anyone", "nonsense")


def test_standalone_modules_are_those_that_run_on_the_required_columns() -> None:
    names = common.standalone()
    assert {"grpo", "rloo", "dr-grpo", "anchor-state", "outcome", "discounted-return"} <= set(names)
    assert not {"gae", "format", "information-gain"} & set(names)
    batch = tokens()
    assert set(built(batch).table.columns) == set(REQUIRED)
    for name in names:
        assert np.isfinite(built(batch).advantages(common.pipeline(name))).all(), name
