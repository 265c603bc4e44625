"""`agentgym certify`: look at an environment from every side, and write down what was looked at."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from agentgym.cli.machine import require_extra
from agentgym.cli.show import out_json, safe, say, settings

Flag = Annotated[bool, Parameter(negative="")]
Options = Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="")]
Names = Annotated[list[str] | None, Parameter(negative="")]


def certify(
    env: str,
    /,
    *,
    quick: Flag = False,
    option: Options = None,
    episodes: int | None = None,
    fuzz_seconds: float | None = None,
    fuzzer: str | None = None,
    seed: int = 0,
    only: Names = None,
    out: Path | None = None,
    date: str | None = None,
    replay: Path | None = None,
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Certify an environment: its rules, isolation, determinism across processes, leaks, deadlines, graders, fuzzing.

    Where all of it holds, a certificate is stored, which `agentgym list envs` shows. Exits with 1 if something fails.

    Args:
        env: id, or ./file.py:SPEC.
        quick: small counts; no certificate, unless --out says where.
        option: name=value for the environment; may be given several times.
        episodes: over which nothing may grow; all are played (if not given 2000, or 600 once 5
            minutes are over; with --quick 200).
        fuzz_seconds: seconds of fuzzing (30; with --quick 3).
        fuzzer: atheris, hypothesis or random; the first of them that is installed, if not given.
        seed: of every choice.
        only: one part (may be given several times); no certificate, unless --out says where.
        out: file for the certificate, written even if something fails.
        date: of the certificate, YYYY-MM-DD; today's if not given.
        replay: play again a crash that was kept, and nothing else.
        dry_run: only say what would be looked at.
        json: print the certificate as JSON.
    """
    from agentgym import registry
    from agentgym.certify import STAGES, Settings, store
    from agentgym.certify import certify as run
    from agentgym.certify import replay as play_again
    from agentgym.errors import UsageError

    options = settings(option or (), "--option")
    spec = registry.spec(env)
    require_extra(spec)
    given = {"episodes": episodes, "fuzz_seconds": fuzz_seconds, "fuzzer": fuzzer}
    changes: dict[str, Any] = {"seed": seed, **{name: value for name, value in given.items() if value is not None}}
    if episodes is not None:
        # Steps and resets keep their own deadlines.
        changes |= {"enough": episodes, "stage_deadline": 1e6}
    asked = Settings.small(**changes) if quick else replace(Settings(), **changes)
    if date is not None:
        import datetime

        try:
            datetime.date.fromisoformat(date)
        except ValueError as error:
            raise UsageError(f"--date {date}: not a date of the form YYYY-MM-DD") from error
    if replay is not None:
        finding = play_again(env, replay, options)
        if json:
            out_json(asdict(finding))
        else:
            print(safe(f"{'ok    ' if finding.ok else 'FAILED'}  {finding.name:<20} {finding.detail}"))
        return 0 if finding.ok else 1
    if dry_run:
        return _plan(env, asked, [stage for stage in STAGES if not only or stage.name in only], json)
    with _Line(quiet=json) as line:
        record = run(
            env, asked, options, only or (), date,
            on_finding=None if json else line.finding, on_progress=None if json else line.progress,
        )  # fmt: skip
    whole = record["ok"] and record["complete"] and not record["quick"]
    path = out or (store.own_path(spec.id, options) if whole else None)
    if path is not None:
        store.write(record, path)
    if json:
        out_json(record)
    else:
        held = sum(finding["ok"] for finding in record["findings"])
        print(f"{env}: {held} of {len(record['findings'])} hold, in {record['seconds']:.0f} s")
        if path is not None:
            say(f"certificate: {path}")
        elif record["ok"]:
            say("no certificate: that takes all parts, and full counts (neither --quick nor --only)")
    return 0 if record["ok"] else 1


def _plan(env: str, asked: Any, stages: list[Any], json: bool) -> int:
    if json:
        out_json({"env": env, "stages": [stage.name for stage in stages], "settings": asdict(asked)})
        return 0
    for stage in stages:
        print(f"{stage.name:<12} {stage.summary}")
    least = f" ({asked.enough:,} where {asked.leak_seconds:.0f} s are over)" if asked.enough < asked.episodes else ""
    print(
        f"{env}: {asked.episodes:,} episodes for leaks{least}, "
        f"{2 * asked.tasks} tasks solved, {asked.probed} probed, {asked.fuzz_seconds:.0f} s of fuzzing"
    )
    return 0


class _Line:
    """Findings on standard output, and below them, on a terminal, how far the part at work is."""

    def __init__(self, quiet: bool) -> None:
        import sys

        self._live = not quiet and sys.stderr.isatty()
        self._shown = 0

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *exc: object) -> None:
        self._clear()

    def finding(self, finding: Any) -> None:
        """One line."""
        self._clear()
        state = "ok    " if finding.ok else "FAILED"
        print(safe(f"{state}  {finding.name:<20} {finding.seconds:6.2f} s  {finding.detail}"), flush=True)

    def progress(self, stage: str, done: int, total: int) -> None:
        """The last line, again and again."""
        if self._live:
            import sys

            self._clear()
            text = f"{stage}: {done:,} of {total:,}"
            print(text, end="\r", file=sys.stderr, flush=True)
            self._shown = len(text)

    def _clear(self) -> None:
        if self._shown:
            import sys

            print(" " * self._shown, end="\r", file=sys.stderr, flush=True)
            self._shown = 0
