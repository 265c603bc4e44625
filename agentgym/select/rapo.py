"""RAPO: a failed group gets back a success of earlier, and few informative groups weigh as much as many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from pydantic import Field

from agentgym.credit.table import TurnTable
from agentgym.errors import StoreError
from agentgym.seeding import generator
from agentgym.select.base import Play, Selecting, Selection, SelectionContext, restored, saved
from agentgym.select.curriculum import Solved
from agentgym.select.groups import Group, groups_of, spread
from agentgym.types import Task, Trajectory

MARK = "~replay"
"""Ends the id of a stored success that stands in a later group."""


class Rapo(Selection):
    """Per-prompt replay of successes, advantages scaled up where few groups are informative, and curriculum pruning.

    - **Replay.** Of each task the newest success is kept. In a group whose attempts all fail, one of them, drawn with
      the run's seed, gives its place to the task's stored success, if there is one. Only groups of two or more attempts
      that count: a success alone would have nothing to be compared with.
    - **Scaling.** All advantages are multiplied by G / G_good: the iteration's groups over those whose outcomes differ,
      replays included. Without an informative group the factor is 1.
    - **Pruning.** As `curriculum` with `solved_at` and `rest`; `prune = false` leaves it out.

    The replay has the id of the attempt whose place it takes, with `~replay` after it, and that attempt's group; its
    tokens, log-probabilities, environment seed and weights version are those it was sampled with. So the importance
    ratio is that to the old policy, and is clipped (`trainer.ratio = "sampler"`, the default; `"self"` would treat the
    tokens as fresh). Where the initial state depends on the environment's seed, it began in another one than its group.

    The scaling makes up for flat groups in the loss's mean: use it with `trainer.keep_flat = true`, as the paper's loss
    has them. Without, the trainer's mean is over informative sequences anyway; then say `scaling = "none"`. And leave
    `trainer.refill` at 0, which would replace failed groups before they could be given a success.

    Source: Fathom-DeepResearch (arXiv 2509.24107), section 2.4, equations 5 and 6, and the paragraph on the replay
    buffer, read in a text copy of the paper. Differences: there a success is a reward above 0.5 (0 for pruning); here
    it is `Trajectory.success`. Whether G counts the prompts of a batch or of a mini-batch is not said; here it is the
    iteration's. The authors' code could not be consulted.
    """

    scaling: Literal["inverse", "none"] = "inverse"
    """`inverse` multiplies by G / G_good."""
    prune: bool = True
    """Whether solved tasks are left out of the next epochs."""
    solved_at: float = Field(default=0.9, gt=0, le=1)
    """Least share of attempts that succeeded, for pruning."""
    rest: int = Field(default=1, ge=0)
    """For how many epochs a solved task is left out; 0 for good."""
    capacity: int = Field(default=1000, ge=1)
    """Most tasks with a stored success; the one stored longest ago goes. They are written into every checkpoint."""

    def open(self, context: SelectionContext) -> Selecting:
        """The module at work; needs the context's `write` and `read`."""
        return _Working(self, context)


class _Working(Selecting):
    def __init__(self, config: Rapo, context: SelectionContext) -> None:
        self.config, self.context = config, context
        self._solved = Solved(config.solved_at, config.rest)
        # Text, so that a success is the same bits whether a checkpoint came between or not. Oldest first.
        self._stored: dict[str, str] = {}
        self._replayed = 0
        self._factor = 1.0

    def wants(self, task: Task, epoch: int) -> bool:
        """False while a solved task rests."""
        return not (self.config.prune and self._solved.resting(task.id, epoch))

    def observe(self, played: Sequence[Trajectory], epoch: int) -> None:
        """Store the newest success of each task, and note which tasks are solved."""
        self._solved.observe(played, epoch)
        newest = {t.task_id: t for t in played if t.trainable and t.success and t.samples}
        for task, trajectory in newest.items():
            self._stored.pop(task, None)
            self._stored[task] = self.context.write(trajectory)
        for task in list(self._stored)[: -self.config.capacity]:
            del self._stored[task]

    def extend(self, played: Sequence[Trajectory], play: Play, iteration: int) -> list[Trajectory]:
        """A stored success in place of one attempt of each failed group."""
        found = list(played)
        for group in groups_of(played):
            if not group.failed or len(group.members) < 2 or group.task_id not in self._stored:
                continue
            place = self._place(group, iteration)
            stored = self.context.read(self._stored[group.task_id])
            victim = found[place]
            found[place] = replace(stored, id=victim.id + MARK, group=victim.group, attempt=victim.attempt)
            self._replayed += 1
        return found

    def _place(self, group: Group, iteration: int) -> int:
        rng = generator(self.context.seed, "rapo", iteration, group.name)
        return group.members[int(rng.integers(len(group.members)))]

    def scale(self, before: TurnTable, after: TurnTable) -> float:
        """G / G_good, or 1."""
        self._factor = inverse_share(before) if self.config.scaling == "inverse" else 1.0
        return self._factor

    def metrics(self) -> dict[str, float]:
        """`replayed` attempts, `stored` successes, `solved_tasks`, and the `scale` of the advantages."""
        found = {"replayed": float(self._replayed), "stored": float(len(self._stored))}
        found |= {"solved_tasks": float(len(self._solved.epochs)), "scale": self._factor}
        self._replayed = 0
        return found

    def state(self) -> dict[str, Any]:
        """Stored successes, oldest first, and solved tasks."""
        stored = [[task, text] for task, text in self._stored.items()]
        return saved(self.config, stored=stored, epochs=dict(self._solved.epochs))

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `Selecting.load_state`."""
        stored: Any = restored(self.config, state, "stored")
        try:
            self._stored = {str(task): str(text) for task, text in cast(list[tuple[str, str]], stored)}
        except (TypeError, ValueError) as error:
            raise StoreError(f"rapo: the checkpoint's successes are no texts by task: {error}") from error
        self._solved.load(restored(self.config, state, "epochs"))


def inverse_share(table: TurnTable) -> float:
    """Groups over groups whose outcomes differ; 1 where none differs.

    >>> inverse_share(TurnTable.from_rewards([[[1.0], [0.0]], [[0.0], [0.0]], [[1.0], [1.0]]]))
    3.0
    """
    differs = int((spread(table) > 0).sum())
    return table.groups.count / differs if differs else 1.0
