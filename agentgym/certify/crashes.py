"""The parent's side of fuzzing: run it, make what broke small, and keep it in a file that can be played again."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from agentgym.certify import child
from agentgym.certify.engines import last_played
from agentgym.certify.finding import Finding
from agentgym.certify.fuzzing import case_name
from agentgym.certify.store import data_root
from agentgym.errors import UsageError

Tell = Callable[[dict[str, Any]], None]
SHRINKING = 10.0
"""Seconds for making a crash small."""


def fuzz(request: Mapping[str, Any], tell: Tell) -> Finding:
    """Fuzz in a process of its own; a crash comes back small, in a file, with the command that plays it again."""
    begin, settings = time.perf_counter(), request["settings"]
    with tempfile.TemporaryDirectory() as folder:
        args = {"folder": folder, "module": request["module"]}
        played = child.run({**request, "args": args}, settings["stage_deadline"], on_message=tell)
        found = {key: value for m in played.messages for key, value in m.items()}
        crash = Path(folder) / "crash"
        data = crash.read_bytes() if crash.is_file() else None
        if data is None and played.problem and not played.clean:
            data = last_played(Path(folder) / "last")  # It hung, or took the process with it.
    figures = {key: found[key] for key in ("fuzzer", "runs", "steps", "kinds") if key in found}

    def finding(ok: bool, detail: str) -> Finding:
        return Finding("fuzz", ok, detail, time.perf_counter() - begin, figures)

    if data is not None:
        what, case = _explained(request, data, played.problem)
        return finding(False, f"{what}; again: agentgym certify {request['label']} --replay {_kept(request, case)}")
    if (not played.clean and played.problem) or "runs" not in found:
        return finding(False, played.problem or "the fuzzer ended before it began")
    return finding(
        True,
        f"{found['fuzzer']}: {found['runs']:,} episodes, {found['steps']:,} steps in {found['seconds']:.0f} s, "
        f"{found['kinds']} kinds of answer; each a valid step in time",
    )


def _explained(request: Mapping[str, Any], data: bytes, problem: str) -> tuple[str, dict[str, Any]]:
    """What broke, and the smallest case that does the same."""
    broke = _try(request, {"data": data.hex()})
    if broke is None:
        return (problem or "something broke") + " (not when it is played as the only one)", {"data": data.hex()}
    what, kind, case = broke["what"], broke["kind"], broke.get("case")
    if case is None:
        return what, {"data": data.hex()}
    args = {"case": case, "kind": kind, "seconds": SHRINKING}
    settings = request["settings"]
    limit = SHRINKING + settings["reset_deadline"] + settings["step_deadline"]
    # A case that takes its process with it stays as long as it is.
    played = None if kind == "died" else child.run({**request, "stage": "shrink", "args": args}, limit)
    for message in played.messages if played is not None else ():
        if "smaller" in message:
            case, what = message["smaller"], message["what"]
    return f"{what} (task {case['task']!r}, {len(case['actions'])} actions)", case


def _try(request: Mapping[str, Any], case: dict[str, Any]) -> dict[str, Any] | None:
    """What breaks when a case is played again, and how."""
    settings = request["settings"]
    limit = settings["reset_deadline"] + settings["step_deadline"]
    played = child.run({**request, "stage": "replay", "args": {"case": case}}, limit)
    for message in played.messages:
        if "broke" in message:
            return message
    if not played.problem:
        return None
    return {"what": played.problem, "kind": "died", "case": case if "actions" in case else None}


def _kept(request: Mapping[str, Any], case: dict[str, Any]) -> Path:
    folder = data_root() / "crashes"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{request['id']}-{case_name(case)}.json"
    path.write_text(
        json.dumps({"options": request["options"], **case}, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    return path


def play_again(request: Mapping[str, Any], path: Path) -> Finding:
    """Play a kept crash again.

    Raises:
        UsageError: the file is none.
    """
    begin = time.perf_counter()
    try:
        case: Any = json.loads(path.read_text(encoding="utf-8"))
        keys = set(cast(dict[str, Any], case)) if isinstance(case, dict) else set[str]()
    except (OSError, ValueError) as error:
        raise UsageError(f"--replay {path}: cannot be read: {error}") from error
    if "data" not in keys and not {"task", "seed", "actions"} <= keys:
        raise UsageError(f"--replay {path}: not a crash that `agentgym certify` kept")
    broke = _try(request, cast(dict[str, Any], case))
    detail = "nothing breaks" if broke is None else str(broke["what"])
    return Finding("replay", broke is None, detail, time.perf_counter() - begin)
