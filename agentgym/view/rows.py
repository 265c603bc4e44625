"""The table of trajectories: which rows match, in which order, and how many there are of each kind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import UsageError, did_you_mean
from agentgym.view.index import LogIndex, text

Mask = NDArray[np.bool_]
MOST = 1000
"""Rows of one answer."""
LONGEST = 300
"""Characters of a value that somebody filters by."""
FACETS = 50
"""Values of a facet that are counted out."""

NUMBERS = {
    "attempt": "attempt",
    "iteration": "iteration",
    "success": "success",
    "score": "score",
    "reward": "reward",
    "turns": "turns",
    "tokens": "tokens",
    "faults": "faults",
    "credit_sum": "credit_sum",
    "credit_min": "credit_min",
    "credit_max": "credit_max",
    "credit_best_turn": "best",
    "credit_worst_turn": "worst",
    "seconds": "seconds",
    "retries": "retries",
}
"""Columns that are numbers, and what the index calls them."""
SORTED = ("n", "id", "task", "group", "phase", "ending", "split", "type", *NUMBERS)
"""Columns that rows can be sorted by."""
RANGED = ("score", "reward", "credit_sum", "credit_min", "credit_max", "turns", "tokens", "faults", "seconds")
"""Columns that a range can be asked of."""


@dataclass(frozen=True)
class Query:
    """Which rows somebody wants to see."""

    phase: str | None = None
    task: str | None = None
    group: str | None = None
    ending: str | None = None
    fault: str | None = None
    """`0` for rows without faults, `1` for those with any, else a kind of fault."""
    q: str | None = None
    """Text that the id, the task or the group must contain; upper and lower case are the same."""
    type: str | None = None
    column: str = "score"
    """What `low` and `high` are about."""
    low: float | None = None
    high: float | None = None
    iteration: int | None = None
    sort: str = "n"
    desc: bool = False
    offset: int = 0
    limit: int = 100

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Query:
        """A query from the texts of an address.

        Raises:
            UsageError: a name that there is not, or a value out of place.
        """
        made: dict[str, Any] = {}
        for name, value in given.items():
            if name not in cls.__dataclass_fields__:
                raise UsageError(f"rows have no filter {name!r}{did_you_mean(name, cls.__dataclass_fields__)}")
            if len(value) > LONGEST:
                raise UsageError(f"{name} is longer than {LONGEST} characters")
            if value == "" and name != "q":
                continue
            made[name] = _READ[name](name, value) if name in _READ else value
        return cls(**made)


def _float(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise UsageError(f"{name} must be a number, not {value!r}")
    return number


def _int(name: str, value: str, low: int = 0, high: int = 1 << 53) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 17 and low <= int(value) <= high):
        raise UsageError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


def _one_of(columns: tuple[str, ...]) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if value not in columns:
            raise UsageError(f"{name}: there is no column {value!r}{did_you_mean(value, columns)}")
        return value

    return read


_READ: dict[str, Callable[[str, str], Any]] = {
    "column": _one_of(RANGED),
    "low": _float,
    "high": _float,
    "iteration": _int,
    "offset": _int,
    "limit": lambda name, value: _int(name, value, 1, MOST),
    "sort": _one_of(SORTED),
    "desc": lambda name, value: bool(_int(name, value, 0, 1)),
}


class Kinds:
    """What the shared texts of rows say: phase, ending, split and kinds of faults, by the code of the text."""

    def __init__(self, names: list[str]) -> None:
        """Args: `names` the texts."""
        said = [cast(list[Any], json.loads(name)) for name in names]
        self.phase = [str(one[0]) for one in said]
        self.ending = [str(one[1]) for one in said]
        self.split = [str(one[2]) for one in said]
        self.faults = [[str(fault) for fault in one[3]] for one in said]

    def having(self, values: list[str], wanted: str) -> Mask:
        """By code: whether it has this value."""
        return np.array([value == wanted for value in values], dtype=np.bool_)


TypeOf = Callable[[str], str | None]


def find(index: LogIndex, query: Query, type_of: TypeOf) -> dict[str, Any]:
    """The rows of one answer, how many match, and the counts of each facet under the other filters."""
    with index.lock:
        kinds = Kinds(index.kind.names)
        masks = _masks(index, query, kinds, type_of)
        chosen = np.flatnonzero(_all(masks, len(index)))
        ordered = _order(index, chosen, query, kinds, type_of)[query.offset : query.offset + query.limit]
        return {
            "total": len(chosen),
            "rows": [row(index, int(n), kinds, type_of) for n in ordered],
            "facets": _facets(index, masks, kinds),
        }


def phases(index: LogIndex) -> dict[str, int]:
    """How many rows each phase has, in the order in which they came."""
    with index.lock:
        kinds = Kinds(index.kind.names)
        return _counts(kinds.phase, np.bincount(index.kind.codes.values, minlength=len(kinds.phase)))


def row(index: LogIndex, n: int, kinds: Kinds, type_of: TypeOf) -> dict[str, Any]:
    """A row as JSON values."""
    numbers = index.numbers.values[n]
    kind, task = int(index.kind.codes.values[n]), index.task.of(n)
    credit = int(numbers["best"]) >= 0
    made: dict[str, Any] = {
        "n": n,
        "id": text(index.ids[n]),
        "task": task,
        "group": index.group.of(n),
        "phase": kinds.phase[kind],
        "ending": kinds.ending[kind],
        "split": kinds.split[kind],
        "fault_kinds": kinds.faults[kind],
        "type": type_of(task),
    }
    for name, stored in NUMBERS.items():
        value = numbers[stored].item()
        made[name] = value if isinstance(value, int) or math.isfinite(value) else None
    made["success"] = bool(made["success"])
    made["iteration"] = made["iteration"] if made["iteration"] >= 0 else None
    if not credit:
        made["credit_best_turn"] = made["credit_worst_turn"] = None
    return made


def _masks(index: LogIndex, query: Query, kinds: Kinds, type_of: TypeOf) -> dict[str, Mask]:
    """By filter: which rows pass it."""
    numbers, codes = index.numbers.values, index.kind.codes.values
    masks: dict[str, Mask] = {}
    if query.phase is not None:
        masks["phase"] = kinds.having(kinds.phase, query.phase)[codes]
    if query.ending is not None:
        masks["ending"] = kinds.having(kinds.ending, query.ending)[codes]
    if query.task is not None:
        masks["task"] = _having(index.task.names, query.task)[index.task.codes.values]
    if query.group is not None:
        masks["group"] = _having(index.group.names, query.group)[index.group.codes.values]
    if query.type is not None:
        of_task = np.array([type_of(name) == query.type for name in index.task.names], dtype=np.bool_)
        masks["type"] = of_task[index.task.codes.values]
    if query.fault in ("0", "1"):
        masks["fault"] = (numbers["faults"] > 0) == (query.fault == "1")
    elif query.fault is not None:
        having = np.array([query.fault in faults for faults in kinds.faults], dtype=np.bool_)
        masks["fault"] = having[codes]
    if query.low is not None or query.high is not None:
        asked = numbers[NUMBERS[query.column]]
        low, high = (-np.inf if query.low is None else query.low), (np.inf if query.high is None else query.high)
        masks["range"] = np.isfinite(asked) & (asked >= low) & (asked <= high)  # What has no value is in no range.
    if query.iteration is not None:
        masks["iteration"] = numbers["iteration"] == query.iteration
    if query.q:
        masks["q"] = _containing(index, query.q)
    return masks


def _having(names: list[str], wanted: str) -> Mask:
    return np.array([name == wanted for name in names], dtype=np.bool_)


def _containing(index: LogIndex, wanted: str) -> Mask:
    needle = wanted.lower()
    tasks = np.array([needle in name.lower() for name in index.task.names], dtype=np.bool_)
    groups = np.array([needle in name.lower() for name in index.group.names], dtype=np.bool_)
    found = tasks[index.task.codes.values] | groups[index.group.codes.values]
    if wanted.isascii():  # Then bytes need not be decoded: no other character's encoding contains these.
        raw = needle.encode("ascii")
        ids = np.fromiter((raw in one.lower() for one in index.ids), dtype=np.bool_, count=len(index))
    else:
        ids = np.fromiter((needle in text(one).lower() for one in index.ids), dtype=np.bool_, count=len(index))
    return found | ids


def _all(masks: Mapping[str, Mask], count: int, but: str = "") -> Mask:
    passed = np.ones(count, dtype=np.bool_)
    for name, mask in masks.items():
        if name != but:
            passed &= mask
    return passed


def _order(index: LogIndex, chosen: NDArray[Any], query: Query, kinds: Kinds, type_of: TypeOf) -> NDArray[Any]:
    """Row numbers sorted as asked; equal ones in the order of the log, what has no value last."""
    name = query.sort
    if name == "n":
        return chosen[::-1] if query.desc else chosen
    keys: NDArray[Any]
    if name in NUMBERS:
        keys = index.numbers.values[NUMBERS[name]][chosen].astype(np.float64)
        if name in ("iteration", "credit_best_turn", "credit_worst_turn"):
            keys[keys < 0] = math.nan
    elif name in ("task", "group"):
        keys = (index.task if name == "task" else index.group).ranks()[chosen].astype(np.float64)
    elif name == "type":
        of_task = [type_of(task) or "" for task in index.task.names]
        keys = _ranks(of_task)[index.task.codes.values[chosen]]
    elif name == "id":
        place = {n: rank for rank, n in enumerate(sorted(chosen.tolist(), key=index.ids.__getitem__))}
        keys = np.array([place[n] for n in chosen.tolist()], dtype=np.float64)
    else:
        keys = _ranks(getattr(kinds, name))[index.kind.codes.values[chosen]]
    missing = np.isnan(keys)
    order = np.argsort(np.where(missing, math.inf, -keys if query.desc else keys), kind="stable")
    return chosen[np.concatenate([order[~missing[order]], order[missing[order]]])]


def _ranks(names: list[str]) -> NDArray[np.float64]:
    rank = {name: place for place, name in enumerate(sorted(set(names)))}
    return np.array([rank[name] for name in names], dtype=np.float64)


def _facets(index: LogIndex, masks: Mapping[str, Mask], kinds: Kinds) -> dict[str, dict[str, int]]:
    def codes(but: str) -> NDArray[Any]:
        found = index.kind.codes.values[_all(masks, len(index), but)]
        return np.bincount(found, minlength=len(kinds.phase))

    faults: dict[str, int] = {}
    for count, there in zip(codes("fault").tolist(), kinds.faults, strict=True):
        for fault in there if count else ():
            faults[fault] = faults.get(fault, 0) + count
    tasks = np.bincount(index.task.codes.values[_all(masks, len(index), "task")], minlength=len(index.task.names))
    top = np.argsort(-tasks, kind="stable")[:FACETS]
    return {
        "phase": _counts(kinds.phase, codes("phase")),
        "ending": _counts(kinds.ending, codes("ending")),
        "fault": dict(sorted(faults.items(), key=lambda item: -item[1])[:FACETS]),
        "task": {index.task.names[n]: int(tasks[n]) for n in top if tasks[n]},
    }


def _counts(names: list[str], counts: NDArray[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in zip(names, counts.tolist(), strict=True):
        if count:
            found[name] = found.get(name, 0) + count
    return found
