"""Modules that change what an attempt is worth: which attempts are right, and how a new outcome reaches the rewards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.columns import refuse
from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Float
from agentgym.credit.table import TurnTable


class Reworked(CreditModule):
    """Base of modules that give each attempt a new outcome.

    What the outcome changes by is paid in the last turn: estimators of attempts, which read outcomes, and those of
    turns, which read rewards, feel the same, and rewards that summed to the outcome still do.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"reward", "outcome"})

    def give(self, table: TurnTable, outcome: Float) -> Mapping[str, NDArray[Any]]:
        """`reward` and `outcome` with new outcomes `[n]`, the same in all rows of a trajectory."""
        change = np.where(table["done"], outcome - table["outcome"], 0.0)
        return {"reward": table["reward"] + change, "outcome": outcome}


class Gated(Reworked):
    """Base of those that treat right and wrong attempts differently."""

    threshold: float | None = None
    """An attempt is right where its outcome reaches this; where `success` is true if not given."""

    def required(self) -> frozenset[str]:
        """`success` where no threshold is given, and what the module needs."""
        return self.needs if self.threshold is not None else self.needs | {"success"}

    def right(self, table: TurnTable) -> NDArray[np.bool_]:
        """Which rows are of attempts that got it right `[n]`."""
        if self.threshold is not None:
            return table["outcome"] >= self.threshold
        return table["success"].astype(np.bool_)


def share(table: TurnTable, name: str) -> Float:
    """A column that must be in [0, 1].

    Raises:
        CreditError: it is not; names the row.
    """
    values = table[name].astype(np.float64)
    refuse(name, (values < 0) | (values > 1), "is not in [0, 1]", values)
    return values
