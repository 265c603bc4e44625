"""`decisive.jsonl`: what branching found of a run's trajectories, one JSON line each, beside its log."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentgym.branch.values import Branched
from agentgym.errors import StoreError

FILE = "decisive.jsonl"
"""In a run's folder. The viewer reads it by a way of its own, which passes over what is damaged."""


def write_decisive(run: Path, found: Sequence[Branched]) -> Path:
    """Put results into a run's folder, in the place of earlier ones of the same trajectories and policy.

    The file is replaced in one step: a reader sees the old one or the new one.

    Raises:
        StoreError: it cannot be written, or what is there is something else.
    """
    fresh = [each.to_json() for each in found]
    new = {(line["id"], line["policy"]) for line in fresh}
    lines = [line for line in read_decisive(run) if (line["id"], line["policy"]) not in new] + fresh
    path = run / FILE
    temporary = run / f".{FILE}.{os.getpid()}"
    try:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot be written: {error}") from error
    return path


def read_decisive(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's file in order; none where there is no file.

    Raises:
        StoreError: it is something else; names the line.
    """
    path = run / FILE
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            record: Any = json.loads(line)
            if not {"id", "policy", "values", "advantages"} <= set(record):
                raise ValueError("keys are missing")
        except (ValueError, TypeError) as error:
            raise StoreError(f"{path}, line {number}: no result of branching ({error}); remove the file") from error
        found.append(record)
    return found
