"""The tool calls of a turn, as its environment reports them or, where it does not, as the model wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from agentgym.credit.call_score import Call
from agentgym.dialects import MAX_CALLS, Hermes, Json
from agentgym.errors import CreditError
from agentgym.types import Task, Trajectory, Turn

_HERMES, _JSON = Hermes(), Json()


class Calls(NamedTuple):
    """What a turn called."""

    calls: list[Call]
    """In order; those that could not be read are left out."""
    readable: bool
    """Whether all of them could be read. A turn that calls nothing is readable if its action is."""


def calls_of(turn: Turn, where: str) -> Calls:
    """The calls of a turn: `info["calls"]`, a list of `{"name", "arguments"}`, or else read from the completion.

    In the completion, `<tool_call>` blocks are looked for first, then one JSON object with a name. Entries of
    `info["calls"]` that are not such objects may come from the model: they are left out and the turn is not readable.

    Args:
        turn: whose calls.
        where: for the error: which trajectory and turn.

    Raises:
        CreditError: `info["calls"]` is not a list, which is the environment's mistake.
    """
    if "calls" in turn.info:
        listed = turn.info["calls"]
        if not isinstance(listed, Sequence) or isinstance(listed, str):
            raise CreditError(f"{where}: info['calls'] must be a list of calls, not {type(listed).__name__}")
        entries = list(cast(Sequence[Any], listed))[: MAX_CALLS + 1]
        found = [call for entry in entries if (call := as_call(entry)) is not None]
        return Calls(found[:MAX_CALLS], len(found) == len(entries) <= MAX_CALLS and turn.action is not None)
    text = turn.completion.text
    parsed = _HERMES.parse(text) if "<tool_call>" in text else _JSON.parse(text)
    if parsed.calls:
        return Calls([(call.name, call.arguments) for call in parsed.calls], True)
    return Calls([], turn.action is not None and "<tool_call>" not in text)


def as_call(entry: Any) -> Call | None:
    """`{"name": ..., "arguments" or "parameters": {...}}` as a call; `None` if it is none."""
    if not isinstance(entry, Mapping):
        return None
    fields = cast(Mapping[str, Any], entry)
    name, arguments = fields.get("name"), fields.get("arguments", fields.get("parameters", {}))
    if not isinstance(name, str) or not name or not isinstance(arguments, Mapping):
        return None
    return name, cast(Mapping[str, Any], arguments)


def reference_of(task: Task, trajectory: Trajectory) -> list[Call] | list[list[Call]]:
    """`task.data["calls"]`: a list of calls for the attempt, or a list for each turn.

    Raises:
        CreditError: there is none, or it is something else; names the task and the trajectory.
    """
    where = f"trajectory {trajectory.id!r}: task {task.id!r}"
    listed = task.data.get("calls")
    if listed is None:
        raise CreditError(f"{where} has no reference calls: the scorer 'tool-calls' needs task.data['calls']")
    entries: list[Any] = list(cast(Sequence[Any], listed)) if isinstance(listed, list | tuple) else [None]
    nested = bool(entries) and all(isinstance(entry, list | tuple) for entry in entries)
    turns: list[Any] = entries if nested else [entries]
    found = [[as_call(entry) for entry in cast(Sequence[Any], turn)] for turn in turns]
    if any(call is None for turn in found for call in turn):
        raise CreditError(f"{where}: data['calls'] must be a list of {{name, arguments}}, or one such list a turn")
    whole = [[call for call in turn if call is not None] for turn in found]
    return whole if nested else whole[0]


def words_of(call: Call) -> tuple[str, frozenset[str]]:
    """A call's name and the words of its arguments, lower case, for telling calls that say nearly the same."""
    name, arguments = call
    try:
        text = json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):  # Keys of several types, or nested beyond all reason.
        text = ""
    kept = "".join(char if char.isalnum() else " " for char in text[:4096].lower())
    return name, frozenset(kept.split())
