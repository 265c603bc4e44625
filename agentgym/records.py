"""Records to JSON and back, exactly: what the trajectory log and the report are written with.

Text comes from models and environments and may hold anything: everything is escaped to ASCII, so lone surrogates, NUL
and control characters survive. JSON has no NaN and no infinities: they are written as `{"$float": "nan"}`.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any, cast

from agentgym.errors import StoreError
from agentgym.secrets import hidden, hide, redact
from agentgym.types import Completion, Ending, Observation, Sample, Trajectory, Turn

MARKS = ("$float", "$repr", "$")
SEAL = len(b',"crc":"01234567"}\n')


def to_json(trajectory: Trajectory, tokens: bool = True) -> dict[str, Any]:
    """A trajectory as JSON values; fields that say nothing (`None`, empty) are left out.

    A surrogate *pair* given as two code points comes back from JSON as the one character it stands for. What is no JSON
    value in an `info` comes back as its `repr`.

    Args:
        trajectory: what to write.
        tokens: whether to keep `samples`, the token ledger: by far the largest part.
    """
    t = trajectory
    record: dict[str, Any] = {
        "id": t.id,
        "env": t.env,
        "task_id": t.task_id,
        "group": t.group,
        "attempt": t.attempt,
        "seed": t.seed,
        "ending": t.ending.value,
        "score": _number(t.score),
        "success": t.success,
        "retries": t.retries,
        "seconds": _number(t.seconds),
        "split": t.split,
        "error": None if t.error is None else redact(t.error),
        "final": None if t.final is None else _observation(t.final),
        "turns": [_turn(turn) for turn in t.turns],
        "samples": [_sample(s) for s in t.samples] if tokens and t.samples else None,
    }
    return _compact(record)


def from_json(record: Mapping[str, Any]) -> Trajectory:
    """The trajectory that `to_json` wrote.

    Raises:
        StoreError: it is no record of a trajectory.
    """
    try:
        fields = dict(record)
        final = fields.pop("final", None)
        return Trajectory(
            id=fields["id"],
            env=fields["env"],
            task_id=fields["task_id"],
            group=fields["group"],
            attempt=fields["attempt"],
            seed=fields["seed"],
            turns=tuple(_read_turn(turn) for turn in fields["turns"]),
            ending=Ending(fields["ending"]),
            final=None if final is None else _read_observation(final),
            score=read_float(fields["score"]),
            success=fields["success"],
            error=fields.get("error"),
            retries=fields["retries"],
            samples=tuple(_read_sample(s) for s in fields.get("samples", ())),
            seconds=read_float(fields["seconds"]),
            split=fields["split"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"no record of a trajectory: {type(error).__name__}: {error}") from error


def dumps(value: Any) -> str:
    """Compact ASCII JSON of values that `to_json` or `plain` made, without the secrets that are known."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # Looked for in the whole, which is quick; taken out of the texts alone, for digits may stand in numbers, too.
    if hide(text) == text:
        return text
    return json.dumps(hidden(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def seal(text: str) -> bytes:
    """`{...}` as one line `{...,"crc":"01234567"}` whose checksum covers all that stands before `,"crc"`."""
    body = text[:-1].encode("ascii")
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def unseal(line: bytes) -> bytes | None:
    """The JSON of a sealed line, or `None` where it is not exactly what was written."""
    body, tail = line[:-SEAL], line[-SEAL:]
    return body + b"}" if tail == b',"crc":"%08x"}\n' % zlib.crc32(body) else None


def plain(value: Any) -> Any:
    """Any value as JSON values: NaN and infinities marked, numpy scalars unwrapped, what is left as its `repr`."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, Mapping):
        entries = {str(k): plain(v) for k, v in cast(Mapping[Any, Any], value).items()}
        return {"$": entries} if len(entries) == 1 and next(iter(entries)) in MARKS else entries
    if isinstance(value, list | tuple):
        return [plain(v) for v in cast(list[Any], value)]
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return plain(item())
    return {"$repr": repr(value)}


def unplain(value: Any) -> Any:
    """What `plain` was given, for JSON values."""
    if isinstance(value, list):
        return [unplain(v) for v in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    entries = cast(dict[str, Any], value)
    if len(entries) == 1:
        mark, inner = next(iter(entries.items()))
        if mark == "$float":
            return float(inner)
        if mark == "$repr":
            return inner
        if mark == "$":
            return {k: unplain(v) for k, v in cast(dict[str, Any], inner).items()}
    return {k: unplain(v) for k, v in entries.items()}


def _number(value: float) -> Any:
    return value if math.isfinite(value) else {"$float": repr(float(value))}


def read_float(value: Any) -> float:
    """A float that may be marked as NaN or infinite."""
    return float(cast(dict[str, Any], value)["$float"]) if isinstance(value, dict) else float(value)


def _compact(record: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if v is not None}


def _observation(o: Observation) -> dict[str, Any]:
    return _compact(
        {
            "text": o.text,
            "role": o.role,
            "state": o.state,
            "actions": None if o.actions is None else list(o.actions),
            "tools": None if o.tools is None else [plain(t) for t in o.tools],
        }
    )


def _read_observation(record: Mapping[str, Any]) -> Observation:
    actions, tools = record.get("actions"), record.get("tools")
    return Observation(
        text=record["text"],
        role=record["role"],
        state=record.get("state"),
        actions=None if actions is None else tuple(actions),
        tools=None if tools is None else tuple(unplain(t) for t in tools),
    )


def _completion(c: Completion) -> dict[str, Any]:
    return _compact(
        {
            "text": c.text,
            "tokens": None if c.tokens is None else list(c.tokens),
            "logprobs": None if c.logprobs is None else [_number(p) for p in c.logprobs],
            "finish": c.finish,
            "prompt_tokens": c.prompt_tokens,
            "cached_tokens": c.cached_tokens,
            "version": c.version,
            "versions": list(c.versions) or None,
            "written": c.written,
            "seconds": _number(c.seconds),
        }
    )


def _read_completion(record: Mapping[str, Any]) -> Completion:
    tokens, logprobs = record.get("tokens"), record.get("logprobs")
    return Completion(
        text=record["text"],
        tokens=None if tokens is None else tuple(tokens),
        logprobs=None if logprobs is None else tuple(map(read_float, logprobs)),
        finish=record["finish"],
        prompt_tokens=record["prompt_tokens"],
        cached_tokens=record["cached_tokens"],
        version=record["version"],
        seconds=read_float(record["seconds"]),
        versions=tuple(record.get("versions", ())),
        written=record.get("written"),
    )


def _turn(t: Turn) -> dict[str, Any]:
    return _compact(
        {
            "observation": _observation(t.observation),
            "completion": _completion(t.completion),
            "action": t.action,
            "reward": _number(t.reward),
            "rewards": plain(t.rewards) if t.rewards else None,
            "info": plain(t.info) if t.info else None,
            "env_seconds": _number(t.env_seconds),
            "weights_version": t.weights_version,
        }
    )


def _read_turn(record: Mapping[str, Any]) -> Turn:
    return Turn(
        observation=_read_observation(record["observation"]),
        completion=_read_completion(record["completion"]),
        action=record.get("action"),
        reward=read_float(record["reward"]),
        rewards=unplain(record.get("rewards", {})),
        info=unplain(record.get("info", {})),
        env_seconds=read_float(record["env_seconds"]),
        weights_version=record["weights_version"],
    )


def _sample(s: Sample) -> dict[str, Any]:
    return _compact(
        {
            "tokens": list(s.tokens),
            "turn": list(s.turn),
            "logprobs": [_number(p) for p in s.logprobs],
            "versions": list(s.versions) or None,
        }
    )


def _read_sample(record: Mapping[str, Any]) -> Sample:
    return Sample(
        tokens=tuple(record["tokens"]),
        turn=tuple(record["turn"]),
        logprobs=tuple(map(read_float, record["logprobs"])),
        versions=tuple(record.get("versions", ())),
    )
