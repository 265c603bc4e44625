"""Evaluations that were stored: one contestant's attempts, out of a run folder that `eval` or training made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentgym.errors import StoreError, UnknownNameError, UsageError
from agentgym.evaluate.kinds import Kinds
from agentgym.evaluate.plan import PHASE, Saved, differences, read_plan
from agentgym.store import RunFolder
from agentgym.types import Trajectory


@dataclass(frozen=True, slots=True)
class Stored:
    """One contestant's attempts."""

    name: str
    """As it was asked for, the label added."""
    env: str
    label: str
    played: Sequence[Trajectory]
    """In the order of the log; of two with one id the later counts."""
    saved: Saved | None
    """What `evaluation.json` says; `None` for a run of the trainer."""
    warnings: Sequence[str]
    """What was found damaged, in words."""

    @property
    def kinds(self) -> Mapping[str, Kinds]:
        """Which kinds its tasks are of, by id; empty where nobody noted it."""
        return {} if self.saved is None else self.saved.kinds


def stored(name: str) -> Stored:
    """The attempts that `RUN` or `RUN:label` names.

    Args:
        name: a run folder; with `:label` one of its evaluations, which may be left out where there is one only.

    Raises:
        UnknownNameError: there is no such folder, or no such evaluation in it.
        UsageError: it has several evaluations, or none.
        StoreError: it is damaged, of another format, or of more than one environment.
    """
    path, label = _split(name)
    with RunFolder(path) as run:
        saved = read_plan(path)
        found: dict[str, dict[str, Trajectory]] = {}
        for entry in run.trajectories:
            if entry.phase.startswith(PHASE):
                found.setdefault(entry.phase.removeprefix(PHASE), {})[entry.trajectory.id] = entry.trajectory
        warnings = list(run.trajectories.warnings)
    if not found:
        raise UsageError(f"{path} holds no evaluation" + "".join(f"; {warning}" for warning in warnings))
    if label is None:
        if len(found) > 1:
            raise UsageError(f"{path} holds several evaluations: say which: {', '.join(f'{path}:{k}' for k in found)}")
        label = next(iter(found))
    if label not in found:
        raise UnknownNameError(f"evaluation in {path}:", label, found)
    played = list(found[label].values())
    envs = sorted({t.env for t in played})
    if len(envs) > 1:
        raise StoreError(f"{path}: the evaluation {label!r} is of several environments: {', '.join(envs)}")
    return Stored(f"{path}:{label}", envs[0], label, played, saved, warnings)


def check_comparable(a: Stored, b: Stored) -> list[str]:
    """What is different about two evaluations beside who played, in words.

    Raises:
        UsageError: they are of different environments, or have no task in common.
    """
    if a.env != b.env:
        raise UsageError(f"{a.name} is of {a.env} and {b.name} of {b.env}: only one environment can be compared")
    if not {t.task_id for t in a.played} & {t.task_id for t in b.played}:
        raise UsageError(f"{a.name} and {b.name} have no task in common")
    if a.saved is None or b.saved is None:
        return []
    other = {"entrants": b.saved.plan.entrants, "tasks": b.saved.plan.tasks}
    return [
        said.replace(" there, ", " in A, ").replace(" here", " in B")
        for said in differences(a.saved.plan.model_copy(update=other), b.saved.plan)
    ]


def _split(name: str) -> tuple[Path, str | None]:
    """The folder, and the label after the last colon, unless a folder has that very name."""
    folder, colon, label = name.rpartition(":")
    if not colon or not folder or Path(name).is_dir():
        return Path(name), None
    return Path(folder), label
