"""Invalid-action term: charge for actions that the environment could not execute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.table import TurnTable
from agentgym.credit.terms import Term


class InvalidAction(Term):
    """r'_t = r_t - penalty where the action could not be read or executed (`fault`).

    The outcome gets the mean of the attempt's terms (`into`).

    Bias: by design: executable actions become part of the objective.

    Source: the invalid-action penalty of the public GiGPO trainer (arXiv 2505.10978), 0.1, there on turn rewards
    alone: `into = "reward"`.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"fault": [True, False, True]})
    >>> InvalidAction(into="reward")(table)["reward"]
    array([-0.1,  1. , -0.1])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"fault"})

    penalty: float = Field(default=0.1, ge=0)
    """For each turn at fault."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        return self.add(table, np.where(table["fault"], -self.penalty, 0.0))
