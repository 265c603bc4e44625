"""Length term: a soft charge on answers that come near their limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agentgym.credit.table import TurnTable
from agentgym.credit.terms import Term


class Length(Term):
    """0 up to `free` units, then falling in a line to -penalty at `limit` units, and -penalty beyond.

    Bias: by design: short answers become part of the objective. Turns below `free` feel nothing.

    Source: soft overlong punishment of DAPO, arXiv 2503.14476, eq. 13, here for each turn instead of each response.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"tokens": [10, 15, 30]})
    >>> Length(free=10, limit=20, into="reward")(table)["reward"]
    array([ 0. ,  0.5, -1. ])
    """

    free: int = Field(ge=0)
    """Units that cost nothing."""
    limit: int = Field(ge=1)
    """Units from which the whole penalty is due."""
    penalty: float = Field(default=1.0, ge=0)
    """The whole penalty."""
    unit: Literal["tokens", "characters"] = "tokens"
    """What is counted; a policy that gives text only has 0 tokens."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.limit <= self.free:
            raise ValueError(f"limit ({self.limit}) must be larger than free ({self.free})")
        return self

    def required(self) -> frozenset[str]:
        """The column that is counted."""
        return frozenset({self.unit})

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        over = (table[self.unit] - self.free) / (self.limit - self.free)
        return self.add(table, -self.penalty * np.clip(over, 0.0, 1.0))
