"""`agentgym rescore`: stored trajectories graded again, by the environment as it is now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from agentgym.cli.show import out_json, pairs, say, settings, table

if TYPE_CHECKING:
    from agentgym.evaluate import EvalResult
    from agentgym.evaluate.plan import Saved
    from agentgym.evaluate.rescoring import Rescored
    from agentgym.store import Entry, RunFolder

Flag = Annotated[bool, Parameter(negative="")]
Options = Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="")]


def rescore(
    run: Path,
    /,
    *,
    option: Options = None,
    phase: str | None = None,
    metrics: Flag = False,
    save: Path | None = None,
    limit: int = 20,
    json: Flag = False,
) -> int:
    """Grade stored trajectories again: their actions are replayed in the environment, and no policy is asked.

    Exits with 1 where nothing could be graded.

    Args:
        run: the run's folder.
        option: name=value for the environment, over those that the run was made with; may be given several times.
        phase: only trajectories of this phase, e.g. eval:random or train; all if not given.
        metrics: replay nothing; compute the numbers and the environment's own metrics of what is on record.
        save: new run folder for the trajectories with their new grades.
        limit: most changed trajectories to list.
        json: print JSON.
    """
    from agentgym import registry
    from agentgym.cli.bars import Bars
    from agentgym.cli.saving import recording
    from agentgym.errors import StoreError, UsageError
    from agentgym.evaluate import metrics_of, summarise
    from agentgym.evaluate.plan import read_plan
    from agentgym.evaluate.rescoring import refuse
    from agentgym.evaluate.rescoring import rescore as replay
    from agentgym.store import RunFolder

    if metrics and (save is not None or option):
        raise UsageError("--metrics replays nothing, so there is nothing to --save and no --option to replay with")
    if save is not None and save.exists():
        raise UsageError(f"{save} exists already: choose another --save")
    with RunFolder(run) as folder:
        saved = read_plan(run)
        entries = [entry for entry in folder.trajectories if phase is None or entry.phase == phase]
        phases = sorted({entry.phase for entry in folder.trajectories}) if not entries else []
        options = {**_options(folder, saved), **settings(option or (), "--option")}
        for warning in folder.trajectories.warnings:
            say(f"warning: {warning}")
    if not entries:
        there = f"; it has {', '.join(phases)}" if phases else ""
        raise UsageError(f"{run} holds no trajectory" + (f" of the phase {phase!r}{there}" if phase else ""))
    envs = sorted({entry.trajectory.env for entry in entries})
    if len(envs) > 1:
        raise StoreError(f"{run} holds trajectories of several environments: {', '.join(envs)}")
    env, kinds = envs[0], saved.kinds if saved is not None else {}
    played = [entry.trajectory for entry in entries]
    before = summarise(played, metrics_of(env), kinds)
    if metrics:
        if json:
            out_json({"run": str(run), "env": env, **before.to_json()})
        else:
            pairs(before.rows(), title=f"{run}: {env}, as it is on record")
        return 0 if before.attempts else 1
    refuse(env)
    registry.make(env, **options).close()  # A wrong option shows here, not in a worker process.
    with Bars(quiet=json) as bars:
        bars.start("rescore", len(played))

        def one(_: Rescored) -> None:
            bars.advance(1)

        done = replay(env, played, options, on_done=one)
    after = summarise([found.after for found in done], metrics_of(env), kinds)
    if save is not None:
        with recording(save) as target:
            _write(target, run, entries, done, saved, options)
        say(f"saved; look at it with: agentgym report {save}")
    if json:
        out_json(
            {"run": str(run), "env": env, **_json(entries, done), "before": before.to_json(), "after": after.to_json()}
        )
    else:
        _show(f"{run}: {env}", entries, done, before, after, limit)
    return 0 if any(found.why is None for found in done) else 1


def _options(folder: RunFolder, saved: Saved | None) -> dict[str, Any]:
    """The environment's options that the run was made with."""
    if saved is not None:
        return dict(saved.plan.options)
    if folder.config_path.exists() and folder.config_path.read_text(encoding="utf-8").strip():
        from agentgym.recipe import load_recipe

        return dict(load_recipe(folder.config_path).env.options)
    return {}


def _write(
    target: RunFolder,
    source: Path,
    entries: Sequence[Entry],
    done: Sequence[Rescored],
    saved: Saved | None,
    options: Mapping[str, Any],
) -> None:
    from agentgym.evaluate.plan import write_plan

    if saved is not None:
        plan = saved.plan.model_copy(update={"options": dict(options)})
        extras = saved.extras.model_copy(update={"rescored": str(source)})
        write_plan(target.path, plan, extras, saved.kinds)
    for entry, found in zip(entries, done, strict=True):
        # No advantages: they were computed from the old rewards.
        target.trajectories.append(found.after, phase=entry.phase, iteration=entry.iteration)


def _json(entries: Sequence[Entry], done: Sequence[Rescored]) -> dict[str, Any]:
    return {
        "trajectories": len(done),
        "changed": [
            {
                "id": found.before.id,
                "phase": entry.phase,
                "what": list(found.changed),
                "score": [found.before.score, found.after.score],
                "success": [found.before.success, found.after.success],
                "ending": [found.before.ending.value, found.after.ending.value],
            }
            for entry, found in zip(entries, done, strict=True)
            if found.changed
        ],
        "not_replayed": [{"id": found.before.id, "why": found.why} for found in done if found.why is not None],
        "other_observations": sum(found.observations > 0 for found in done),
    }


def _show(
    title: str,
    entries: Sequence[Entry],
    done: Sequence[Rescored],
    before: EvalResult,
    after: EvalResult,
    limit: int,
) -> None:
    changed = [(entry, found) for entry, found in zip(entries, done, strict=True) if found.changed]
    what = Counter(name for _, found in changed for name in found.changed)
    why = Counter(found.why.partition(":")[0] for found in done if found.why is not None)
    whole = sum(found.why is None for found in done)
    rows = [
        ("replayed", f"{whole} of {len(done)} trajectories"),
        ("changed", f"{len(changed)}" + (f" ({', '.join(f'{k} {n}' for k, n in what.items())})" if what else "")),
    ]
    if whole:
        rows += [
            ("success", f"{before.success:.1%} before, {after.success:.1%} now"),
            ("score", f"{before.score:.3f} before, {after.score:.3f} now"),
            ("reward", f"{before.reward:.3f} before, {after.reward:.3f} now"),
        ]
    rows += [("not replayed", f"{count}: {reason}") for reason, count in why.most_common(5)]
    pairs(rows, title=title)
    if changed[:limit]:
        lines = [
            [
                entry.phase,
                found.before.id,
                f"{found.before.score:g} to {found.after.score:g}",
                f"{found.before.ending.value} to {found.after.ending.value}",
                ", ".join(found.changed),
            ]
            for entry, found in changed[:limit]
        ]
        more = f"; {len(changed) - limit} more are not shown" if len(changed) > limit else ""
        table(("phase", "trajectory", "score", "ending", "changed"), lines, title=f"{len(changed)} changed{more}")
    other = sum(found.observations > 0 for found in done)
    if other:
        say(f"note: in {other} trajectories the environment says something else now than what the model read then")
