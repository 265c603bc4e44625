"""What every registered credit module gives to the turns of a trajectory, side by side.

Computed from the stored trajectories of the same iteration (of the same evaluation, else), as `agentgym credit` does
it: nothing is played, and no model is asked. What a module needs and a stored run does not have is said instead.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agentgym import registry
from agentgym.credit import Pipeline, TurnTable
from agentgym.errors import AgentgymError
from agentgym.lab.variants import VARIANTS
from agentgym.scorers import Scorer
from agentgym.types import Trajectory

if TYPE_CHECKING:
    from agentgym.view.data import RunData

MOST = 1024
"""Trajectories that are compared with each other; a larger stage is cut to the trajectory's own group."""
KEPT = 8
"""Stages whose credit is kept."""


@dataclass(frozen=True, eq=False)
class Column:
    """What one module gives to all turns of a stage."""

    name: str
    label: str
    advantages: list[Any] | None
    shaped: list[Any] | None
    why: str | None


@dataclass(frozen=True, eq=False)
class Stage:
    """Trajectories that were played together, and their credit."""

    rows: list[int]
    basis: str
    modules: list[Column]
    columns: dict[str, list[Any]]


class Credits:
    """The credit of a run's stages, computed when asked for. Methods may be called by several threads."""

    def __init__(self, run: RunData) -> None:
        """Args: `run` whose."""
        self.run = run
        self._stages: OrderedDict[tuple[int, ...], Stage] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, n: int) -> dict[str, Any]:
        """The credit of a row's turns.

        Raises:
            StoreError: there is no such row, or it cannot be read.
        """
        _, recorded, _ = self.run.parts.read(n)
        stage = self.stage(n)
        place = stage.rows.index(n) if n in stage.rows else None

        def cut(values: list[Any] | None) -> list[float | None] | None:
            found = None if values is None or place is None else values[place]
            return None if found is None else [v if math.isfinite(v) else None for v in found.tolist()]

        why = None if place is not None else "its world broke: it is in no statistic"
        return {
            "basis": stage.basis,
            "modules": [
                {
                    "name": one.name,
                    "label": one.label,
                    "advantages": cut(one.advantages),
                    "shaped": cut(one.shaped),
                    "why": one.why or why,
                }
                for one in stage.modules
            ],
            "recorded": None if recorded is None else [a if math.isfinite(a) else None for a in recorded],
            "columns": {name: kept for name, values in stage.columns.items() if (kept := cut(values)) is not None},
        }

    def stage(self, n: int) -> Stage:
        """The stage that a row is in."""
        rows, whole = self.run.parts.together(n, MOST)
        key = (self.run.index.generation, len(rows), rows[0], rows[-1], int(whole))
        with self._lock:
            found = self._stages.get(key)
            if found is None:
                found = self._stages[key] = self._compute(n, rows, whole)
                while len(self._stages) > KEPT:
                    self._stages.popitem(last=False)
            self._stages.move_to_end(key)
            return found

    def _compute(self, n: int, rows: Sequence[int], whole: bool) -> Stage:
        phase, iteration = self.run.parts.phase(n)
        read = [(row, *self.run.parts.read(row)) for row in rows]
        # What got no credit while training took no part in its iteration's statistics.
        credited = any(credit is not None for _, _, credit, _ in read)
        used = [one for one in read if one[1].trainable and (one[2] is not None or not credited)]
        if not any(row == n for row, *_ in used):
            used = [one for one in read if one[1].trainable]
        played = [trajectory for _, trajectory, _, _ in used]
        where = phase if iteration is None else f"iteration {iteration}"
        basis = f"{where}: {len(played)} trajectories" + ("" if whole else ", of this group only")
        kept = [row for row, *_ in used]
        if not played:
            return Stage(kept, f"{where}: no trajectory that counts", [], {})
        try:
            table = TurnTable.from_trajectories(played, self.run.components())
        except AgentgymError as error:
            return Stage(kept, basis, [Column(m, m, None, None, str(error)) for m in registry.names("credit")], {})
        stored = _stored([columns for *_, columns in used], played)
        if stored:
            table = table.with_columns(stored)
        modules = [_measure(name, table, len(played)) for name in registry.names("credit")]
        return Stage(kept, basis, modules, _shown(table, len(played)))


def _stored(columns: Sequence[Mapping[str, list[float]]], played: Sequence[Trajectory]) -> dict[str, Any]:
    """Columns of scorers that were stored with every trajectory, in the table's order."""
    names = set(columns[0]) if columns else set[str]()
    for own, trajectory in zip(columns, played, strict=True):
        names &= {n for n, v in own.items() if len(v) == len(trajectory.turns) and all(map(math.isfinite, v))}
    order: dict[str, int] = {}
    for trajectory in played:
        order.setdefault(trajectory.group, len(order))
    places = sorted(range(len(played)), key=lambda i: (order[played[i].group], i))
    return {name: np.array([v for i in places for v in columns[i][name]]) for name in sorted(names)}


def _measure(name: str, table: TurnTable, count: int) -> Column:
    """One module's advantages, by the pipeline that the lab shows it with."""
    variant = next((v for v in VARIANTS if v.module == name), None)
    label, entries = (variant.label, variant.entries) if variant else (name, ({"use": name},))
    try:
        pipeline = Pipeline.from_config(entries)
        if variant is None and "advantage" not in pipeline.modules[0][1].writes:
            entries = ({"use": name}, {"use": "rloo"})
            label, pipeline = f"{name}, rloo", Pipeline.from_config(entries)
        there = set(table.columns)
        for used, module in pipeline.modules:
            missing = sorted(module.required() - there)
            if missing:
                return Column(name, label, None, None, _needs(used, name, missing[0]))
            there |= module.writes
        done = pipeline(table)
        shapes = any("reward" in module.writes for _, module in pipeline.modules)
        shaped = done.per_trajectory("reward", count) if shapes else None
        return Column(name, label, done.per_trajectory("advantage", count), shaped, None)
    except AgentgymError as error:
        return Column(name, label, None, None, str(error))
    except Exception as error:  # Another distribution's module must not take the others away.
        return Column(name, label, None, None, f"{type(error).__name__}: {error}")


def _needs(used: str, name: str, column: str) -> str:
    who = "" if used == name else f"{used} "
    writers = [scorer for scorer in registry.names("scorers") if column in _written(scorer)]
    if column.startswith("reward."):
        return f"{who}needs the reward component {column.removeprefix('reward.')!r}, which this environment has not"
    if writers:
        return f"{who}needs the column {column!r}, which the scorer {' or '.join(writers)} writes while it trains"
    return f"{who}needs the column {column!r}, which the log does not have for every turn"


def _written(scorer: str) -> frozenset[str]:
    try:
        found: Any = registry.load("scorers", scorer)
        return frozenset(found.writes | found().written() if issubclass(found, Scorer) else found.writes)
    except Exception:  # A plug-in that cannot be loaded, or not without parameters, is no help here.
        return frozenset()


def _shown(table: TurnTable, count: int) -> dict[str, list[Any]]:
    """Columns that are worth a line under the turns, and the information gain where it can be had."""
    found = {name: table.per_trajectory(name, count) for name in sorted(SHOWN & set(table.columns))}
    if "information_gain" not in found and {"answer_logprob", "answer_logprob_before"} <= set(table.columns):
        gain = np.exp(table["answer_logprob"]) - np.exp(table["answer_logprob_before"])
        found["information_gain"] = table.with_columns({"information_gain": gain}).per_trajectory(
            "information_gain", count
        )
    return found


SHOWN = frozenset(
    {
        "answer_logprob",
        "information_gain",
        "progress",
        "progress_score",
        "implicit_reward",
        "entropy",
        "value",
        "judge_score",
        "tool_correctness",
        "logprob",
    }
)
"""Columns of numbers that a person can read as a line."""
