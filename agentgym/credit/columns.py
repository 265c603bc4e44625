"""Columns of the turn table: what each must hold, and errors that name the column and the row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import CreditError

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
"""Columns that every table has, and their types. `outcome` is the trajectory's score, the same in all of its rows;
`done` is true in its last row; `state` is a 64-bit hash of the state key before the action; `tokens` counts the tokens
of the action (0 from a text-only policy)."""

PLAYED: dict[str, Any] = {
    "success": np.bool_,
    "fault": np.bool_,
    "malformed": np.bool_,
    "truncated": np.bool_,
    "characters": np.int64,
    "action": np.uint64,
}
"""Further columns of every table that is made from trajectories. `success` is the trajectory's, the same in all of its
rows; `fault` is true where the action could not be read or the environment could not execute it, `malformed` where it
could not be read; `truncated` where the answer hit its token limit; `characters` is the answer's length; `action` is a
64-bit hash of what was executed (of the whole answer where nothing could be read)."""

COMPONENT = "reward."
"""Begins the names of columns that hold one named component of the turn reward, such as `reward.format`."""

STRUCTURE = frozenset({"group", "trajectory", "turn", "outcome", "done"})
"""Columns whose rows must agree with each other: a module that writes one has the whole structure checked again."""

LARGEST = 1e100
"""Rewards and outcomes beyond this size are refused: the squares that deviations sum up must stay finite."""

_SOURCES = {"b": "biu", "i": "iu", "u": "iu", "f": "biuf"}  # Kinds of array that each kind of column can be made from.


def coerce(name: str, values: Any) -> Column:
    """A column as a read-only array of its own, of the type it must have.

    Raises:
        CreditError: not one-dimensional, of a type that does not fit, or out of the type's range.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise CreditError(f"column {name!r} must have one dimension, not {array.ndim}")
    if not len(array) and array.dtype.kind == "f":
        array = array.astype(REQUIRED.get(name, array.dtype))  # np.asarray([]) is float whatever it was meant to be.
    wanted = np.dtype(REQUIRED.get(name, array.dtype))
    if array.dtype.kind not in "biuf" or array.dtype.kind not in _SOURCES[wanted.kind]:
        raise CreditError(f"column {name!r} must be {wanted if name in REQUIRED else 'numbers'}, not {array.dtype}")
    if wanted.kind == "b" and array.dtype.kind != "b":
        refuse(name, (array != 0) & (array != 1), "must be 0 or 1", array)
    if wanted.kind == "u" and array.dtype.kind == "i":
        refuse(name, array < 0, "is negative", array)
    if wanted == np.int64 and array.dtype.kind == "u":
        refuse(name, array > np.iinfo(np.int64).max, "does not fit 64 bits with a sign", array)
    made = np.array(array, dtype=wanted)  # A copy: what the caller does to its array later changes no table.
    made.flags.writeable = False
    return made


def check_lengths(columns: Mapping[str, Column]) -> None:
    """See that the required columns are there and all columns are of one length.

    Raises:
        CreditError: names the column.
    """
    for name in REQUIRED:
        if name not in columns:
            raise CreditError(f"the turn table lacks the column {name!r}; it must have {', '.join(REQUIRED)}")
    n = len(columns["turn"])
    for name, values in columns.items():
        if len(values) != n:
            raise CreditError(f"column {name!r} has {len(values)} rows, column 'turn' has {n}")


def check_values(columns: Mapping[str, Column], names: Iterable[str]) -> None:
    """See that every value can take part in statistics.

    Raises:
        CreditError: a number that is not finite or, where sums of squares need it, too large; a negative count.
    """
    for name in names:
        values = columns[name]
        if values.dtype.kind == "f":
            refuse(name, ~np.isfinite(values), "is not finite", values)
        if name in ("reward", "outcome"):
            refuse(name, np.abs(values) > LARGEST, f"is larger than {LARGEST:g} in size", values)
        if name == "tokens":
            refuse(name, values < 0, "is negative", values)


def check_structure(columns: Mapping[str, Column]) -> None:
    """See that rows are sorted, and that each trajectory is whole, in one group, with one outcome and one end.

    Raises:
        CreditError: names the column and the first row that is wrong.
    """
    group, trajectory, turn = columns["group"], columns["trajectory"], columns["turn"]
    outcome, done = columns["outcome"], columns["done"]
    if not len(turn):
        return
    new_group = np.concatenate([[True], group[1:] != group[:-1]])
    begins = new_group | np.concatenate([[True], trajectory[1:] != trajectory[:-1]])

    _refuse_step("group", group[1:] < group[:-1], group, "comes after a larger one: rows are not sorted")
    falls = (trajectory[1:] < trajectory[:-1]) & ~new_group[1:]
    _refuse_step("trajectory", falls, trajectory, "comes after a larger one: rows are not sorted")
    first = np.flatnonzero(begins)
    order = np.argsort(trajectory[first], kind="stable")
    twice = np.flatnonzero(trajectory[first][order][1:] == trajectory[first][order][:-1]) + 1
    if len(twice):
        row, before = int(first[order[twice[0]]]), int(first[order[twice[0] - 1]])
        raise CreditError(
            f"row {row}: column 'group': trajectory {trajectory[row]} is in group {group[row]} and in {group[before]}"
        )
    within = ~begins[1:]
    _refuse_step("turn", within & (turn[1:] == turn[:-1]), turn, "is there twice in its trajectory")
    _refuse_step("turn", within & (turn[1:] < turn[:-1]), turn, "comes after a larger one: rows are not sorted")
    refuse("turn", begins & (turn != 0), "is its trajectory's first, which must be 0", turn)
    _refuse_step("turn", within & (turn[1:] > turn[:-1] + 1), turn, "comes after a gap in its trajectory's turns")
    _refuse_step("outcome", within & (outcome[1:] != outcome[:-1]), outcome, "differs from the turn before")
    last = np.concatenate([begins[1:], [True]])
    refuse("done", done & ~last, "must be true on the last turn of a trajectory only", done)
    refuse("done", last & ~done, "must be true on the last turn of a trajectory", done)


def refuse(name: str, wrong: NDArray[np.bool_], why: str, values: Column) -> None:
    """Raise a `CreditError` that names the column and its first wrong row, if there is one."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise CreditError(f"row {row}: column {name!r} ({values[row]}) {why}")


def _refuse_step(name: str, wrong: NDArray[np.bool_], values: Column, why: str) -> None:
    """`refuse` for a comparison of every row from the second on with the row before it."""
    refuse(name, np.concatenate([[False], wrong]), why, values)
