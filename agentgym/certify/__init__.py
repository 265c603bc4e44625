"""Certification: `agentgym check` grown up, and a certificate that says what was looked at.

`agentgym certify ID` runs it. Every part plays the environment in a process of its own that is killed when it hangs:
what hangs, crashes, leaks or shouts fails its own finding and nothing else.
"""

from __future__ import annotations

import datetime
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentgym.certify import child, crashes, processes
from agentgym.certify.finding import Finding
from agentgym.certify.naming import absolute, to_record
from agentgym.certify.settings import Settings
from agentgym.certify.sources import fingerprint
from agentgym.certify.stages import STAGES, Stage
from agentgym.certify.store import SCHEMA, read, status, write
from agentgym.env import EnvSpec
from agentgym.errors import UnknownNameError, UsageError

__all__ = ["STAGES", "Finding", "Settings", "certify", "fingerprint", "read", "replay", "status", "write"]

Progress = Callable[[str, int, int], None]


def certify(
    env: str | EnvSpec,
    settings: Settings | None = None,
    options: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    date: str | None = None,
    on_finding: Callable[[Finding], None] | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Look at an environment from every side.

    Args:
        env: id, `./file.py:SPEC`, or a spec.
        settings: counts and limits; the full ones if not given.
        options: of the environment and its tasks, over the spec's own; JSON values.
        only: names of `STAGES`; all of them if none is given.
        date: of the certificate, `YYYY-MM-DD`; today's if not given.
        on_finding: called with each finding as soon as there is one.
        on_progress: called with the stage, how far it is, and of how many.

    Returns:
        The certificate as a record. `ok` says whether every finding is; `complete` whether all stages ran.

    Raises:
        UnknownNameError: no environment, or no stage, has that name.
        MissingExtraError: its optional part is not installed.
        UsageError: the options are no JSON values.
    """
    from agentgym import __version__, registry

    names = [stage.name for stage in STAGES]
    for name in only:
        if name not in names:
            raise UnknownNameError("stage", name, names)
    settings, request = settings or Settings(), _request(env, settings or Settings(), options)
    spec = registry.spec(env)
    registry.resolve(spec.entry, spec.extra)
    before = fingerprint(spec, options)
    findings: list[Finding] = []
    begin = time.monotonic()
    for stage in STAGES:
        if (only and stage.name not in only) or (stage.ability is not None and stage.ability not in spec.abilities):
            continue
        if {f.name for f in findings if not f.ok} & set(stage.needs):
            continue
        for finding in _run(stage, request, on_finding or (lambda _: None), on_progress):
            findings.append(finding)
    if fingerprint(spec, options) != before:
        findings.append(Finding("unchanged", False, "the environment's files were changed while it was certified"))
        if on_finding is not None:
            on_finding(findings[-1])
    return {
        "schema": SCHEMA,
        "env": spec.id,
        "agentgym": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "fingerprint": before,
        "date": date or datetime.datetime.now(datetime.UTC).date().isoformat(),
        "quick": settings.quick,
        "complete": not only,
        "options": dict(options or {}),
        "settings": asdict(settings),
        "seconds": round(time.monotonic() - begin, 1),
        "ok": bool(findings) and all(finding.ok for finding in findings),
        "findings": [{**asdict(f), "seconds": round(f.seconds, 3)} for f in findings],
    }


def replay(env: str | EnvSpec, path: Path, options: Mapping[str, Any] | None = None) -> Finding:
    """Play again what a fuzzer found, from the file that it was kept in.

    Raises:
        UsageError: the file is none, or the environment is unknown.
    """
    return crashes.play_again(_request(env, Settings(), options), path)


def _request(env: str | EnvSpec, settings: Settings, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What children are told."""
    from agentgym import registry

    spec = registry.spec(env)
    name = absolute(env) if isinstance(env, str) else None
    request = {
        "id": spec.id,
        "label": env if isinstance(env, str) else spec.id,
        "env": name,
        "spec": None if name else to_record(spec),
        "module": spec.entry.rpartition(":")[0],
        "options": dict(options or {}),
        "settings": asdict(settings),
    }
    try:
        json.dumps(request, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{spec.id}: options and spec must be JSON values to be certified: {error}") from error
    return request


def _run(
    stage: Stage, request: dict[str, Any], on_finding: Callable[[Finding], None], on_progress: Progress | None
) -> list[Finding]:
    """The findings of one stage."""
    found: list[Finding] = []
    asked = {**request, "stage": stage.name}

    def tell(message: dict[str, Any]) -> None:
        if "finding" in message:
            found.append(Finding(**message["finding"]))
            on_finding(found[-1])
        elif "progress" in message and on_progress is not None:
            on_progress(stage.name, *message["progress"])

    if stage.name in ("processes", "fuzz"):
        finding = processes.processes(asked, tell) if stage.name == "processes" else crashes.fuzz(asked, tell)
        found.append(finding)
        on_finding(finding)
        return found
    begin = time.perf_counter()
    played = child.run(asked, request["settings"]["stage_deadline"], on_message=tell)
    if not played.ended:
        found.append(Finding(stage.name, False, played.problem, time.perf_counter() - begin))
        on_finding(found[-1])
    return found
