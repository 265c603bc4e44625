"""Reads verdicts: exactly the JSON object that was asked for, or none at all.

Nothing is searched for, repaired or guessed in a reply. A reply in which a judge repeats a verdict that the judged
text contained has something around it, or is no verdict in the fields that were asked for, and does not count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, cast

from agentgym.scorers.prompts import Kind

LONGEST = 16_384
"""Most characters of a reply that is looked at."""


class BadVerdictError(ValueError):
    """A reply that is no verdict of the kind that was asked for; says why. A judge may be asked again."""


def read(reply: str, verdict: Mapping[str, Kind], statements: int = 0) -> float:
    """The score that a verdict comes to, in [0, 1].

    The product of its shares and flags and, where it has lists, the share of positions at which all of them are true.

    Args:
        reply: what the judge wrote. Hostile. White space around the object is allowed, nothing else.
        verdict: its fields: these, all of them, each once.
        statements: how many entries each list has.

    Raises:
        BadVerdictError: it is anything else.

    >>> read('{"score": 0.25}', {"score": "share"})
    0.25
    >>> read('{"named": [true, true], "supported": [true, false]}', {"named": "flags", "supported": "flags"}, 2)
    0.5
    """
    fields = _object(reply)
    if set(fields) != set(verdict):
        raise BadVerdictError(f"it has the fields {sorted(fields)!r:.200}, not {sorted(verdict)}")
    score, lists = 1.0, list[list[bool]]()
    for name, kind in verdict.items():
        value = fields[name]
        if kind == "share":
            score *= _share(name, value)
        elif kind == "flag":
            score *= _flag(name, value)
        else:
            lists.append(_flags(name, value, statements))
    if lists:
        score *= sum(map(all, zip(*lists, strict=True))) / statements
    return score


def _object(reply: str) -> dict[str, Any]:
    if len(reply) > LONGEST:
        raise BadVerdictError(f"it has {len(reply)} characters, more than {LONGEST}")
    try:
        value = json.loads(reply, parse_constant=_refuse, object_pairs_hook=_once)
    except BadVerdictError:
        raise
    except (ValueError, RecursionError) as error:
        raise BadVerdictError(f"it is not one JSON text: {error}") from error
    if not isinstance(value, dict):
        raise BadVerdictError(f"it is a {type(value).__name__}, not an object")
    return cast(dict[str, Any], value)


def _refuse(name: str) -> Any:
    raise BadVerdictError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadVerdictError("a field is there twice")
    return found


def _share(name: str, value: Any) -> float:
    # To Python, true is a number; to whoever asked for one it is not.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise BadVerdictError(f"{name!r} is {value!r:.100}, not a number from 0 to 1")
    return float(value)


def _flag(name: str, value: Any) -> float:
    if not isinstance(value, bool):
        raise BadVerdictError(f"{name!r} is {value!r:.100}, not true or false")
    return float(value)


def _flags(name: str, value: Any, statements: int) -> list[bool]:
    if not isinstance(value, list) or len(cast(list[Any], value)) != statements:
        raise BadVerdictError(f"{name!r} is {value!r:.100}, not a list of {statements}")
    for entry in cast(list[Any], value):
        _flag(name, entry)
    return cast(list[bool], value)
