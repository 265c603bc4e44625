"""The turn table: a batch of trajectories as columns, one row per turn. What credit modules read and write."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.columns import (
    REQUIRED,
    STRUCTURE,
    Column,
    check_lengths,
    check_structure,
    check_values,
    coerce,
)
from agentgym.credit.reading import hash_state, read_turns
from agentgym.credit.segments import Segments
from agentgym.errors import CreditError
from agentgym.types import Trajectory

__all__ = ["REQUIRED", "Column", "TurnTable", "hash_state"]


class TurnTable:
    """Read-only columns of equal length n, rows sorted by (group, trajectory, turn), validated once.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]])
    >>> table["trajectory"], table["turn"], table["outcome"]
    (array([0, 0, 1]), array([0, 1, 0]), array([1., 1., 0.]))
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """Columns whose rows are sorted already; `TurnTable.build` takes rows in any order.

        Args:
            columns: at least `REQUIRED`; any further column of finite numbers may be there. All are copied.

        Raises:
            CreditError: a column is missing, of another length, or holds what it must not; names column and row.
        """
        made = {name: coerce(name, values) for name, values in columns.items()}
        check_lengths(made)
        check_values(made, made)
        check_structure(made)
        self._columns = made

    @classmethod
    def build(cls, columns: Mapping[str, Any], sort: bool = True) -> TurnTable:
        """A table from columns in any row order. The row that an error names is the row after sorting.

        Raises:
            CreditError: see the constructor.
        """
        if not sort:
            return cls(columns)
        made = {name: coerce(name, values) for name, values in columns.items()}
        check_lengths(made)
        order = np.lexsort((made["turn"], made["trajectory"], made["group"]))
        return cls({name: values[order] for name, values in made.items()})

    @classmethod
    def from_trajectories(
        cls, played: Sequence[Trajectory], components: Sequence[str] = (), progress: bool = False
    ) -> TurnTable:
        """A row for each turn of the trajectories that can be trained on.

        Trajectories that met an infra error, or have no turns, are left out: they are in no statistic. Column
        `trajectory` is the position in `played` and `turn` the position in its turns, so that every row says where it
        came from; `per_trajectory` brings a column back. `outcome` is `Trajectory.score`. Besides the required columns
        there are those of `PLAYED`, `logprob` (summed over the action's tokens) where every turn has it, and `progress`
        where every turn that reached the environment has it; one that did not keeps that of the turn before.

        Args:
            played: trajectories, in any order.
            components: named reward components that must have a column `reward.NAME`; those that turns report have
                one anyhow. A turn that does not report a component has 0 of it: components sum to the reward.
            progress: whether there must be a column `progress`, because the environment says that it reports it.

        Raises:
            CreditError: a reward, score, component or progress is not a finite number; names the trajectory and the
                turn.
        """
        groups: dict[str, int] = {}
        states: dict[str, int] = {}
        rows: dict[str, list[Any]] = {name: [] for name in REQUIRED}
        for position, trajectory in enumerate(played):
            if not trajectory.trainable:
                continue
            if not math.isfinite(trajectory.score):
                raise CreditError(f"trajectory {trajectory.id!r}: the score is {trajectory.score}, not a finite number")
            group = groups.setdefault(trajectory.group, len(groups))
            for number, turn in enumerate(trajectory.turns):
                if not math.isfinite(turn.reward):
                    raise CreditError(f"trajectory {trajectory.id!r}, turn {number}: the reward is {turn.reward}")
                key = turn.observation.state_key
                if key not in states:
                    states[key] = hash_state(key)
                rows["group"].append(group)
                rows["trajectory"].append(position)
                rows["turn"].append(number)
                rows["reward"].append(turn.reward)
                rows["outcome"].append(trajectory.score)
                rows["done"].append(number + 1 == len(trajectory.turns))
                rows["state"].append(states[key])
                rows["tokens"].append(len(turn.completion.tokens or ()))
        required = {name: np.asarray(values, dtype=REQUIRED[name]) for name, values in rows.items()}
        return cls.build({**required, **read_turns(played, components, progress)})

    @classmethod
    def from_rewards(
        cls,
        rewards: Sequence[Sequence[Sequence[float]]],
        states: Sequence[Sequence[Sequence[str]]] | None = None,
        outcomes: Sequence[Sequence[float]] | None = None,
    ) -> TurnTable:
        """A table from nested lists, for examples and for trainers that have no `Trajectory`.

        Args:
            rewards: by group, trajectory, turn.
            states: state keys in the same nesting; by default no two turns share a state.
            outcomes: by group, trajectory; by default the sum of a trajectory's rewards.

        Raises:
            CreditError: a trajectory without turns, lists that do not fit each other, or a value out of place.
        """
        rows: dict[str, list[Any]] = {name: [] for name in REQUIRED}
        trajectory = 0
        for g, members in enumerate(rewards):
            for i, member in enumerate(members):
                if not len(member):
                    raise CreditError(f"group {g}, trajectory {i} of it has no turns; leave it out")
                try:
                    keys = [f"{trajectory}/{t}" for t in range(len(member))] if states is None else states[g][i]
                    outcome = math.fsum(member) if outcomes is None else outcomes[g][i]
                except IndexError:
                    raise CreditError(f"states or outcomes have no group {g}, trajectory {i}") from None
                if len(keys) != len(member):
                    raise CreditError(f"group {g}, trajectory {i} has {len(member)} rewards and {len(keys)} states")
                rows["group"] += [g] * len(member)
                rows["trajectory"] += [trajectory] * len(member)
                rows["turn"] += range(len(member))
                rows["reward"] += member
                rows["outcome"] += [outcome] * len(member)
                rows["done"] += [False] * (len(member) - 1) + [True]
                rows["state"] += [hash_state(key) for key in keys]
                rows["tokens"] += [1] * len(member)
                trajectory += 1
        return cls({name: np.asarray(values, dtype=REQUIRED[name]) for name, values in rows.items()})

    def __len__(self) -> int:
        return len(self._columns["turn"])

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __repr__(self) -> str:
        return f"TurnTable({len(self)} turns, {self.trajectories.count} trajectories: {', '.join(self._columns)})"

    def __getitem__(self, name: str) -> Column:
        """A column `[n]`, read-only.

        Raises:
            CreditError: there is no such column.
        """
        if name not in self._columns:
            raise CreditError(f"the turn table has no column {name!r}; it has {', '.join(sorted(self._columns))}")
        return self._columns[name]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(self._columns)

    @cached_property
    def trajectories(self) -> Segments:
        """Rows by trajectory."""
        return Segments.of_sorted(self["trajectory"])

    @cached_property
    def groups(self) -> Segments:
        """Rows by group."""
        return Segments.of_sorted(self["group"])

    @property
    def last(self) -> NDArray[np.int64]:
        """Row of each trajectory's last turn: one row a trajectory, for statistics over trajectories."""
        return np.flatnonzero(self["done"])

    def with_columns(self, new: Mapping[str, Any]) -> TurnTable:
        """A table with columns added or replaced; this one stays as it is.

        Raises:
            CreditError: a column is of another length, not finite, or breaks the order of rows.
        """
        made = {name: coerce(name, values) for name, values in new.items()}
        table = object.__new__(TurnTable)
        table._columns = {**self._columns, **made}
        check_lengths(table._columns)
        check_values(table._columns, made)
        if STRUCTURE & made.keys():  # Else the rows are as they were, and were checked when the table was made.
            check_structure(table._columns)
        return table

    def where(self, rows: NDArray[np.bool_]) -> TurnTable:
        """The table of some trajectories only, as if the others had not been played.

        Args:
            rows: `[n]`; all turns of a trajectory, or none.

        Raises:
            CreditError: a trajectory is cut up.
        """
        return TurnTable({name: values[rows] for name, values in self._columns.items()})

    def per_trajectory(self, name: str, count: int) -> list[Column | None]:
        """A column cut up by trajectory: entry i for `trajectory` i, `None` where the table has no such trajectory.

        Args:
            name: the column.
            count: how many trajectories there were, those left out of the table included.

        Raises:
            CreditError: there is no such column, or a trajectory number outside 0 to `count` - 1.
        """
        values, starts = self[name], self.trajectories.first
        numbers = self["trajectory"][starts]
        if ((numbers < 0) | (numbers >= count)).any():
            raise CreditError(f"column 'trajectory' has {numbers.max()}; cut into {count}, it must be below that")
        cut: list[Column | None] = [None] * count
        for number, part in zip(numbers.tolist(), np.split(values, starts[1:]), strict=bool(len(numbers))):
            cut[number] = part
        return cut
