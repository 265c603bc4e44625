"""What each estimator and shaper of turns promises beyond the plain loops: telescoping, gates, identities, vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from credit_cases import CASES, tables
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentgym.credit import Pipeline, TurnTable
from agentgym.credit.discounted_return import DiscountedReturn
from agentgym.credit.entropy_modulated import EntropyModulated
from agentgym.credit.format import Format
from agentgym.credit.gae import Gae
from agentgym.credit.gated_accumulation import GatedAccumulation
from agentgym.credit.hierarchical_gate import HierarchicalGate
from agentgym.credit.implicit_process import ImplicitProcess
from agentgym.credit.implicit_step import ImplicitStep
from agentgym.credit.information_gain import InformationGain
from agentgym.credit.invalid_action import InvalidAction
from agentgym.credit.length import Length
from agentgym.credit.log_ratio_td import LogRatioTd
from agentgym.credit.min_form import MinForm
from agentgym.credit.outcome import Outcome
from agentgym.credit.potential import Potential
from agentgym.credit.progress import Progress
from agentgym.credit.rloo import Rloo
from agentgym.credit.turn_group import TurnGroup
from agentgym.errors import CreditError

VECTORS = json.loads((Path(__file__).parents[2] / "golden/vectors/implicit_step_rloo.json").read_text())["cases"]


def close(found, expected, size=1e-9):
    np.testing.assert_allclose(found, expected, rtol=size, atol=size)


@pytest.mark.parametrize("case", VECTORS, ids=range(len(VECTORS)))
def test_implicit_step_reproduces_the_authors_numbers(case):
    rows = case["rows"]
    columns = {name: [row[name] for row in rows] for name in ("group", "trajectory", "turn", "outcome")}
    numbers = {trajectory: n for n, trajectory in enumerate(dict.fromkeys((r["group"], r["trajectory"]) for r in rows))}
    columns["trajectory"] = [numbers[r["group"], r["trajectory"]] for r in rows]
    last = [columns["trajectory"][n : n + 2].count(columns["trajectory"][n]) == 1 for n in range(len(rows))]
    rewards = {"reward": [0.0] * len(rows), "implicit_reward": [row["step_reward"] for row in rows]}
    filled = {"done": last, "state": [0] * len(rows), "tokens": [1] * len(rows)}
    credit = ImplicitStep(step_statistics="first_rows")(TurnTable({**columns, **rewards, **filled}))
    expected = case["expected"]
    close(credit["episode_advantage"], expected["episode_advantage"], 1e-5)
    close(credit["step_advantage"], expected["step_advantage_authors_one_row_per_trajectory"], 1e-5)


@CASES
@given(tables())
def test_information_gain_telescopes(columns):
    table = TurnTable(columns)
    turns = table.trajectories
    p, first = np.exp(columns["answer_logprob"]), np.exp(columns["answer_logprob_before"])[turns.first]
    close(turns.sum(InformationGain()(table)["information_gain"]), p[table.last] - first)
    # What is paid before the last turn is what was known when that began.
    reward = np.where(columns["done"], 0.0, InformationGain()(table)["reward"])
    close(turns.sum(reward), np.exp(columns["answer_logprob_before"])[table.last] - first)


@CASES
@given(tables())
def test_log_ratios_telescope(columns):
    table = TurnTable(columns)
    turns = table.trajectories
    paid = turns.sum(LogRatioTd(outcome_weight=0.0)(table)["reward"])
    close(paid, columns["answer_logprob"][table.last] - columns["answer_logprob_before"][turns.first])


@CASES
@given(tables(), st.floats(0, 1))
def test_a_closed_gate_lets_nothing_through(columns, threshold):
    """Whatever the low rewards of a failed attempt are, its reward and outcome are the same."""
    table = TurnTable(columns)
    other = {**columns, "reward.tool": columns["reward.tool"] * -3.0 + 100.0}
    module = GatedAccumulation(low=[{"column": "reward.tool"}], threshold=threshold)
    here, there = module(table), module(TurnTable(other))
    closed = columns["outcome"] < threshold
    for name in ("reward", "outcome"):
        assert here[name][closed].tolist() == there[name][closed].tolist()
        assert (here[name][~closed & columns["done"]] != there[name][~closed & columns["done"]]).all()
    close(here["outcome"][closed], columns["outcome"][closed])


@CASES
@given(tables())
def test_a_closed_level_pays_nothing(columns):
    table = TurnTable(columns)
    basic = {"columns": {"reward.format": 1.0}, "threshold": 0.75}
    module = HierarchicalGate(levels=[basic, {"columns": {"reward.tool": 1.0}}])
    sums = table.trajectories.sum(columns["reward.format"])[table.trajectories.ids]
    pay = module(table)["reward"] - columns["reward.format"]
    close(pay, np.where(sums >= 0.75, columns["reward.tool"], 0.0))


@CASES
@given(tables())
def test_weight_zero_is_the_identity(columns):
    table = TurnTable(columns)
    for module in (
        Potential(weight=0.0),
        Format(penalty=0.0),
        Length(free=1, limit=2, penalty=0.0),
        InvalidAction(penalty=0.0),
    ):
        for name, values in module(table).items():
            close(values, columns[name], 1e-12)
    close(ImplicitStep(step_weight=0.0)(table)["advantage"], Rloo()(table)["advantage"])
    close(ImplicitProcess(process_weight=0.0)(table)["advantage"], Rloo()(table)["advantage"])
    flat = EntropyModulated(k=0.0, zeta=0.0)(table)["advantage"]
    np.testing.assert_allclose(flat, columns["advantage"] - columns["advantage"].mean(), atol=1e-6)
    nothing = Progress(alpha=0.0, beta=0.0)(table)["reward"]
    assert not nothing.any()


@CASES
@given(tables(longest=1))
def test_one_turn_trajectories_reduce_to_the_outcome_estimator(columns):
    columns["reward"], columns["value"] = columns["outcome"], np.zeros(len(columns["turn"]))
    table = TurnTable(columns)
    outcome = Outcome()(table)["advantage"]
    close(Gae()(table)["advantage"], outcome)
    close(MinForm()(table)["advantage"], outcome)
    close(InformationGain()(table)["reward"], outcome)
    close(Potential()(table)["reward"], outcome)
    close(GatedAccumulation(low=[{"column": "reward.tool", "weight": 0.0}])(table)["outcome"], outcome)


@CASES
@given(tables(), st.floats(0, 1), st.floats(-3, 3))
def test_a_potential_moves_all_returns_by_the_same_constant(columns, gamma, initial):
    """The theorem: with Phi = 0 at the end, the return from the start changes by -Phi(s_0) only."""
    table = TurnTable(columns)
    shaped = table.with_columns(Potential(gamma=gamma, initial=initial)(table))
    before, after = (DiscountedReturn(gamma=gamma)(t)["return"] for t in (table, shaped))
    first = table.trajectories.first
    close(after[first] - before[first], np.full(len(first), -initial), 1e-7)


@CASES
@given(tables(), st.floats(0, 1))
def test_values_telescope_to_a_baseline_at_lambda_one(columns, gamma):
    table = TurnTable(columns)
    returns = DiscountedReturn(gamma=gamma)(table)["return"]
    credit = Gae(gamma=gamma, lam=1.0)(table)
    close(credit["advantage"], returns - columns["value"], 1e-7)
    close(credit["return"], returns, 1e-7)


@CASES
@given(tables())
def test_the_min_form_tends_to_the_worst_step(columns):
    columns["reward"] = np.round(columns["reward"] * 4) / 4  # Steps of 0.25, so that a small tau tells them apart.
    table = TurnTable(columns)
    first = table.trajectories.first
    worst = np.minimum.reduceat(columns["reward"], first)
    np.testing.assert_allclose(MinForm(tau=1e-3)(table)["advantage"][first], worst, atol=1e-6)


def test_a_constant_turn_reward_of_survivors_is_taken_away_by_the_turn_group():
    """Why its card warns: those who went on all got 1 more, and the comparison within a turn does not see it."""
    table = TurnTable.from_rewards([[[0.0, 1.0], [0.0, 1.0], [0.0]]])
    assert TurnGroup()(table)["advantage"][1::2][:2].tolist() == [0.0, 0.0]


def test_entropy_modulation_of_equal_entropies_only_centres():
    table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns(
        {"advantage": [1.0, 0.5, -1.0], "entropy": [2.0] * 3}
    )
    np.testing.assert_allclose(
        EntropyModulated(zeta=0.0)(table)["advantage"], np.array([1.0, 0.5, -1.0]) - 0.5 / 3, atol=1e-7
    )


@pytest.mark.parametrize("name", ["information-gain", "implicit-step", "implicit-process"])
def test_an_attempt_without_peers_gets_nothing(name):
    table = TurnTable.from_rewards([[[0.0, 1.0]]]).with_columns(
        {"answer_logprob": [-1.0, -0.5], "answer_logprob_before": [-2.0, -1.0], "implicit_reward": [1.0, 2.0]}
    )
    for parameters in ({}, {"baseline": "grpo"}) if name == "implicit-step" else ({},):
        module = Pipeline.from_config([{"use": name, **parameters}])
        assert module(table)["advantage"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("entry", "column"),
    [
        ({"use": "gae"}, "value"),
        ({"use": "information-gain"}, "answer_logprob"),
        ({"use": "gated-accumulation", "low": [{"column": "reward.tool"}]}, "reward.tool"),
        ({"use": "min-form", "column": "judge_score"}, "judge_score"),
        ({"use": "information-gain", "format_penalty": -1.0}, "fault"),
    ],
)
def test_a_missing_column_is_named_before_anything_runs(entry, column):
    there = {"answer_logprob", "answer_logprob_before"} if column == "fault" else set()
    with pytest.raises(CreditError, match=f"needs the column '{column}'"):
        Pipeline.from_config([entry]).check({*TurnTable.from_rewards([]).columns, *there})


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (Length, {"free": 5, "limit": 5}),
        (Length, {"free": 5}),
        (GatedAccumulation, {"low": []}),
        (HierarchicalGate, {"levels": []}),
        (HierarchicalGate, {"levels": [{"columns": {}}]}),
        (InformationGain, {"format_penalty": 1.0}),
        (MinForm, {"tau": 0.0}),
        (Gae, {"lam": 1.5}),
        (EntropyModulated, {"k": -1.0}),
    ],
)
def test_senseless_parameters_are_refused(module, parameters):
    with pytest.raises(ValidationError):
        module(**parameters)
