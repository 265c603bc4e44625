"""Credit of a stored run, computed again: which trajectories, with which columns, and how far from what was recorded.

Nothing is played and no model is loaded. Trajectories without recorded credit were left out of their iteration's
statistics when it was trained on (a broken world, a selection module), and are left out here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym import registry
from agentgym.credit import Pipeline, TurnTable
from agentgym.errors import AgentgymError, CreditError, StoreError, UsageError
from agentgym.recipe import Recipe
from agentgym.scorers import Scorer, ScorerContext, Working
from agentgym.store import RunFolder
from agentgym.types import Task, Trajectory


@dataclass(frozen=True)
class Recorded:
    """One iteration of a run, as its log has it."""

    number: int
    played: list[Trajectory]
    """The trajectories that got credit."""
    advantages: NDArray[np.float64]
    """What their turns got `[turns]`, one trajectory after the other."""
    left_out: int
    """Trajectories that got none."""


@dataclass(frozen=True)
class Recomputed:
    """An iteration with the credit that another pipeline gives; all arrays are `[turns]`, in the table's order."""

    recorded: Recorded
    table: TurnTable
    old: NDArray[np.float64]
    new: NDArray[np.float64]


def read_iterations(run: RunFolder) -> list[Recorded]:
    """The training iterations of a run that got credit, in order.

    Raises:
        UsageError: there are none.
        StoreError: a trajectory's credit does not fit its turns.
    """
    played: dict[int, list[Trajectory]] = {}
    credit: dict[int, list[float]] = {}
    left_out: dict[int, int] = {}
    for entry in run.trajectories:
        if entry.phase != "train" or entry.iteration is None:
            continue
        number, trajectory = entry.iteration, entry.trajectory
        if entry.advantages is None:
            left_out[number] = left_out.get(number, 0) + 1
            continue
        if len(entry.advantages) != len(trajectory.turns):
            raise StoreError(
                f"{run.trajectories.path}: trajectory {trajectory.id!r} has {len(trajectory.turns)} turns and "
                f"{len(entry.advantages)} advantages"
            )
        played.setdefault(number, []).append(trajectory)
        credit.setdefault(number, []).extend(entry.advantages)
    if not played:
        raise UsageError(f"{run.path}: no trajectory of a training iteration with recorded credit")
    return [Recorded(n, played[n], np.asarray(credit[n]), left_out.get(n, 0)) for n in sorted(played)]


def recompute(
    iterations: Sequence[Recorded],
    pipeline: Pipeline,
    components: Sequence[str] = (),
    scorers: Sequence[tuple[str, Working]] = (),
) -> list[Recomputed]:
    """Run a pipeline on each iteration. Scorers see all of them in order, and learn, as they did in training.

    Raises:
        CreditError: a column is missing; says who could write it and why it is not there.
    """
    done: list[Recomputed] = []
    for recorded in iterations:
        table = TurnTable.from_trajectories(recorded.played, components)
        if len(table) != len(recorded.advantages):
            raise CreditError(f"iteration {recorded.number}: there is credit for a trajectory that met an infra error")
        place = np.cumsum([0, *(len(t.turns) for t in recorded.played)])[table["trajectory"]] + table["turn"]
        for name, scorer in scorers:
            try:
                table = table.with_columns(scorer.score(recorded.played, table))
                scorer.learn(recorded.played, table)
            except AgentgymError as error:
                raise CreditError(f"scorer {name!r}, iteration {recorded.number}: {error}") from error
        check_columns(pipeline, table)
        table = pipeline(table)
        done.append(Recomputed(recorded, table, recorded.advantages[place], table["advantage"]))
    return done


def check_columns(pipeline: Pipeline, table: TurnTable) -> None:
    """See that the pipeline finds its columns in what was stored.

    Raises:
        CreditError: it does not; names the module and the column, and why a stored run does not have it.
    """
    there = set(table.columns)
    for position, (name, module) in enumerate(pipeline.modules):
        missing = sorted(module.required() - there)
        if missing:
            raise CreditError(f"credit.{position}: {name!r} needs the column {missing[0]!r}: {_why(missing[0])}")
        there |= module.writes
    pipeline.check(table.columns)


def _why(column: str) -> str:
    """Why a table of stored trajectories lacks a column, and what to do."""
    if column == "logprob":
        return "the log has no log-probabilities for every turn, because the policy that played gave none"
    if column == "progress":
        return "the log has no progress for every turn, because the environment did not report it"
    writers = [name for name in registry.names("scorers") if column in _written(name)]
    if writers:
        return (
            f"the scorer {' or '.join(map(repr, writers))} writes it, and columns of scorers are not stored with a "
            "run. --scorer NAME runs one that works from the trajectories alone; one that asks the policy's model "
            "can only run while it trains"
        )
    before = [name for name in registry.names("credit") if column in _written(name, "credit")]
    if before:
        return f"put a module that writes it first: {', '.join(before)}"
    return "a stored run has no such column, and no installed module or scorer writes it"


def _written(name: str, kind: registry.Kind = "scorers") -> frozenset[str]:
    try:
        found: Any = registry.load(kind, name)
        return frozenset(found.writes | found().written() if issubclass(found, Scorer) else found.writes)
    except Exception:
        return frozenset()  # A plug-in that cannot be loaded, or not without parameters, is no help here.


def open_scorers(recipe: Recipe, chosen: Sequence[str]) -> list[tuple[str, Working]]:
    """Scorers at work without a model: those of the recipe with its parameters, others with their defaults.

    Raises:
        UnknownNameError: no scorer has that name.
        CreditError: one of them cannot work without the model; says why.
    """
    listed = [[e for e in recipe.scorers if e.get("use") == name] or [{"use": name}] for name in chosen]
    wanted = recipe.model_copy(update={"scorers": tuple(entry for entries in listed for entry in entries)})
    opened: list[tuple[str, Working]] = []
    for name, scorer in wanted.open_scorers():
        try:
            opened.append((name, scorer.open(ScorerContext(_tasks_of(recipe), None, recipe.seed))))
        except AgentgymError as error:
            columns = ", ".join(sorted(scorer.written()))
            raise CreditError(
                f"scorer {name!r}, which writes {columns}, cannot run on a stored run: {error}"
            ) from error
    return opened


def _tasks_of(recipe: Recipe) -> Callable[[str], Task]:
    tasks: dict[str, Task] = {}

    def task(name: str) -> Task:
        if not tasks:
            for split in ("train", "heldout"):
                tasks.update((t.id, t) for t in registry.tasks(recipe.env.id, split, **recipe.env.options))
        if name not in tasks:
            raise CreditError(f"{recipe.env.id} has no task {name!r} with these options")
        return tasks[name]

    return task


def components_of(recipe: Recipe) -> tuple[str, ...]:
    """The reward components of the run's environment; none where it is not installed here."""
    try:
        return tuple(registry.spec(recipe.env.id).components)
    except UsageError:
        return ()
