"""Partial success (VeRPO): tests that pass count by how hard they are, beside the outcome that wants them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.reworked import Reworked, share
from agentgym.credit.table import TurnTable


class PartialSuccess(Reworked):
    """R' = R + w p, with p in [0, 1] the share of the tests' weights that the attempt's passed tests have.

    The scorer `test-difficulty` writes p (`partial`): a test weighs by how rarely it passed so far. p reaches 1 only
    where every test passes.

    Bias: by design: passing some tests is part of the objective. While w is small against what the full outcome
    pays, the best policy is the same unless it can have one only at the other's cost.

    Source: VeRPO, arXiv 2601.03525. From its abstract: weights by difficulty from running statistics, their sum over
    passed tests as dense reward, joined with the outcome of the whole. The exact weights, its comparison of turns and
    the size of w could not be checked; here both are joined by a sum.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"partial": [1.0, 1.0, 0.25]})
    >>> PartialSuccess(weight=0.5)(table)["outcome"], PartialSuccess(weight=0.5)(table)["reward"]
    (array([1.5  , 1.5  , 0.125]), array([0.   , 1.5  , 0.125]))
    """

    needs: ClassVar[frozenset[str]] = frozenset({"partial"})

    weight: float = Field(default=0.5, ge=0)
    """w."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`.

        Raises:
            CreditError: a share is not in [0, 1].
        """
        passed = share(table, "partial")[table.last][table.trajectories.ids]
        return self.give(table, table["outcome"] + self.weight * passed)
