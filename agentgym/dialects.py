"""Dialects: how the text of a model becomes an action, and how an action is written.

Parsing never raises: what cannot be read is a fault with a short reason, and the model gets an observation it can
learn from. Everything is linear in the text and bounded, for the text is hostile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from agentgym.errors import UnknownNameError

MAX_ACTION = 8192
"""Most characters of an action; a longer one is a fault."""
MAX_DEPTH = 64
"""Most nested brackets in JSON; deeper ones are a fault before the parser sees them."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by name."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def canonical(self) -> str:
        """The call as JSON with sorted keys: the action string that environments get."""
        return json.dumps({"arguments": self.arguments, "name": self.name}, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read: an action, or a fault that says why there is none."""

    action: str | None
    fault: str | None = None
    """`"format: ..."` with a short reason."""
    calls: tuple[ToolCall, ...] = ()


class Dialect(Protocol):
    """One way for a model to say what it does."""

    name: str
    instructions: str
    """What to tell the model; empty where nothing needs saying."""

    def parse(self, text: str) -> Parsed:
        """Read a model's turn. Never raises."""
        ...

    def render(self, action: str) -> str:
        """The text a perfect model would write for `action`; `parse` reads it back."""
        ...

    def reply(self, fault: str) -> str:
        """The observation for a turn that could not be read."""
        ...


def _fault(reason: str) -> Parsed:
    return Parsed(None, f"format: {reason}")


def _action(text: str) -> Parsed:
    text = text.strip()
    if not text:
        return _fault("the action is empty")
    if len(text) > MAX_ACTION:
        return _fault(f"the action is longer than {MAX_ACTION} characters")
    return Parsed(text)


class Plain:
    """The first line that is not empty is the action."""

    name = "plain"
    instructions = ""

    def parse(self, text: str) -> Parsed:
        """Read the first non-empty line, without a `>` prompt before it."""
        line = text.lstrip().partition("\n")[0].strip()
        while line.startswith(">"):
            line = line[1:].lstrip()
        return _action(line)

    def render(self, action: str) -> str:
        """The action itself."""
        return action

    def reply(self, fault: str) -> str:
        """Says that a command is expected."""
        return f"Your reply could not be read ({fault}). Reply with one command."


class ActionTag:
    """`<action>...</action>`, after whatever the model thinks aloud; the last one counts."""

    name = "action-tag"
    instructions = "Write your action between <action> and </action>."

    def parse(self, text: str) -> Parsed:
        """Read what stands between the last pair of tags."""
        end = text.rfind("</action>")
        start = text.rfind("<action>", 0, end if end >= 0 else len(text))
        if start < 0:
            return _fault("no <action> tag")
        if end < 0:
            return _fault("<action> is not closed")
        return _action(text[start + len("<action>") : end])

    def render(self, action: str) -> str:
        """The action between tags."""
        return f"<action>{action}</action>"

    def reply(self, fault: str) -> str:
        """Says what the format is."""
        return f"Your reply could not be read ({fault}). {self.instructions}"


class Json:
    """One JSON object: `{"action": "..."}` or `{"name": ..., "arguments": {...}}`."""

    name = "json"
    instructions = (
        'Reply with one JSON object: {"action": "your action"}, or {"name": "tool", "arguments": {...}} to call a tool.'
    )

    def parse(self, text: str) -> Parsed:
        """Read the first JSON object in the text."""
        start = text.find("{")
        if start < 0:
            return _fault("no JSON object")
        return _read_object(text, start)

    def render(self, action: str) -> str:
        """The call itself where the action is one, else an object with the action."""
        return action if _is_call(action) else json.dumps({"action": action})

    def reply(self, fault: str) -> str:
        """Says what the format is."""
        return f"Your reply could not be read ({fault}). {self.instructions}"


class Hermes:
    """`<tool_call>{"name": ..., "arguments": ...}</tool_call>`, as Hermes and Qwen models write; several may follow."""

    name = "hermes"
    instructions = 'Call a tool as <tool_call>{"name": "tool", "arguments": {...}}</tool_call>.'

    def parse(self, text: str) -> Parsed:
        """Read all calls; the action is the first, or a JSON list where there are several."""
        found: list[Parsed] = []
        place = text.find("<tool_call>")
        if place < 0:
            return _fault("no <tool_call>")
        while place >= 0:
            start = place + len("<tool_call>")
            end = text.find("</tool_call>", start)
            if end < 0:
                return _fault("<tool_call> is not closed")
            body = text[start:end].strip()
            if not body.startswith("{"):
                return _fault("a tool call is a JSON object")
            parsed = _read_object(body, 0)
            if parsed.fault:
                return parsed
            found.append(parsed)
            place = text.find("<tool_call>", end)
        if len(found) == 1:
            return found[0]
        calls = tuple(call for parsed in found for call in parsed.calls)
        if len(calls) != len(found):
            return _fault("several tool calls need names")
        return replace(_action("[" + ", ".join(call.canonical() for call in calls) + "]"), calls=calls)

    def render(self, action: str) -> str:
        """The action as a tool call."""
        body = action if _is_call(action) else json.dumps({"action": action})
        return f"<tool_call>{body}</tool_call>"

    def reply(self, fault: str) -> str:
        """Says what the format is."""
        return f"Your reply could not be read ({fault}). {self.instructions}"


def _read_object(text: str, start: int) -> Parsed:
    """The JSON object at `start`."""
    if len(text) - start > 4 * MAX_ACTION:
        text = text[: start + 4 * MAX_ACTION]
    if _depth(text, start) > MAX_DEPTH:
        return _fault(f"more than {MAX_DEPTH} nested brackets")
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return _fault("not valid JSON")
    return _read_value(cast(dict[str, Any], value))


def _read_value(value: dict[str, Any]) -> Parsed:
    if isinstance(value.get("action"), str):
        return _action(value["action"])
    name, arguments = value.get("name"), value.get("arguments", {})
    if not isinstance(name, str) or not name:
        return _fault('the object needs "action", or "name" and "arguments"')
    if isinstance(arguments, str):  # Some models write the arguments as a string of JSON.
        try:
            arguments = json.loads(arguments) if _depth(arguments, 0) <= MAX_DEPTH else None
        except (ValueError, RecursionError):
            arguments = None
    if not isinstance(arguments, dict):
        return _fault('"arguments" must be an object')
    call = ToolCall(name, cast(dict[str, Any], arguments))
    text = call.canonical()
    if len(text) > MAX_ACTION:
        return _fault(f"the call is longer than {MAX_ACTION} characters")
    return Parsed(text, calls=(call,))


def _depth(text: str, start: int) -> int:
    """Deepest nesting of brackets, those in strings counted too: an upper bound is enough to be safe."""
    depth = deepest = 0
    for char in text[start:]:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _is_call(action: str) -> bool:
    """Whether the action is a tool call in canonical JSON."""
    if not action.startswith("{"):
        return False
    parsed = _read_object(action, 0)
    return len(parsed.calls) == 1 and parsed.calls[0].canonical() == action


DIALECTS: dict[str, Dialect] = {d.name: d for d in (Plain(), ActionTag(), Json(), Hermes())}


def get(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        UnknownNameError: there is none; the message has the nearest name.
    """
    if name not in DIALECTS:
        raise UnknownNameError("dialect", name, DIALECTS)
    return DIALECTS[name]
