"""Curriculum pruning: a task that is solved nearly always is left out for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from agentgym.errors import StoreError
from agentgym.select.base import Selecting, Selection, SelectionContext, restored, saved
from agentgym.select.groups import groups_of
from agentgym.types import Task, Trajectory


class Solved:
    """Tasks that were solved when they were last played, and the epoch they were drawn in then.

    >>> solved = Solved(0.9, rest=1)
    >>> solved.epochs["easy"] = 0
    >>> [solved.resting("easy", epoch) for epoch in (0, 1, 2)]
    [False, True, False]
    """

    def __init__(self, solved_at: float, rest: int) -> None:
        self.solved_at, self.rest = solved_at, rest
        self.epochs: dict[str, int] = {}

    def resting(self, task_id: str, epoch: int) -> bool:
        """Whether the task is left out of an epoch."""
        last = self.epochs.get(task_id)
        return last is not None and epoch > last and (not self.rest or epoch <= last + self.rest)

    def observe(self, played: Sequence[Trajectory], epoch: int) -> None:
        """Note the tasks that were solved, and forget those that no longer are."""
        for group in groups_of(played):
            if not group.members:
                continue  # The world broke: nothing is known of the task.
            if group.share >= self.solved_at:
                self.epochs[group.task_id] = epoch
            else:
                self.epochs.pop(group.task_id, None)

    def load(self, epochs: Any) -> None:
        """Continue from `epochs` as a checkpoint has it; raises `StoreError` if it has something else."""
        try:
            self.epochs = {str(task): int(epoch) for task, epoch in epochs.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise StoreError(f"the checkpoint's solved tasks are no epochs by task: {error}") from error


class Curriculum(Selection):
    """Leaves a task out of the epochs after one in which at least `solved_at` of its attempts succeeded.

    The training loop goes through the tasks in epochs, each in an order of its own, and passes over what is not wanted:
    what is played concentrates on what is not solved yet. After `rest` epochs a task comes back, and is left out again
    if it is still solved. Where no task of the set is wanted in an epoch, all of them are played (and counted as
    `train/unwanted_tasks`): a run never stands still.

    All attempts that the policy made of its own count, except those that met an infra error; where none counts, nothing
    is known and nothing changes. A success is `Trajectory.success`.

    Source: Fathom-DeepResearch (arXiv 2509.24107), section 2.4, equation 5, read in a text copy of the paper: prompts
    with a solve rate of at least 0.9 are pruned at the end of each epoch. Differences: there an attempt is solved when
    its reward is above 0, which with partial rewards would be nearly always; and the text does not say that a pruned
    prompt ever comes back (`rest = 0` is that reading). Here it does by default: what was solved can be forgotten.
    """

    solved_at: float = Field(default=0.9, gt=0, le=1)
    """Least share of attempts that succeeded."""
    rest: int = Field(default=1, ge=0)
    """For how many epochs a solved task is left out; 0 for good."""

    def open(self, context: SelectionContext) -> Selecting:
        """The module at work; it uses nothing of the context."""
        return _Working(self)


class _Working(Selecting):
    def __init__(self, config: Curriculum) -> None:
        self.config = config
        self._solved = Solved(config.solved_at, config.rest)

    def wants(self, task: Task, epoch: int) -> bool:
        """False while the task rests."""
        return not self._solved.resting(task.id, epoch)

    def observe(self, played: Sequence[Trajectory], epoch: int) -> None:
        """Note which tasks are solved."""
        self._solved.observe(played, epoch)

    def metrics(self) -> dict[str, float]:
        """`solved_tasks`: tasks that were solved when they were last played."""
        return {"solved_tasks": float(len(self._solved.epochs))}

    def state(self) -> dict[str, Any]:
        """The solved tasks."""
        return saved(self.config, epochs=dict(self._solved.epochs))

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `Selecting.load_state`."""
        self._solved.load(restored(self.config, state, "epochs"))
