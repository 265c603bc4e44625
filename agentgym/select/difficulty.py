"""The difficulty filter: tasks that are neither too hard nor too easy for the policy as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agentgym.credit.table import TurnTable
from agentgym.errors import CreditError, StoreError
from agentgym.select.base import Selecting, Selection, SelectionContext, restored, saved
from agentgym.select.groups import groups_of, members, rows_of_groups
from agentgym.types import Trajectory


class Difficulty(Selection):
    """Keeps the groups whose task is solved in `low` to `high` of the attempts, both ends included.

    Without `memory` the share is that of the group as it stands, with what earlier modules added to it. With `memory`
    it is a running mean over the visits to its task:

        mean = memory * mean + (1 - memory) * share of this visit        (the first visit's share at the first)

    Into the mean go all attempts that the policy made of its own: those of groups that `trainer.refill` has replaced,
    too; stored successes and attempts with a hint do not. A visit in which no attempt counts (infra errors) leaves it
    alone. A success is `Trajectory.success`, whatever the score.

    Source: practice rather than one paper; online difficulty filtering is described, among others, in arXiv 2504.03380
    (not compared line by line with this).
    """

    low: float = Field(default=0.1, ge=0, le=1)
    high: float = Field(default=0.9, ge=0, le=1)
    memory: float = Field(default=0.0, ge=0, lt=1)
    """Weight of earlier visits to the task; 0 looks at the group alone."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low = {self.low} is above high = {self.high}: nothing would be kept")
        return self

    def open(self, context: SelectionContext) -> Selecting:
        """The module at work; it uses nothing of the context."""
        return _Working(self)


class _Working(Selecting):
    def __init__(self, config: Difficulty) -> None:
        self.config = config
        self._means: dict[str, float] = {}
        self._hard = self._easy = 0

    def observe(self, played: Sequence[Trajectory], epoch: int) -> None:
        """Move the running mean of every task that was visited."""
        if not self.config.memory:
            return
        for group in groups_of(played):
            if group.members:
                before = self._means.get(group.task_id, group.share)
                self._means[group.task_id] = before + (1 - self.config.memory) * (group.share - before)

    def keep(self, table: TurnTable, played: Sequence[Trajectory]) -> NDArray[np.bool_]:
        """Rows of groups whose task has the right difficulty `[n]`.

        Raises:
            CreditError: a group's task has not been observed.
        """
        if self.config.memory:
            shares = np.array([self._mean(played[int(i)]) for i in table["trajectory"][table.groups.first]])
        else:
            _, groups = members(table)
            shares = groups.mean(table["success"][table.last])
        hard, easy = shares < self.config.low, shares > self.config.high
        self._hard += int(hard.sum())
        self._easy += int(easy.sum())
        return rows_of_groups(table, ~(hard | easy))

    def _mean(self, member: Trajectory) -> float:
        if member.task_id not in self._means:
            raise CreditError(f"difficulty: task {member.task_id!r} of group {member.group!r} has not been observed")
        return self._means[member.task_id]

    def metrics(self) -> dict[str, float]:
        """`too_hard` and `too_easy`: groups left out."""
        found = {"too_hard": float(self._hard), "too_easy": float(self._easy)}
        self._hard = self._easy = 0
        return found

    def state(self) -> dict[str, Any]:
        """The running mean of every task."""
        return saved(self.config, means=self._means)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `Selecting.load_state`."""
        means: Any = restored(self.config, state, "means")
        try:
            self._means = {str(task): float(mean) for task, mean in means.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise StoreError(f"difficulty: the checkpoint's means are no numbers by task: {error}") from error
