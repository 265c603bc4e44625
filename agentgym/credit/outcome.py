"""Outcome broadcast: every turn gets its trajectory's outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from agentgym.credit.module import CreditModule
from agentgym.credit.table import TurnTable


class Outcome(CreditModule):
    """A_{i,t} = R_i. Plain REINFORCE without a baseline: unbiased, of high variance.

    Source: Williams 1992, Simple statistical gradient-following algorithms, eq. 4.
    """

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        return {"advantage": table["outcome"]}
