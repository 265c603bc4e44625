"""The turn table: a batch of trajectories as columns, one row per turn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.segments import Segments
from agentgym.errors import CreditError
from agentgym.types import Trajectory

Column = NDArray[Any]

REQUIRED: dict[str, Any] = {
    "group": np.int64,
    "trajectory": np.int64,
    "turn": np.int64,
    "reward": np.float64,
    "outcome": np.float64,
    "done": np.bool_,
    "state": np.uint64,
    "tokens": np.int64,
}
"""Columns that every table has. `outcome` is the trajectory's score, the same in all of its rows; `state` a 64-bit hash
of the state key before the action; `tokens` how many tokens the action has."""


class TurnTable:
    """Immutable columns of equal length n, sorted by (group, trajectory, turn) and validated once.

    Attributes:
        index: position of each row's trajectory in the list that the table was made from `[n]`.
    """

    def __init__(self, columns: Mapping[str, Column], index: Column | None = None) -> None:
        """Args: `columns` sorted; use `TurnTable.build` for columns in any order.

        Raises:
            CreditError: a column is missing, of another length, or holds what it must not; names column and row.
        """
        self._columns = {name: _column(name, values) for name, values in columns.items()}
        missing = [name for name in REQUIRED if name not in self._columns]
        if missing:
            raise CreditError(f"the turn table lacks the column {missing[0]!r}")
        self.index = np.asarray(self["trajectory"] if index is None else index, dtype=np.int64)
        _validate(self._columns)
        for values in self._columns.values():
            values.flags.writeable = False

    @classmethod
    def build(cls, columns: Mapping[str, Any], index: Column | None = None) -> TurnTable:
        """A table from columns in any row order.

        Raises:
            CreditError: see the constructor.
        """
        made = {name: _column(name, values) for name, values in columns.items()}
        missing = [name for name in ("group", "trajectory", "turn") if name not in made]
        if missing:
            raise CreditError(f"the turn table lacks the column {missing[0]!r}")
        lengths = {len(values) for values in made.values()}
        if len(lengths) > 1:
            raise CreditError("columns differ in length: " + ", ".join(f"{k} {len(v)}" for k, v in made.items()))
        order = np.lexsort((made["turn"], made["trajectory"], made["group"]))
        return cls({k: v[order] for k, v in made.items()}, None if index is None else np.asarray(index)[order])

    @classmethod
    def from_trajectories(cls, played: Sequence[Trajectory]) -> TurnTable:
        """A row for each turn; trajectories that met an infra error, or have no turns, are left out entirely.

        Raises:
            CreditError: a reward or score is not finite.
        """
        groups: dict[str, int] = {}
        rows: dict[str, list[Any]] = {name: [] for name in REQUIRED}
        index: list[int] = []
        for position, trajectory in enumerate(played):
            if not trajectory.trainable:
                continue
            group = groups.setdefault(trajectory.group, len(groups))
            for number, turn in enumerate(trajectory.turns):
                rows["group"].append(group)
                rows["trajectory"].append(position)
                rows["turn"].append(number)
                rows["reward"].append(turn.reward)
                rows["outcome"].append(trajectory.score)
                rows["done"].append(number + 1 == len(trajectory.turns))
                rows["state"].append(hash_state(turn.observation.state_key))
                rows["tokens"].append(len(turn.completion.tokens or ()))
                index.append(position)
        columns = {name: np.asarray(values, dtype=REQUIRED[name]) for name, values in rows.items()}
        return cls.build(columns, np.asarray(index, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._columns["turn"])

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> Column:
        """A column, read-only.

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

    @property
    def trajectories(self) -> Segments:
        """Rows by trajectory."""
        return Segments.of_sorted(self["trajectory"])

    @property
    def last(self) -> NDArray[np.int64]:
        """Row of each trajectory's last turn: one row a trajectory, for statistics over trajectories."""
        return np.flatnonzero(self["done"])

    def with_columns(self, new: Mapping[str, Column]) -> TurnTable:
        """A table with columns added or replaced.

        Raises:
            CreditError: a column is of another length or not finite.
        """
        return TurnTable({**self._columns, **new}, self.index)

    def per_trajectory(self, name: str, count: int) -> list[Column | None]:
        """A column cut up by trajectory, in the order of the list the table was made from; `None` for those left out."""
        cut: list[Column | None] = [None] * count
        values = self[name]
        starts = np.flatnonzero(self["turn"] == 0)
        for start, stop in zip(starts, [*starts[1:], len(self)], strict=True):
            cut[int(self.index[start])] = values[start:stop]
        return cut


def hash_state(key: str) -> int:
    """64-bit hash of a state key, equal on every machine."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _column(name: str, values: Any) -> Column:
    array = np.asarray(values)
    kind = REQUIRED.get(name)
    if array.ndim != 1:
        raise CreditError(f"column {name!r} must have one dimension, not {array.ndim}")
    if kind is not None and array.dtype != kind:
        try:
            array = array.astype(kind, casting="safe" if len(array) and array.dtype.kind == "f" else "unsafe")
        except TypeError as error:
            raise CreditError(f"column {name!r} must be {np.dtype(kind)}, not {array.dtype}") from error
    return array.view()


def _validate(columns: Mapping[str, Column]) -> None:
    n = len(columns["turn"])
    for name, values in columns.items():
        if len(values) != n:
            raise CreditError(f"column {name!r} has {len(values)} rows, the table has {n}")
        if values.dtype.kind == "f":
            _refuse(name, ~np.isfinite(values), "is not finite", values)
    if not n:
        return
    group, trajectory, turn = columns["group"], columns["trajectory"], columns["turn"]
    same = np.concatenate([[False], (trajectory[1:] == trajectory[:-1]) & (group[1:] == group[:-1])])
    _refuse("turn", ~same & (turn != 0), "does not begin with turn 0", turn)
    _refuse("turn", same & (turn != np.roll(turn, 1) + 1), "does not follow the turn before (gap or duplicate)", turn)
    _refuse("outcome", same & (columns["outcome"] != np.roll(columns["outcome"], 1)), "differs in one trajectory")
    last = np.concatenate([~same[1:], [True]])
    _refuse("done", columns["done"] != last, "must be true on each trajectory's last turn, and there only")
    begins = ~same
    _refuse("group", np.concatenate([[False], group[1:] < group[:-1]]), "is not sorted", group)
    first = np.flatnonzero(begins)
    order = np.argsort(trajectory[first], kind="stable")
    names = trajectory[first][order]
    twice = np.concatenate([[False], names[1:] == names[:-1]])
    if twice.any():
        row = int(first[order[np.flatnonzero(twice)[0]]])
        raise CreditError(f"row {row}: trajectory {trajectory[row]} is in two groups, or its rows do not lie together")


def _refuse(name: str, wrong: NDArray[np.bool_], why: str, values: Column | None = None) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        shown = "" if values is None else f" ({values[row]})"
        raise CreditError(f"row {row}: column {name!r}{shown} {why}")
