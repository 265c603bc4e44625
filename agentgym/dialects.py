"""Dialects: how the text of a model becomes an action, and how an action is written.

Parsing never raises: what cannot be read is a fault with a short reason, and the model gets an observation it can
learn from. Everything is linear in the text and bounded, for the text is hostile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from agentgym.errors import UnknownNameError

MAX_ACTION = 8192
"""Most characters of an action; a longer one is a fault."""
MAX_DEPTH = 64
"""Most nested brackets in JSON; deeper ones are a fault before the parser sees them."""
MAX_JSON = 16 * MAX_ACTION
"""Most characters of JSON that are read: escapes take up to twelve for one."""
MAX_CALLS = 32
"""Most tool calls in one turn."""
LINE = re.compile(r"[\r\n]")
PROMPT = re.compile(r"[\s>]*")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by name."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def canonical(self) -> str:
        """The call as JSON with sorted keys: the action string that environments get."""
        return _dump({"arguments": self.arguments, "name": self.name})


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read: an action, or a fault that says why there is none."""

    action: str | None
    fault: str | None = None
    """`"format: ..."` with a short reason."""
    calls: tuple[ToolCall, ...] = ()


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


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
        return _action(LINE.split(PROMPT.sub("", text, count=1), maxsplit=1)[0])

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
        last = text.rfind("</action>")
        start = text.rfind("<action>", 0, last if last >= 0 else len(text))
        if start < 0:
            return _fault("no <action> tag")
        if last < 0:
            return _fault("<action> is not closed")
        start += len("<action>")
        return _action(text[start : text.find("</action>", start)])

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
        return action if _calls(action) == 1 else _dump({"action": action})

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
            if len(found) == MAX_CALLS:
                return _fault(f"more than {MAX_CALLS} tool calls")
            parsed = _read_object(body, 0, alone=True)
            if parsed.fault:
                return parsed
            found.append(parsed)
            place = text.find("<tool_call>", end)
        if len(found) == 1:
            return found[0]
        calls = tuple(call for parsed in found for call in parsed.calls)
        if len(calls) != len(found):
            return _fault("several tool calls need names")
        parsed = _action("[" + ", ".join(call.canonical() for call in calls) + "]")
        return parsed if parsed.fault else replace(parsed, calls=calls)

    def render(self, action: str) -> str:
        """The action as a tool call, or as several where it is a list of calls."""
        count = _calls(action)
        bodies = [action] if count == 1 else [_dump(call) for call in json.loads(action)] if count else []
        # "</" only stands in strings, where JSON may escape the slash: the closing tag cannot be forged.
        return "\n".join(
            f"<tool_call>{body.replace('</', '<' + chr(92) + '/')}</tool_call>"
            for body in bodies or [_dump({"action": action})]
        )

    def reply(self, fault: str) -> str:
        """Says what the format is."""
        return f"Your reply could not be read ({fault}). {self.instructions}"


def _read_json(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at `start` and where it ends.

    Raises:
        ValueError: there is none, or it is too deep or too long.
    """
    text = text[: start + MAX_JSON]
    if _depth(text, start) > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} nested brackets")
    try:
        return DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        raise ValueError("not valid JSON") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _read_object(text: str, start: int, alone: bool = False) -> Parsed:
    """The action in the JSON object at `start`; `alone` if nothing may follow it."""
    try:
        value, end = _read_json(text, start)
    except ValueError as error:
        return _fault(str(error))
    if alone and end < len(text):
        return _fault("there is more than one JSON object")
    return _read_value(cast(dict[str, Any], value))


def _read_value(value: dict[str, Any]) -> Parsed:
    if isinstance(value.get("action"), str):
        return _action(value["action"])
    name, arguments = value.get("name"), value.get("arguments", {})
    if not isinstance(name, str) or not name:
        return _fault('the object needs "action", or "name" and "arguments"')
    if isinstance(arguments, str):  # Some models write the arguments as a string of JSON.
        try:
            arguments = _read_json(arguments.strip(), 0)[0]
        except ValueError:
            arguments = None
    if not isinstance(arguments, dict):
        return _fault('"arguments" must be an object')
    call = ToolCall(name, cast(dict[str, Any], arguments))
    try:
        text = call.canonical()
    except ValueError:  # 1e999 is JSON, the infinity it is read as is not.
        return _fault("a number is too large")
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


def _calls(action: str) -> int:
    """How many tool calls in canonical JSON the action is: 1 for an object, more for a list, 0 for none."""
    if not action.startswith(("{", "[{")):
        return 0
    try:
        value, end = _read_json(action, 0)
    except ValueError:
        return 0
    listed = cast(list[Any], value) if isinstance(value, list) else [value]
    parsed = [_read_value(cast(dict[str, Any], e)) if isinstance(e, dict) else _fault("no object") for e in listed]
    texts = [p.action for p in parsed if p.calls]
    if end < len(action) or len(texts) < len(listed) or len(texts) > MAX_CALLS:
        return 0
    exact = action == texts[0] if isinstance(value, dict) else action == "[" + ", ".join(map(str, texts)) + "]"
    return len(texts) if exact and (isinstance(value, dict) or len(texts) > 1) else 0


DIALECTS: dict[str, Dialect] = {d.name: d for d in (Plain(), ActionTag(), Json(), Hermes())}


def get(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        UnknownNameError: there is none; the message has the nearest name.
    """
    if name not in DIALECTS:
        raise UnknownNameError("dialect", name, DIALECTS)
    return DIALECTS[name]
