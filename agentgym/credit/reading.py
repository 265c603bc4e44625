"""What a trajectory tells about its turns beyond the required columns: columns that cost no model call."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentgym.credit.columns import COMPONENT, PLAYED, Column
from agentgym.errors import CreditError
from agentgym.types import Trajectory, Turn


def read_turns(
    played: Sequence[Trajectory], components: Sequence[str] = (), progress: bool = False
) -> Mapping[str, Column]:
    """The columns of `PLAYED`, one `reward.NAME` for each component, `logprob` where all turns have it, and `progress`
    where all turns that reached the environment report it. Rows are the turns of trainable trajectories, in the order
    of `played`.

    A turn whose action could not be read did not reach the environment: its progress is that of the turn before, 0 in
    the beginning. With `progress` the column is there in any case, and a turn that should report it and does not is an
    error.

    Raises:
        CreditError: a component or progress is not a finite number; names the trajectory and the turn.
    """
    turns = [(i, n, turn) for i, t in enumerate(played) if t.trainable for n, turn in enumerate(t.turns)]
    columns: dict[str, list[Any]] = {
        "success": [played[i].success for i, _, _ in turns],
        "fault": [turn.action is None or "fault" in turn.info for _, _, turn in turns],
        "malformed": [turn.action is None for _, _, turn in turns],
        "truncated": [turn.completion.finish == "length" for _, _, turn in turns],
        "characters": [len(turn.completion.text) for _, _, turn in turns],
        "action": [hash_state(turn.completion.text if turn.action is None else turn.action) for _, _, turn in turns],
    }
    found = {name: np.asarray(values, dtype=PLAYED[name]) for name, values in columns.items()}
    for name in dict.fromkeys([*components, *(c for _, _, turn in turns for c in turn.rewards)]):
        parts = [_number(turn.rewards.get(name, 0.0), played[i], n, COMPONENT + name) for i, n, turn in turns]
        found[COMPONENT + name] = np.asarray(parts, dtype=np.float64)
    reported = [turn.info.get("progress") is not None for _, _, turn in turns if turn.action is not None]
    if progress or (reported and all(reported)):
        found["progress"] = _progress(played, turns)
    if turns and all(_has_logprobs(turn) for _, _, turn in turns):
        logprob = [math.fsum(turn.completion.logprobs or ()) for _, _, turn in turns]
        found["logprob"] = np.asarray(logprob, dtype=np.float64)
    return found


def _progress(played: Sequence[Trajectory], turns: Sequence[tuple[int, int, Turn]]) -> Column:
    values = np.zeros(len(turns))
    for row, (i, n, turn) in enumerate(turns):
        value = turn.info.get("progress")
        if value is None and turn.action is None:
            values[row] = values[row - 1] if n else 0.0
        else:
            values[row] = _number(value, played[i], n, "progress")
    return values


def hash_state(key: str) -> int:
    """A text's 64-bit hash, the same on every machine and in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _has_logprobs(turn: Turn) -> bool:
    tokens, logprobs = turn.completion.tokens, turn.completion.logprobs
    return tokens is not None and logprobs is not None and len(tokens) == len(logprobs)


def _number(value: Any, trajectory: Trajectory, turn: int, what: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise CreditError(f"trajectory {trajectory.id!r}, turn {turn}: {what} is {value!r}, not a finite number")
    return float(value)
