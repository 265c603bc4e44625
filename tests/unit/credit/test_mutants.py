"""What mutation testing found no test for: edges of column types, of gates, and of parameters."""

from __future__ import annotations

import numpy as np
import pytest

from agentgym.config import parse
from agentgym.credit import TurnTable
from agentgym.credit.columns import coerce
from agentgym.credit.gates import opened
from agentgym.credit.length import Length
from agentgym.credit.likelihood import Likelihood
from agentgym.errors import CreditError

LARGEST = np.iinfo(np.int64).max


def test_the_largest_whole_number_fits_and_the_next_does_not() -> None:
    assert coerce("turn", np.array([LARGEST], dtype=np.uint64)).tolist() == [LARGEST]
    with pytest.raises(CreditError, match=r"row 1: column 'turn'.*64 bits"):
        coerce("turn", np.array([LARGEST, LARGEST + 1], dtype=np.uint64))


def test_turns_from_lists_have_one_token_each() -> None:
    assert TurnTable.from_rewards([[[0.0, 1.0], [0.0]]])["tokens"].tolist() == [1, 1, 1]


def test_no_gates_are_open_and_each_has_a_threshold() -> None:
    assert opened([], []) == []
    with pytest.raises(ValueError, match="zip"):
        opened([np.zeros(2), np.zeros(2)], [None])


def test_a_length_charge_from_a_recipe_is_one() -> None:
    """Direct construction hides what the check of the bounds returns; a recipe's entry does not."""
    assert parse(Length, {"free": 1, "limit": 2}, "recipe") == Length(free=1, limit=2)


def test_a_probability_above_one_counts_as_one() -> None:
    table = TurnTable.from_rewards([[[0.0], [0.0]]]).with_columns({"answer_logprob": [0.25, -0.25]})
    assert Likelihood(scale="probability")(table)["outcome"].tolist() == [1.0, np.exp(-0.25)]
