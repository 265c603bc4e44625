"""Shapers that read judges and labels: gates, bounds, identities, and what they refuse."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
from credit_cases import CASES, MODULES, tables
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentgym.credit import Pipeline, TurnTable
from agentgym.credit.behaviour_step import BehaviourStep
from agentgym.credit.citation_rubric import CitationRubric
from agentgym.credit.discounted_return import DiscountedReturn
from agentgym.credit.likelihood import Likelihood
from agentgym.credit.novelty import Novelty
from agentgym.credit.partial_success import PartialSuccess
from agentgym.credit.renorm import ReNorm
from agentgym.credit.reworked import Reworked
from agentgym.credit.scheduled_mix import ScheduledMix
from agentgym.credit.subgoal import Subgoal
from agentgym.errors import CreditError

FILES = "behaviour_step call_score citation_rubric likelihood novelty partial_success renorm scheduled_mix subgoal"


REWORKING = {BehaviourStep, CitationRubric, ScheduledMix, PartialSuccess, Likelihood}
REWORKED = [module for _, module in MODULES if isinstance(module, Reworked)]


@CASES
@given(tables())
def test_rewards_that_summed_to_the_outcome_still_do(columns):
    table = TurnTable(columns)
    turns = table.trajectories
    columns["outcome"] = turns.sum(columns["reward"])[turns.ids]
    table = TurnTable(columns)
    assert {type(module) for module in REWORKED} == REWORKING
    for module in REWORKED:
        changed = table.with_columns(module(table))
        returns = DiscountedReturn()(changed)["return"][turns.first]
        np.testing.assert_allclose(returns, changed["outcome"][turns.first], atol=1e-9)


@CASES
@given(tables())
def test_weight_zero_is_the_identity(columns):
    table = TurnTable(columns)
    for module in (
        BehaviourStep(penalty=0.0, bonus=0.0),
        CitationRubric(alpha=0.0),
        ScheduledMix(start=0.0),
        PartialSuccess(weight=0.0),
        Likelihood(weight=0.0),
        Novelty(weight=0.0),
        Subgoal(weight=0.0),
    ):
        for name, values in module(table).items():
            assert values.tolist() == table[name].tolist(), module


@CASES
@given(tables(), st.floats(0, 1))
def test_a_wrong_attempt_gains_nothing_from_its_citations(columns, threshold):
    table = TurnTable(columns)
    other = TurnTable({**columns, "judge_score": 1.0 - columns["judge_score"]})
    for module in (CitationRubric(), CitationRubric(threshold=threshold)):
        wrong = ~columns["success"] if module.threshold is None else columns["outcome"] < threshold
        for name in ("reward", "outcome"):
            assert module(table)[name][wrong].tolist() == columns[name][wrong].tolist()
            assert module(other)[name][wrong].tolist() == columns[name][wrong].tolist()


@CASES
@given(tables())
def test_no_number_of_calls_makes_a_wrong_attempt_worth_a_right_one(columns):
    columns["outcome"] = columns["success"].astype(float)
    outcome = BehaviourStep()(TurnTable(columns))["outcome"]
    assert (outcome[columns["success"]] >= 0.5).all()
    assert (outcome[~columns["success"]] <= 0.2).all()


@CASES
@given(tables())
def test_no_process_pays_without_the_outcome(columns):
    columns["outcome"] = columns["success"].astype(float)
    table = TurnTable(columns)
    process = ReNorm(outcome_weight=0.0)(table)["reward"]
    assert (process[columns["success"]] >= 0).all()
    assert (process[~columns["success"]] <= 0).all()


@CASES
@given(tables(), st.integers(0, 300))
def test_the_mix_is_between_process_and_outcome_and_ends_as_the_outcome(columns, iteration):
    columns["iteration"] = np.full(len(columns["turn"]), iteration)
    table = TurnTable(columns)
    turns = table.trajectories
    process = turns.mean(columns["judge_score"])[turns.ids]
    mixed = ScheduledMix(start=1.0, steps=200)(table)["outcome"]
    low, high = np.minimum(process, columns["outcome"]), np.maximum(process, columns["outcome"])
    assert ((mixed >= low - 1e-9) & (mixed <= high + 1e-9)).all()
    if iteration == 0:
        np.testing.assert_allclose(mixed, process)
    if iteration >= 200:
        np.testing.assert_allclose(mixed, columns["outcome"])


@CASES
@given(tables())
def test_states_met_again_pay_less(columns):
    table = TurnTable(columns)
    for episodic in ("count", "first", "elliptical"):
        paid = Novelty(weight=1.0, episodic=episodic, combine="episodic")(table)["reward"] - columns["reward"]
        assert (np.abs(paid[columns["done"]]) < 1e-12).all()
        reached = np.append(columns["state"][1:], 0)
        for i in np.flatnonzero(~columns["done"]):
            for j in np.flatnonzero((columns["trajectory"] == columns["trajectory"][i]) & ~columns["done"]):
                if i < j and reached[i] == reached[j]:
                    assert paid[i] >= paid[j] - 1e-9


def test_going_back_and_forth_does_not_pay_for_interest():
    states = [[["hall", *["attic", "hall"] * 50]]]
    table = TurnTable.from_rewards([[[0.0] * 101]], states=states).with_columns({"judge_score": [1.0] * 101})
    flat = Subgoal(weight=1.0, threshold=None)(table)["reward"][:-1].sum()
    fading = Subgoal(weight=1.0, threshold=None, power=2.0)(table)["reward"][:-1].sum()
    assert flat == 100.0
    assert fading < 3.0


@pytest.mark.parametrize("module", [CitationRubric(threshold=0.0), ReNorm(), PartialSuccess()], ids=str)
def test_a_share_out_of_range_is_refused_with_its_row(module):
    name = "partial" if isinstance(module, PartialSuccess) else "judge_score"
    table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({name: [0.0, 1.5, 0.0]})
    with pytest.raises(CreditError, match=rf"row 1: column '{name}' \(1.5\) is not in \[0, 1\]"):
        module(table)


@pytest.mark.parametrize(
    ("entry", "column"),
    [
        ({"use": "tool-correctness"}, "tool_correctness"),
        ({"use": "behaviour-step"}, "redundant"),
        ({"use": "citation-rubric", "column": "cited"}, "cited"),
        ({"use": "scheduled-mix", "column": "reward"}, "iteration"),
        ({"use": "partial-success"}, "partial"),
        ({"use": "novelty"}, "visits"),
        ({"use": "subgoal", "column": "interest"}, "interest"),
        ({"use": "likelihood"}, "answer_logprob"),
        ({"use": "renorm"}, "judge_score"),
    ],
)
def test_a_missing_column_is_named_before_anything_runs(entry, column):
    with pytest.raises(CreditError, match=f"needs the column '{column}'"):
        Pipeline.from_config([entry]).check()


def test_a_threshold_stands_for_success():
    assert "success" in CitationRubric().required()
    assert "success" not in CitationRubric(threshold=1.0).required()
    assert Novelty(combine="episodic").required() == frozenset()


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (CitationRubric, {"alpha": 1.5}),
        (ScheduledMix, {"steps": 0}),
        (ScheduledMix, {"start": -0.1}),
        (Novelty, {"ridge": 0.0}),
        (Novelty, {"combine": "both"}),
        (Subgoal, {"power": -1.0}),
        (BehaviourStep, {"enough": 0}),
        (Likelihood, {"weight": 2.0}),
        (PartialSuccess, {"weight": -1.0}),
    ],
)
def test_senseless_parameters_are_refused(module, parameters):
    with pytest.raises(ValidationError):
        module(**parameters)


@pytest.mark.parametrize("name", [*FILES.split(), "tool_correctness"])
def test_docstrings_are_true(name):
    result = doctest.testmod(importlib.import_module(f"agentgym.credit.{name}"))
    assert result.failed == 0
    assert result.attempted > 0
