"""Citation rubric (CaRR): a right answer is worth more with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.reworked import Gated, share
from agentgym.credit.table import TurnTable


class CitationRubric(Gated):
    """R' = (1 - alpha) R + alpha q where the outcome is right, R elsewhere.

    q in [0, 1] is the share of single-hop statements whose entities the attempt named, supported by a cited page and
    connected to the answer: what the scorer `judge` with `prompt = "rubric"` writes. Of a column that differs between
    turns the last turn counts. With `normalise` q is divided by the largest q of the group (by 1 where that is 0).

    Bias: by design: among right attempts those with more evidence are preferred; wrong ones gain nothing from it.

    Source: CaRR and C-GRPO, arXiv 2601.06021. Verified: read from the authors' public code, which has alpha = 0.3 and
    the gate. It also asks for the division by the group's best, but in the branch with the gate does not apply it:
    so `normalise` is off by default. No numbers of theirs to compare with.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns(
    ...     {"success": [True, True, False], "judge_score": [0.5, 0.5, 1.0]})
    >>> CitationRubric()(table)["outcome"], CitationRubric()(table)["reward"]
    (array([0.85, 0.85, 0.  ]), array([0.  , 0.85, 0.  ]))
    """

    alpha: float = Field(default=0.3, ge=0, le=1)
    """Weight of the rubric."""
    column: str = "judge_score"
    """Column of q."""
    normalise: bool = False
    """Whether the group's best rubric counts as 1."""

    def required(self) -> frozenset[str]:
        """The rubric's column, and what says that an attempt is right."""
        return super().required() | {self.column}

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`.

        Raises:
            CreditError: a rubric score is not in [0, 1].
        """
        rubric = share(table, self.column)[table.last][table.trajectories.ids]
        if self.normalise:
            best = np.maximum.reduceat(rubric, table.groups.first) if len(table) else rubric
            best = best[table.groups.ids]
            rubric = rubric / np.where(best > 0, best, 1.0)
        mixed = (1 - self.alpha) * table["outcome"] + self.alpha * rubric
        return self.give(table, np.where(self.right(table), mixed, table["outcome"]))
