"""Bad input, for every module, as docs/credit.md has it: what is left out changes nothing, what is wrong is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from credit_cases import MODULES, furnished

from agentgym.credit import CreditModule, TurnTable
from agentgym.errors import CreditError
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn

each = pytest.mark.parametrize(("name", "module"), MODULES, ids=lambda v: str(v))
REWARDS = [[[0.0, 1.0], [0.0], [0.0, -0.5, 0.25]], [[1.0], [0.0, 0.0]]]
STATES = [[["hall", "cellar"], ["hall"], ["hall", "hall", "cellar"]], [["attic"], ["attic", "hall"]]]
ALONE = {"outcome", "discounted-return", "gae", "min-form", "reinforce++", "anchor-state"}
"""Estimators in which an attempt without peers may have an advantage; the page names them."""


def attempt(name: str, group: str, rewards: list[float], states: list[str], ending: Ending) -> Trajectory:
    turns = tuple(
        Turn(Observation(key), Completion("go", tokens=(1, 2), logprobs=(-0.5, -0.25)), "go", reward)
        for key, reward in zip(states, rewards, strict=True)
    )
    return Trajectory(name, "e", "task", group, 0, 0, turns, ending, score=math.fsum(rewards))


GOOD = [
    attempt(f"{g}{i}", f"g{g}", rewards, STATES[g][i], Ending.SUCCESS if sum(rewards) > 0 else Ending.FAILURE)
    for g, members in enumerate(REWARDS)
    for i, rewards in enumerate(members)
]


@each
def test_infra_errors_attempts_without_turns_and_empty_groups_change_nothing(name: str, module: CreditModule) -> None:
    broken = [
        attempt("broken", "g0", [9.0, 9.0], ["hall", "attic"], Ending.INFRA_ERROR),
        attempt("none", "g0", [], [], Ending.FAILURE),
        attempt("all of a group", "g9", [5.0], ["hall"], Ending.INFRA_ERROR),
    ]
    plain = module(furnished(TurnTable.from_trajectories(GOOD)))
    mixed = [*broken, *GOOD]
    table = furnished(TurnTable.from_trajectories(mixed))
    credit = table.with_columns(module(table))
    for column, values in plain.items():
        parts = credit.per_trajectory(column, len(mixed))
        assert parts[: len(broken)] == [None] * len(broken)
        np.testing.assert_allclose(np.concatenate([p for p in parts if p is not None]), values, atol=1e-12)


@each
def test_an_attempt_without_peers_is_finite_and_nothing_unless_the_page_says_so(
    name: str, module: CreditModule
) -> None:
    table = furnished(TurnTable.from_rewards([[[0.25, 1.0]], [[-1.0]]], [[["a", "b"]], [["a"]]]))
    found = module(table)
    for values in found.values():
        assert np.isfinite(values).all()
    first_rows = getattr(module, "step_statistics", "") == "first_rows"  # As the authors' code has it.
    if "advantage" in found and name not in ALONE and name != "entropy-modulated" and not first_rows:
        assert found["advantage"].tolist() == [0.0] * 3


@each
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_names_row_and_column(name: str, module: CreditModule, value: float) -> None:
    table = furnished(TurnTable.from_rewards(REWARDS, STATES))
    for column in sorted({"reward", "outcome", *module.required()}):
        if table[column].dtype != np.float64:
            continue
        values = table[column].copy()
        values[4] = value
        with pytest.raises(CreditError, match=rf"row 4: column '{column}'.* is not finite"):
            table.with_columns({column: values})


def test_an_empty_group_has_no_rows() -> None:
    assert len(TurnTable.from_rewards([[], [[1.0]], []])) == 1
    with pytest.raises(CreditError, match="group 1, trajectory 0 of it has no turns"):
        TurnTable.from_rewards([[[1.0]], [[]]])
