"""Copies of a world's state, quick enough to take several in every episode.

`copy.deepcopy` asks each value anew how it wants to be copied; nearly all of a tool's state is dicts, lists and
numbers, of which that is known. What is not known here is left to it, with the same memo: what was shared stays shared.
"""

from __future__ import annotations

import copy
from collections.abc import MutableMapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from types import FunctionType
from typing import Any, cast
from weakref import ref

Memo = MutableMapping[int, Any]
"""Copies made so far, by the `id` of their originals, which must stay alive meanwhile; as `copy.deepcopy` has it."""
ATOMS = frozenset({str, int, float, bool, type(None), bytes, complex, Decimal, datetime, date, time, timedelta})
"""Types of what cannot change."""
OWN = (
    "__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__",
    "__getnewargs_ex__", "__new__", "__slots__", "__getattribute__",
)  # fmt: skip
"""By what a class says how its objects are copied, or that they are more than their attributes."""
_PLAIN: dict[type, bool] = {}


def detached(value: Any, memo: Memo) -> Any:
    """A copy that shares nothing that can change with `value`; what `memo` has a copy of becomes that.

    >>> inner = [1]
    >>> found = detached({"a": inner, "b": inner}, {})
    >>> found["a"] is found["b"], found["a"] is inner
    (True, False)

    Raises:
        TypeError: there is something in it that cannot be copied: a generator, a lock, a closure, a weak reference.
    """
    kind = cast("type[Any]", type(value))
    if kind in ATOMS:
        return value
    known = memo.get(id(value))
    if known is not None:
        return known
    made: Any
    if kind is dict:
        made = memo[id(value)] = {}
        for key, held in value.items():
            made[key if type(key) in ATOMS else detached(key, memo)] = (
                held if type(held) in ATOMS else detached(held, memo)
            )
    elif kind is list:
        made = memo[id(value)] = []
        made.extend([held if type(held) in ATOMS else detached(held, memo) for held in value])
    elif kind is tuple and all(type(held) in ATOMS for held in value):
        made = value
    elif kind is Random:
        made = memo[id(value)] = Random.__new__(Random)
        made.setstate(value.getstate())
    elif _is_plain(kind):
        made = memo[id(value)] = object.__new__(kind)
        vars(made).update({name: detached(held, memo) for name, held in vars(value).items()})
    elif (kind is FunctionType and value.__closure__) or kind is ref:
        what = f"the function {value.__qualname__}" if kind is FunctionType else "a weak reference"
        raise TypeError(f"{what} cannot be copied: it would go on referring to what it was made with")
    else:
        made = copy.deepcopy(value, cast(dict[int, Any], memo))
    return made


def _is_plain(kind: type[Any]) -> bool:
    """Whether objects of a class are their attributes and nothing else."""
    found = _PLAIN.get(kind)
    if found is None:
        # Copying by attributes is what `copy` comes to as well where a class says nothing of its own about it.
        parents = [parent for parent in kind.__mro__ if parent is not object]
        found = _PLAIN[kind] = (
            type(kind) is type
            and kind.__basicsize__ == _Bare.__basicsize__
            and any("__dict__" in vars(parent) for parent in parents)
            and not any(name in vars(parent) for parent in parents for name in OWN)
        )
    return found


class _Bare:
    """A class without anything: how large its objects are is how large those of plain classes are."""
