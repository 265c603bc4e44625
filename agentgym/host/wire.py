"""How a worker process and its parent talk: frames of JSON with a length before each.

JSON and not pickle, because environment code may be hostile: what comes back from a worker can be wrong, never
executed. Lone surrogates and NUL survive (everything is escaped to ASCII); a frame has a greatest size.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from agentgym.errors import EnvCrashedError
from agentgym.types import Observation, Step, Task

MAX_FRAME = 64 << 20
"""Most bytes in one frame."""

_HEAD = struct.Struct("<I")


def frame(message: Any) -> bytes:
    """A message as bytes.

    Raises:
        TypeError, ValueError: it holds what JSON cannot, or is larger than `MAX_FRAME`.
    """
    body = json.dumps(message, default=_plain, separators=(",", ":")).encode("ascii")
    if len(body) > MAX_FRAME:
        raise ValueError(f"a message of {len(body):,} bytes is larger than {MAX_FRAME:,}")
    return _HEAD.pack(len(body)) + body


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that `data` completes; those before garbage first, and the garbage at the next call.

        Raises:
            EnvCrashedError: the stream is not what `frame` writes.
        """
        self._buffer += data
        found: list[Any] = []
        at = 0
        try:
            while len(self._buffer) - at >= _HEAD.size:
                (size,) = _HEAD.unpack_from(self._buffer, at)
                if size > MAX_FRAME:
                    raise ValueError(f"a frame of {size:,} bytes")
                end = at + _HEAD.size + size
                if len(self._buffer) < end:
                    break
                found.append(json.loads(self._buffer[at + _HEAD.size : end]))
                at = end
        except (ValueError, RecursionError) as error:
            if not found:
                raise EnvCrashedError(f"the worker's connection carries garbage: {error}") from error
        del self._buffer[:at]
        return found


def to_reply(message: Any) -> tuple[str, Any]:
    """What a worker answered: `"ok"` and a value, or a kind of error and its text.

    Raises:
        EnvCrashedError: it is neither.
    """
    match message:
        case [str(kind), value]:
            return kind, value
        case _:
            raise EnvCrashedError("the worker's connection carries garbage")


def from_task(task: Task) -> list[Any]:
    """A task as JSON values."""
    return [task.id, task.prompt, dict(task.data), task.split, task.seed]


def to_task(record: list[Any]) -> Task:
    """The inverse of `from_task`."""
    return Task(*record)


def from_observation(observation: Observation) -> list[Any]:
    """An observation as JSON values."""
    tools = observation.tools
    return [
        observation.text,
        observation.role,
        observation.state,
        observation.actions,
        tools if tools is None else [dict(tool) for tool in tools],
    ]


def to_observation(record: list[Any]) -> Observation:
    """The inverse of `from_observation`."""
    text, role, state, actions, tools = record
    return Observation(
        text, role, state, None if actions is None else tuple(actions), None if tools is None else tuple(tools)
    )


def from_step(step: Step) -> list[Any]:
    """A step as JSON values; plain five-tuples of other suites are taken as well."""
    observation, reward, terminated, truncated, info = step
    return [from_observation(observation), float(reward), bool(terminated), bool(truncated), info]


def to_step(record: list[Any]) -> Step:
    """The inverse of `from_step`."""
    observation, reward, terminated, truncated, info = record
    return Step(to_observation(observation), reward, terminated, truncated, info)


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays as plain values; anything else is the environment's bug."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON value")
