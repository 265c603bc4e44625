"""`agentgym check`: whether an environment keeps the rules."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from agentgym.cli.machine import require_extra
from agentgym.cli.show import out_json, safe, settings

Flag = Annotated[bool, Parameter(negative="")]
Options = Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="")]


def check(env: str, /, *, quick: Flag = False, option: Options = None, json: Flag = False) -> int:
    """Check that an environment keeps the rules: the conformance suite.

    Exits with 1 if a check fails.

    Args:
        env: id, or ./file.py:SPEC.
        quick: fewer seeds and actions.
        option: name=value for the environment; may be given several times.
        json: print JSON.
    """
    from agentgym import registry

    options = settings(option or (), "--option")
    require_extra(registry.spec(env))
    from agentgym.check import Finding
    from agentgym.check import check as run_checks

    def show(finding: Finding) -> None:
        if not json:
            state = "ok    " if finding.ok else "FAILED"
            print(safe(f"{state}  {finding.name:<20} {finding.seconds:6.2f} s  {finding.detail}"), flush=True)

    findings = run_checks(env, quick=quick, options=options, on_finding=show)
    failed = [finding for finding in findings if not finding.ok]
    if json:
        out_json({"env": env, "ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        print(f"{env}: {len(findings) - len(failed)} of {len(findings)} rules are kept")
    return 1 if failed else 0
