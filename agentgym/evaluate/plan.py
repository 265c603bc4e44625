"""What an evaluation is, on disk: `evaluation.json` in its run folder, to resume, compare and rescore it by.

Two evaluations with equal plans play the same attempts with the same seeds. How many attempts are in flight, and what
all of them together may cost, changes no result and is no part of the plan.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pydantic

from agentgym import config, secrets
from agentgym.errors import ConfigError, StoreError, UsageError
from agentgym.evaluate.kinds import Kinds
from agentgym.evaluate.prices import Price
from agentgym.records import plain, unplain
from agentgym.store import RunFolder, TrajectoryLog
from agentgym.types import Ending, Trajectory

FILE = "evaluation.json"
FORMAT = 1
"""Version of the file."""
PHASE = "eval:"
"""An evaluation's trajectories are in the log under `eval:<label>`."""


class Entrant(config.Config):
    """One contestant, as it was named."""

    label: str
    policy: str
    model: str | None = None
    options: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Of the policy."""


class Plan(config.Config):
    """What is played, by whom, and how. Equal plans give equal attempts."""

    env: str
    options: dict[str, Any] = pydantic.Field(default_factory=dict)
    split: str
    tasks: tuple[str, ...]
    """Ids, in order."""
    attempts: int
    seed: int
    temperature: float
    max_tokens: int
    turns: int
    tokens: int | None = None
    seconds: float | None = None
    dialect: str | None = None
    system: str = ""
    entrants: tuple[Entrant, ...]


class Extras(config.Config):
    """What goes with a plan and changes no result."""

    slots: int = 64
    total_turns: int | None = None
    total_tokens: int | None = None
    total_seconds: float | None = None
    max_cost: float | None = None
    prices: dict[str, Price] = pydantic.Field(default_factory=dict)
    """By label."""
    rescored: str | None = None
    """The run that was graded again, for one that was made by `agentgym rescore`."""


class Saved(config.Config):
    """The whole file."""

    format: int = FORMAT
    plan: Plan
    extras: Extras = Extras()
    kinds: dict[str, dict[str, str]] = pydantic.Field(default_factory=dict)
    """By task id: what kind of task each is."""


def write_plan(folder: Path, plan: Plan, extras: Extras, kinds: Mapping[str, Kinds]) -> None:
    """Write the file, whole or not at all, and without the keys that an option may have brought."""
    saved = Saved(plan=public(plan), extras=extras, kinds={name: dict(words) for name, words in kinds.items()})
    temporary = folder / f".{FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(plain(saved.model_dump()), indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, folder / FILE)


def read_plan(folder: Path) -> Saved | None:
    """What the file of a run folder says; `None` where there is none.

    Raises:
        StoreError: it is of another format, or damaged.
    """
    path = folder / FILE
    try:
        data: Any = unplain(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {type(error).__name__}: {error}") from None
    data = cast(dict[str, Any], data) if isinstance(data, dict) else {}
    number = data.get("format")
    if number != FORMAT:
        raise StoreError(f"{path} has format {number!r}; this agentgym reads format {FORMAT}")
    try:
        return config.parse(Saved, data, str(path))
    except ConfigError as error:
        raise StoreError(" ".join(str(error).split())) from None


def public(plan: Plan) -> Plan:
    """A plan as it may be written down: what is known or looks like a key or a password is taken out of its texts."""
    return Plan.model_validate(_redacted(plan.model_dump()))


def differences(there: Plan, here: Plan) -> list[str]:
    """What two plans differ in, in words."""
    said: list[str] = []
    for name in Plan.model_fields:
        old, new = getattr(there, name), getattr(here, name)
        if old == new:
            continue
        if name == "tasks":
            old, new = _tasks(old), _tasks(new)
            old, new = (old, new) if old != new else (old, "other ones")
        elif name == "entrants":
            old, new = _entrants(old), _entrants(new)
        said.append(f"{name} {_short(old)} there, {_short(new)} here")
    return said


def reopen(path: Path, plan: Plan | None = None) -> tuple[RunFolder, Saved]:
    """The folder of an evaluation that was cut, locked for writing.

    Args:
        path: the run's folder.
        plan: what is to be played now; what the folder says if not given.

    Raises:
        UnknownNameError: there is no such folder.
        UsageError: it is no evaluation, or it has another plan: says what differs.
        StoreError: it is damaged, of another format, or another process is writing it.
    """
    folder = RunFolder(path, write=True)
    try:
        saved = read_plan(path)
        if saved is None:
            raise UsageError(f"{path} cannot be resumed: it has no {FILE}, so it is no evaluation")
        if saved.extras.rescored is not None:
            raise UsageError(f"{path} cannot be resumed: it was rescored from {saved.extras.rescored}, not played")
        apart = differences(saved.plan, public(plan)) if plan is not None else []
        if apart:
            raise UsageError(f"{path} is an evaluation of another plan: {'; '.join(apart)}")
    except BaseException:
        folder.close()
        raise
    return folder, saved


def played_before(log: TrajectoryLog, labels: Sequence[str], again: bool = False) -> dict[str, dict[str, Trajectory]]:
    """What is in a log, by contestant and attempt; of two with one id the later counts.

    Args:
        log: of the run.
        labels: the contestants.
        again: leave out those that met an infra error: they are to be played again.
    """
    found: dict[str, dict[str, Trajectory]] = {label: {} for label in labels}
    for entry in log:
        label = entry.phase.removeprefix(PHASE)
        if label in found and entry.phase != label:
            found[label][entry.trajectory.id] = entry.trajectory
    if again:
        return {name: _whole(played.values()) for name, played in found.items()}
    return found


def _whole(played: Iterable[Trajectory]) -> dict[str, Trajectory]:
    return {t.id: t for t in played if t.ending is not Ending.INFRA_ERROR}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return secrets.redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(inner) for key, inner in cast(Mapping[str, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in cast(Sequence[Any], value)]
    return value


def _tasks(ids: Sequence[str]) -> str:
    return f"{len(ids)} from {ids[0] if ids else 'none'}"


def _entrants(entrants: Sequence[Entrant]) -> str:
    return ", ".join(
        " ".join([e.policy, *([e.model] if e.model else []), *(f"{k}={v}" for k, v in sorted(e.options.items()))])
        for e in entrants
    )


def _short(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
