"""Runs of the learning comparison, and the file that keeps finished ones: one a line, so that a stop costs one run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from agentgym.errors import StoreError, UsageError


@dataclass(frozen=True)
class Run:
    """One training run."""

    game: str
    """Environment that it was trained in: runs of different ones are not compared."""
    module: str
    seed: int
    recipe: str
    """Fingerprint of its recipe: runs of different ones are not compared."""
    curve: tuple[float, ...]
    """Success of each iteration's attempts."""
    samples: int
    """Attempts of an iteration."""
    heldout: float
    """Success on held-out tasks at the end."""

    @property
    def area(self) -> float:
        """Mean success over all training attempts: the area under the learning curve, over its width."""
        return fmean(self.curve)


def by_game(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of each game, in the order in which games come."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.game, []).append(run)
    return found


def by_module(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of each module of one game, by seed."""
    found: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        found.setdefault(run.module, []).append(run)
    return found


def read(path: Path) -> list[Run]:
    """Runs that `save` wrote; none where there is no file.

    Raises:
        StoreError: the file is something else.
    """
    if not path.exists():
        return []
    try:
        data: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [_run(**one) for one in data]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: holds no runs of the learning comparison ({error}); remove it") from error


def as_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Runs as JSON values."""
    return [asdict(run) for run in runs]


def save(path: Path, runs: Sequence[Run]) -> None:
    """Write runs, one a line, after putting the file aside in one step: a kill leaves the old one or the new one.

    Raises:
        UsageError: it cannot be written.
    """
    lines = [json.dumps(one) for one in as_json(sorted(runs, key=lambda run: (run.game, run.module, run.seed)))]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error}") from error


def _run(curve: Sequence[float], **rest: Any) -> Run:
    return Run(curve=tuple(map(float, curve)), **rest)
