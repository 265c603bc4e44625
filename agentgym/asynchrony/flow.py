"""Which groups are played while the learner steps, and which come too late to be learnt from.

A group is *ordered* when its attempts go to the player, and *taken* when the learner has its trajectories; it counts
until the sampler has the weights that were learnt from it. The bound on what is ordered is all the control there is:
with a staleness of S iterations, at most (S + 1) iterations' groups are on their way, so a group that takes no longer
than its turn is in time, and a sampler that is faster than the learner waits. Groups are taken as they finish; one
that is overtaken for too long is dropped, counted, and its task is played anew.

Everything here happens in the learner's thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from agentgym.asynchrony.player import Player
from agentgym.asynchrony.staleness import Versions, token_versions
from agentgym.errors import StoreError
from agentgym.policy import Sampling
from agentgym.rollout import attempts
from agentgym.seeding import derive
from agentgym.types import Task, Trajectory


class Drawn(NamedTuple):
    """A task that is to be played."""

    task: Task
    epoch: int
    """Which pass over the training tasks it was drawn in."""
    wanted: bool
    """False where no task of the epoch was wanted, so that all of them are played."""


@dataclass(frozen=True, slots=True)
class Order:
    """A group that is to be played."""

    place: int
    """Its number in the run, from 0: with `again`, what its ids and seeds are made of."""
    again: int
    """How many times it was dropped before."""
    task: Task
    epoch: int
    """Which pass over the training tasks it was drawn in."""
    wanted: bool
    """See `Drawn`."""

    @property
    def key(self) -> str:
        """Unique within a run; the prefix of its attempts' ids."""
        return f"{self.place}.{self.again}:"


@dataclass
class Batch:
    """What an iteration learns from."""

    groups: list[list[Trajectory]] = field(default_factory=list[list[Trajectory]])
    """Groups to learn from, as many as asked for."""
    seen: list[tuple[Order, list[Trajectory]]] = field(default_factory=list[tuple[Order, list[Trajectory]]])
    """All groups that were in time: those, and flat ones that were replaced."""
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    """`async/dropped_groups`, `async/staleness_mean` and `_max` (over sampled tokens, in versions), `async/queue`
    (finished groups that wait), `async/in_flight` (groups being played), `time/waited` (seconds without a group)."""


class Flow:
    """The groups of a run on their way from the player to the learner.

    Attributes:
        player: who plays.
        staleness: most versions that a token may be behind when it is learnt from.
        queue: most groups that are ordered and not taken.
    """

    def __init__(
        self, player: Player, sampling: Sampling, *, staleness: int, queue: int, tasks: int, group: int, seed: int
    ) -> None:
        """Args: `player` and `sampling` for training; `staleness` at least 1; `queue` of groups, 0 for as many as
        can be in time; `tasks` groups in an iteration; `group` attempts in each; `seed` of the run."""
        self.player, self.sampling, self.staleness = player, sampling, staleness
        self.queue = queue or (staleness + 1) * tasks
        self.tasks, self.group, self.seed = tasks, group, seed
        self._versions = Versions()
        self._next = 0
        self._line: deque[Order] = deque()
        """Orders to be played before new tasks are drawn."""
        self._ordered: dict[str, Order] = {}
        self._taken = 0

    def published(self, version: int) -> None:
        """The sampler has these weights now: what was taken is learnt from, and counts no longer."""
        self._versions.publish(version)
        self._taken = 0

    def order(self, draw: Callable[[int], Drawn], needed: int) -> None:
        """Have groups played, as many as there is room for.

        Args:
            draw: the task for a place in the run; called once for each place, in order.
            needed: groups that the run still learns from, those already taken for this iteration included.
        """
        most = min(self.queue, (self.staleness + 1) * self.tasks - self._taken, needed - self._taken)
        while len(self._ordered) < most:
            if self._line:
                order = self._line.popleft()
            else:
                drawn = draw(self._next)
                order = Order(self._next, 0, *drawn)
                self._next += 1
            seed = derive(self.seed, "train", order.place, order.again)
            self._ordered[order.key] = order
            todo = attempts([order.task], self.group, seed, prefix=order.key)
            self.player.submit(order.key, todo, self.sampling)

    def batch(
        self,
        draw: Callable[[int], Drawn],
        needed: int,
        replace_flat: int = 0,
        flat: Callable[[Sequence[Trajectory]], bool] = lambda _: False,
        on_group: Callable[[Sequence[Trajectory]], None] = lambda _: None,
    ) -> Batch:
        """The groups of an iteration, waiting for them.

        Args:
            draw: as for `order`.
            needed: as for `order`.
            replace_flat: how many groups for which `flat` holds are replaced by others.
            flat: whether nothing can be learnt from a group.
            on_group: called with each group as it is kept.

        Raises:
            Exception: whatever broke in the background.
        """
        found, dropped, waited = Batch(), 0, 0.0
        while len(found.groups) < self.tasks:
            self.order(draw, needed)
            began = time.monotonic()
            key, group = self.player.take()
            waited += time.monotonic() - began
            order = self._ordered.pop(key)
            if self._versions.behind(token_versions(group)).max(initial=0) > self.staleness:
                dropped += 1
                self._line.append(replace(order, again=order.again + 1))
                continue
            found.seen.append((order, group))
            if replace_flat and flat(group):
                replace_flat -= 1
                continue
            self._taken += 1
            found.groups.append(group)
            on_group(group)
        self.order(draw, needed)
        behind = self._versions.behind(token_versions([t for group in found.groups for t in group]))
        waiting = self.player.waiting
        found.metrics = {
            "async/dropped_groups": dropped,
            "async/staleness_mean": float(np.mean(behind)) if len(behind) else 0.0,
            "async/staleness_max": float(behind.max(initial=0)),
            "async/queue": waiting,
            "async/in_flight": len(self._ordered) - waiting,
            "time/waited": waited,
        }
        return found

    # Saving ---------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold, in JSON values: which groups are ordered and not learnt from."""
        line = sorted([*self._ordered.values(), *self._line], key=lambda order: order.place)
        orders = [
            {"place": o.place, "again": o.again, "task": o.task.id, "epoch": o.epoch, "wanted": o.wanted} for o in line
        ]
        return {"next": self._next, "orders": orders}

    def load_state(self, state: Mapping[str, Any], tasks: Sequence[Task]) -> None:
        """Continue from `state()`: what was in flight is played again, with the same ids and seeds.

        Args:
            state: what `state` gave.
            tasks: the training tasks.

        Raises:
            StoreError: it is no such state, or names a task that is not there.
        """
        try:
            wanted = {str(order["task"]) for order in state["orders"]}
            known = {task.id: task for task in tasks if task.id in wanted} if wanted else {}
            missing = sorted(wanted - set(known))
            if missing:
                raise StoreError(
                    f"the checkpoint has task {missing[0]!r} in flight, which the environment does not have any more"
                )
            self._line = deque(
                Order(int(o["place"]), int(o["again"]), known[str(o["task"])], int(o["epoch"]), bool(o["wanted"]))
                for o in state["orders"]
            )
            self._next = int(state["next"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the checkpoint's groups in flight cannot be read: {error!r}") from error
