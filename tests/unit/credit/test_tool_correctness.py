"""Tool-call correctness: the authors' numbers, and what hostile calls cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from credit_cases import CASES
from hypothesis import given
from hypothesis import strategies as st

from agentgym.credit import TurnTable
from agentgym.credit.call_score import correctness
from agentgym.credit.tool_correctness import ToolCorrectness

VECTORS = json.loads((Path(__file__).parents[2] / "golden/vectors/tool_correctness.json").read_text())["cases"]


def read(listed):
    return [(call["name"], call["parameters"]) for call in listed]


@pytest.mark.parametrize("case", VECTORS, ids=range(len(VECTORS)))
def test_reproduces_the_authors_numbers(case):
    found = correctness(read(case["predicted"]), read(case["reference"]))
    assert found == pytest.approx(case["expected"], abs=1e-5)


def test_there_are_vectors_of_all_kinds():
    assert len(VECTORS) == 40
    expected = [case["expected"] for case in VECTORS]
    assert min(expected) == -3.0
    assert max(expected) == 3.0


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(), st.text("ab", max_size=2)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=3,
)
calls = st.lists(
    st.tuples(st.sampled_from(["mail", "pay", ""]), st.dictionaries(st.sampled_from("xyz"), values, max_size=3)),
    max_size=5,
)


@CASES
@given(calls, calls)
def test_any_calls_have_a_score_in_range(predicted, reference):
    assert -3.0 <= correctness(predicted, reference) <= 3.0


@CASES
@given(calls, calls)
def test_equal_lists_have_the_best_score_and_another_call_costs(predicted, reference):
    assert correctness(reference, list(reference)) == pytest.approx(3.0)
    if len(predicted) != len(reference):
        assert correctness([*reference, ("other", {})], reference) < 3.0


def test_where_nothing_should_be_called():
    assert correctness([], []) == 3.0
    assert correctness([("mail", {})], []) == -3.0
    assert correctness([], [("mail", {})]) == -3.0


def test_a_call_is_used_for_one_reference_only():
    one = [("mail", {"to": "a"})]
    assert correctness(one, one * 2) < correctness(one * 2, one * 2) == 3.0


def test_the_term_goes_where_it_is_sent():
    table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns(
        {"tool_correctness": [3.0, -3.0, 1.0], "tool_format": [1.0, 0.0, 1.0]}
    )
    only_reward = ToolCorrectness(into="reward")(table)
    assert only_reward["reward"].tolist() == [4.0, -2.0, 2.0]
    assert only_reward["outcome"].tolist() == table["outcome"].tolist()
    assert ToolCorrectness(into="outcome", format_weight=0.0)(table)["outcome"].tolist() == [1.0, 1.0, 1.0]
    for name, column in ToolCorrectness(weight=0.0, format_weight=0.0)(table).items():
        assert column.tolist() == table[name].tolist()
