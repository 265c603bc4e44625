"""Copies of back ends: equal, apart, and sharing among themselves what was shared."""

from __future__ import annotations

import copy
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from random import Random
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym_envs.tools.copies import detached
from agentgym_envs.tools.world import UserTurn, World


@dataclass
class Node:
    """Attributes and nothing else."""

    held: Any


@dataclass(slots=True)
class Slotted:
    """Without a dictionary."""

    held: Any


atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
SHAPES = (list, tuple, Node, Slotted, lambda held: dict(enumerate(held)), lambda held: {str(one): one for one in held})
values = st.recursive(
    atoms | st.sets(st.text(), max_size=1),  # The order of more is nobody's.
    lambda inner: st.tuples(st.sampled_from(SHAPES), st.lists(inner, max_size=5)).map(lambda drawn: drawn[0](drawn[1])),
)


def changeable(value: Any, found: set[int]) -> set[int]:
    """The identities of all that can change in a value."""
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, (list, tuple, set)):
        parts = list(value)
    elif isinstance(value, (Node, Slotted)):
        parts = [value.held]
    else:
        return found
    if not isinstance(value, tuple):
        found.add(id(value))
    for part in parts:
        changeable(part, found)
    return found


@given(values)
def test_a_copy_is_equal_and_shares_nothing_that_can_change(value: Any) -> None:
    made = detached(value, {})
    assert made == value == copy.deepcopy(value)
    assert repr(made) == repr(value)  # 1, 1.0 and True are equal and not the same.
    assert not changeable(made, set()) & changeable(value, set())


@given(values)
def test_what_is_shared_stays_shared(value: Any) -> None:
    node, slotted = Node(value), Slotted([value])
    made = detached([node, {"a": node}, (node, slotted), slotted, [slotted.held]], {})
    assert made[0] is made[1]["a"] is made[2][0]
    assert made[2][1] is made[3]
    assert made[3].held is made[4][0]


def test_what_contains_itself() -> None:
    ring: list[Any] = [1]
    ring.append({"ring": ring, "node": Node(ring)})
    made = detached(ring, {})
    assert made is not ring
    assert made[1]["ring"] is made is made[1]["node"].held


class Colour(Enum):
    RED = 1


class Own:
    """Says itself how it is copied."""

    def __init__(self) -> None:
        self.copies = 0

    def __deepcopy__(self, memo: Any) -> Own:
        made = Own()
        made.copies = self.copies + 1
        return made


class Told(dict[str, Any]):
    """A dictionary with an attribute."""

    note = ""


def test_what_is_not_known_is_copied_as_python_does() -> None:
    told, rng = Told(a=[1]), Random(3)
    told.note = "hello"
    now = datetime(2024, 2, 29)
    value = {"e": Colour.RED, "own": Own(), "told": told, "rng": rng, "now": now, "q": deque([[1]], maxlen=2),
             "o": OrderedDict(b=[2], a=1), "f": len, "c": Node}  # fmt: skip
    made = detached(value, {})
    assert made["e"] is Colour.RED
    assert made["own"].copies == 1
    assert (type(made["told"]), made["told"], made["told"].note) == (Told, told, "hello")
    assert made["told"]["a"] is not told["a"]
    assert made["q"] == value["q"]
    assert made["q"].maxlen == 2
    assert made["q"][0] is not value["q"][0]
    assert (type(made["o"]), list(made["o"])) == (OrderedDict, ["b", "a"])
    assert (made["f"], made["c"], made["now"]) == (len, Node, now)
    drawn = [rng.random() for _ in range(3)]
    assert [made["rng"].random() for _ in range(3)] == drawn


def test_what_cannot_be_copied_says_so() -> None:
    with pytest.raises(TypeError, match="generator"):
        detached({"a": [(x for x in "ab")]}, {})
    stock = [1]
    with pytest.raises(TypeError, match=r"the function .*lambda.* cannot be copied"):
        detached(Node(lambda: stock.append(2)), {})
    with pytest.raises(TypeError, match="a weak reference cannot be copied"):
        detached(Node(ref(Node(stock))), {})


@dataclass
class Shop:
    """Refers to another back end, and shares a list with it."""

    bank: Any
    log: list[str] = field(default_factory=list[str])

    def buy(self) -> None:
        self.log.append("bought")
        self.bank.money -= 1


@dataclass
class Bank:
    money: int = 9
    log: list[str] = field(default_factory=list[str])
    ask: Any = None


def world() -> World:
    bank = Bank()
    shop = Shop(bank, bank.log)
    bank.ask = shop.buy  # A method of another back end's.
    return World({"bank": bank, "shop": shop}, [UserTurn("Hello.")])


def test_back_ends_keep_referring_to_each_other() -> None:
    one, two = world(), world()
    frozen = one.freeze()
    one.backends["bank"].ask()
    for other in (one, two, one):
        other.thaw(frozen)
        bank, shop = other.backends["bank"], other.backends["shop"]
        assert (bank.money, bank.log, shop.bank is bank, shop.log is bank.log) == (9, [], True, True)
        bank.ask()
        assert (bank.money, shop.log) == (8, ["bought"])
    assert one.freeze().attributes["shop"] == two.freeze().attributes["shop"] != frozen.attributes["shop"]
    assert copy.deepcopy(frozen).attributes["bank"]["money"] == 9
