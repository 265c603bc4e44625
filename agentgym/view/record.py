"""One trajectory as the page shows it: plain JSON values of bounded size, with what can be added up along its turns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from agentgym.records import read_float, unplain

MAX_TEXT = 20_000
"""Characters of one text; what is longer is clipped, and says so."""
MAX_FULL = 5_000_000
"""Characters of all texts together where a person asked for the whole."""
MAX_ALL = 4_000_000
"""Characters of all texts together otherwise."""
MAX_LIST = 500
"""Entries of a list inside a text's surroundings: admissible actions, tools, a dictionary of `info`."""


class Clip:
    """Cuts texts to what a page can hold, and counts them.

    Attributes:
        count: texts and lists that were cut.
    """

    def __init__(self, longest: int, room: int) -> None:
        """Args: `longest` characters of one text; `room` characters of all together."""
        self.longest, self.room, self.count = longest, room, 0

    def __call__(self, value: Any, depth: int = 0) -> Any:
        """The value with NaN and infinities as `None`, and what is too long cut."""
        if value is None or isinstance(value, bool | int):
            return value if not isinstance(value, int) or abs(value) < 1 << 53 else str(value)[:60]
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, str):
            return self.text(value)
        if depth > 20:
            self.count += 1
            return "[... nested more deeply]"
        if isinstance(value, list | tuple):
            entries = cast(Sequence[Any], value)
            made = [self(one, depth + 1) for one in entries[:MAX_LIST]]
            if len(entries) > MAX_LIST:
                self.count += 1
                made.append(f"[... {len(entries) - MAX_LIST:,} more]")
            return made
        if isinstance(value, dict):
            items = list(cast(dict[str, Any], value).items())
            self.count += len(items) > MAX_LIST
            return {self.text(str(key)): self(one, depth + 1) for key, one in items[:MAX_LIST]}
        return self.text(repr(value))

    def text(self, value: str) -> str:
        """A text, cut where it is too long."""
        allowed = min(self.longest, max(200, self.room))
        self.room -= min(len(value), allowed)
        if len(value) <= allowed:
            return value
        self.count += 1
        return f"{value[:allowed]}\n[... {len(value) - allowed:,} more characters]"


def shown(n: int, record: dict[str, Any], gamma: float, full: bool = False) -> dict[str, Any]:
    """A record of the log as JSON values for a page.

    Args:
        n: its row.
        record: as the log has it.
        gamma: discount of the returns.
        full: long texts as well.
    """
    clip = Clip(MAX_FULL if full else MAX_TEXT, MAX_FULL if full else MAX_ALL)
    turns = [_turn(turn, clip) for turn in record["turns"]]
    rewards = [turn["reward"] or 0.0 for turn in turns]
    advantages = record.get("advantages")
    made: dict[str, Any] = {
        "n": n,
        **{key: clip(record[key]) for key in ("id", "env", "task_id", "group", "attempt", "phase", "ending", "split")},
        "seed": str(record["seed"]) if abs(record["seed"]) >= 1 << 53 else record["seed"],
        "iteration": record.get("iteration"),
        "success": bool(record["success"]),
        "score": _finite(record["score"]),
        "error": clip(record.get("error")),
        "retries": record["retries"],
        "seconds": _finite(record["seconds"]),
        "turns": turns,
        "final": None if record.get("final") is None else _observation(record["final"], clip),
        "advantages": None if advantages is None else [_finite(a) for a in advantages],
        "returns": returns(rewards, _finite(record["score"]), gamma),
        "gamma": gamma,
        "columns": _columns(record.get("columns") or {}),
    }
    made["clipped"] = clip.count
    return made


def returns(rewards: Sequence[float], score: float | None, gamma: float) -> list[float]:
    """The reward to go of each turn; what the score is beyond the sum of rewards is paid at the end.

    >>> returns([0.0, 1.0, 0.0], 1.0, 0.5)
    [0.5, 1.0, 0.0]
    >>> returns([0.0, 0.0], 1.0, 1.0)
    [1.0, 1.0]
    """
    ahead = 0.0 if score is None else score - math.fsum(rewards)
    if abs(ahead) < 1e-9 * max(1.0, abs(score or 0.0)):
        ahead = 0.0
    made: list[float] = []
    for place, reward in enumerate(reversed(rewards)):
        ahead = reward + (ahead if place == 0 else gamma * ahead)
        made.append(ahead)
    return made[::-1]


def _turn(turn: dict[str, Any], clip: Clip) -> dict[str, Any]:
    said = turn["completion"]
    return {
        "observation": _observation(turn["observation"], clip),
        "completion": {
            "text": clip(said["text"]),
            "tokens": len(said.get("tokens") or ()),
            "finish": said["finish"],
            "prompt_tokens": said["prompt_tokens"],
            "cached_tokens": said["cached_tokens"],
            "seconds": _finite(said["seconds"]),
            "version": said["version"],
            "has_logprobs": bool(said.get("logprobs")) and bool(said.get("tokens")),
        },
        "action": clip(turn.get("action")),
        "reward": _finite(turn["reward"]),
        "rewards": clip(unplain(turn.get("rewards", {}))),
        "info": clip(unplain(turn.get("info", {}))),
        "env_seconds": _finite(turn["env_seconds"]),
    }


def _columns(stored: dict[str, list[Any]]) -> dict[str, list[float | None]]:
    return {name[:200]: [_finite(value) for value in values] for name, values in stored.items()}


def _observation(seen: dict[str, Any], clip: Clip) -> dict[str, Any]:
    return {
        "text": clip(seen["text"]),
        "role": clip(seen["role"]),
        "state": clip(seen.get("state")),
        "actions": clip(seen.get("actions")),
        "tools": clip(unplain(seen.get("tools"))),
    }


def _finite(value: Any) -> float | None:
    number = read_float(value)
    return number if math.isfinite(number) else None
