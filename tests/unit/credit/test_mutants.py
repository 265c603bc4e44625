"""What mutation testing found no test for: the edges of column types, and the defaults of tables from lists."""

from __future__ import annotations

import numpy as np
import pytest

from agentgym.credit import TurnTable
from agentgym.credit.columns import coerce
from agentgym.errors import CreditError

LARGEST = np.iinfo(np.int64).max


def test_the_largest_whole_number_fits_and_the_next_does_not() -> None:
    assert coerce("turn", np.array([LARGEST], dtype=np.uint64)).tolist() == [LARGEST]
    with pytest.raises(CreditError, match=r"row 1: column 'turn'.*64 bits"):
        coerce("turn", np.array([LARGEST, LARGEST + 1], dtype=np.uint64))


def test_turns_from_lists_have_one_token_each() -> None:
    assert TurnTable.from_rewards([[[0.0, 1.0], [0.0]]])["tokens"].tolist() == [1, 1, 1]
