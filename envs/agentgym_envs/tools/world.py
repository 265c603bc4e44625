"""What an episode of tool calling is made of: back ends with state, what the user says, what is right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from typing import Any, NamedTuple, cast

from agentgym.dialects import ToolCall
from agentgym.errors import UsageError
from agentgym.tools import Toolbox
from agentgym_envs.tools.copies import detached


@dataclass(frozen=True, slots=True)
class UserTurn:
    """One thing that the user says, and what an assistant that does everything right does about it."""

    text: str
    calls: Sequence[Sequence[ToolCall]] = ()
    """Reference calls: a sequence for each turn of the model (several in one are parallel). Empty where nothing should
    be called."""
    says: str = "Done."
    """Reference message that ends this turn of the user's."""
    answer: str | None = None
    """What the message must contain, where the user asked for something that can be said."""
    tools: tuple[str, ...] | None = None
    """Names of the tools that there are from now on; `None`: those there were (at first, all)."""

    @property
    def flat(self) -> list[ToolCall]:
        """The reference calls, one after the other."""
        return [call for together in self.calls for call in together]


@dataclass(slots=True)
class World:
    """A fresh world for one episode."""

    backends: Mapping[str, Any]
    """Live objects by name, made for this episode. Their state is what is in their `__dict__`; they may refer to each
    other."""
    turns: Sequence[UserTurn]
    """What the user says, in order; at least one."""
    tools: Sequence[Any] | Toolbox | None = None
    """Functions, `Tool`s or objects that can be called, or a toolbox, which keeps its own deadline and cap; `None`:
    every public method of every back end."""

    def toolbox(self, deadline: float | None, cap: int) -> Toolbox:
        """The tools, all of them: which of them there are now is the user turn's business."""
        if isinstance(self.tools, Toolbox):
            return self.tools
        if self.tools is not None:
            return Toolbox(*self.tools, deadline=deadline, cap=cap)
        every = Toolbox(*self.backends.values(), deadline=deadline, cap=cap)
        return every.only(name for name in every.names if name != "state")

    def state(self) -> dict[str, Any]:
        """The state of every back end: what its method `state()` gives, if it has one, else its attributes."""
        return {name: state_of(backend) for name, backend in self.backends.items()}

    def written(self) -> bytes:
        """`canonical(self.state())`, back end by back end: one that keeps its own (`state_bytes()`) is asked for it."""
        parts = [
            ENCODER.encode(name).encode() + b": " + _bytes_of(self.backends[name]) for name in sorted(self.backends)
        ]
        return b"{" + b", ".join(parts) + b"}"

    def key(self) -> str:
        """A digest of the state: equal where states are equal, whatever led to them."""
        return sha256(self.written()).hexdigest()[:16]

    def freeze(self) -> Frozen:
        """The attributes of all back ends, detached; what refers to a back end will refer to whoever has its name."""
        named = [Named(name) for name in self.backends]
        memo: dict[int, Any] = {id(backend): name for backend, name in zip(self.backends.values(), named, strict=True)}
        return Frozen(named, {name: detached(vars(backend), memo) for name, backend in self.backends.items()})

    def thaw(self, frozen: Frozen) -> None:
        """Give every back end the attributes that `freeze` took; the objects (and so the tools) stay the same."""
        memo: dict[int, Any] = {id(named): self.backends[named.name] for named in frozen.named}
        for name, attributes in frozen.attributes.items():
            held = vars(self.backends[name])
            held.clear()
            held.update(detached(attributes, memo))


@dataclass(frozen=True)
class Named:
    """Stands for a back end where its attributes are kept."""

    name: str


class Frozen(NamedTuple):
    """The state of a world, apart from it."""

    named: list[Named]
    attributes: dict[str, dict[str, Any]]


def _bytes_of(backend: Any) -> bytes:
    kept: Any = getattr(backend, "state_bytes", None)
    return cast(bytes, kept()) if callable(kept) else canonical(state_of(backend))


def state_of(backend: Any) -> Any:
    """The state of one back end, as values that can be written as JSON."""
    told = getattr(backend, "state", None)
    return told() if callable(told) else vars(backend)


def canonical(state: Any) -> bytes:
    """A state as bytes that are equal exactly where states are: keys sorted, sets sorted, classes named.

    Raises:
        UsageError: the state cannot be written down (it refers to itself, or its keys cannot be sorted).
    """
    try:
        return ENCODER.encode(state).encode(errors="surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the state of a back end cannot be written as JSON ({error}): give it a method state() that can"
        ) from error


def _plain(value: Any) -> Any:
    """What JSON has no form for: sets sorted, dates and enumerations as text, objects as their attributes."""
    if isinstance(value, set | frozenset):
        members = cast(set[Any], value)
        return {"set": sorted(ENCODER.encode(member) for member in members)}
    if isinstance(value, Enum | date | time | timedelta | Decimal | PurePath | bytes | complex):
        return {type(value).__name__: str(value)}
    held = getattr(value, "__dict__", None)
    if held is None:
        raise TypeError(f"a {type(value).__name__} is no plain value")
    return {"class": type(value).__name__, **held}


ENCODER = json.JSONEncoder(sort_keys=True, default=_plain)
