"""The zero-variance filter: groups in which all attempts did equally well leave before credit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.table import TurnTable
from agentgym.select.base import Selecting, Selection, SelectionContext
from agentgym.select.groups import rows_of_groups, spread
from agentgym.types import Trajectory


class ZeroVariance(Selection):
    """Keeps the groups whose attempts differ in outcome; the others are neither scored, nor credited, nor trained on.

    In a group of equal outcomes every group-relative advantage is 0 whether it is left out or not. It makes a
    difference where something looks beyond outcomes or groups: estimators over the batch (`reinforce++`) get other
    statistics, step-level terms (`anchor-state`) no longer train such groups, and scorers that cost something (a judge)
    are not asked.

    A group of one, and a group of which one attempt is left after infra errors, has nothing to compare and leaves, too.

    This leaves the batch smaller. `trainer.refill = k` makes it whole again: flat groups are replaced by fresh tasks up
    to k times an iteration, before this module sees them.

    Source: DAPO (arXiv 2503.14476), dynamic sampling: there prompts with accuracy 1 or 0 are left out and sampling goes
    on until the batch is full. Here outcomes are compared rather than successes: partial scores are a difference, too.
    """

    tolerance: float = Field(default=0.0, ge=0)
    """Outcomes that differ by no more than this are equal."""

    def open(self, context: SelectionContext) -> Selecting:
        """The module at work; it uses nothing of the context and remembers nothing."""
        return _Working(self)


class _Working(Selecting):
    def __init__(self, config: ZeroVariance) -> None:
        self.config = config
        self._dropped = 0

    def keep(self, table: TurnTable, played: Sequence[Trajectory]) -> NDArray[np.bool_]:
        """Rows of groups whose outcomes differ `[n]`."""
        differs = spread(table) > self.config.tolerance
        self._dropped += int((~differs).sum())
        return rows_of_groups(table, differs)

    def metrics(self) -> dict[str, float]:
        """`dropped_groups`."""
        dropped, self._dropped = self._dropped, 0
        return {"dropped_groups": float(dropped)}
