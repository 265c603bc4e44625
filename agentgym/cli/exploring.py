"""`agentgym check` and `play`: whether an environment keeps the rules, and what it is like."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from agentgym.cli.machine import require_extra
from agentgym.cli.show import out_json, safe, say, settings

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


def play(
    env: str,
    /,
    *,
    task: int = 0,
    split: Literal["train", "heldout"] = "train",
    seed: int = 0,
    policy: str | None = None,
    option: Options = None,
    save: Path | None = None,
) -> int:
    """Play an environment in the terminal, or watch a scripted policy play it. An empty line, Ctrl-D or Ctrl-C ends it.

    Args:
        env: id, or ./file.py:SPEC.
        task: which of its tasks, counted from 0.
        split: of the tasks.
        seed: of the episode.
        policy: who plays; you, if not given.
        option: name=value for the environment; may be given several times.
        save: new run folder to record the episode in.
    """
    from agentgym import registry
    from agentgym.errors import UsageError
    from agentgym.types import Ending

    require_extra(registry.spec(env))
    options = settings(option or (), "--option")
    tasks = registry.tasks(env, split, **options)
    if not 0 <= task < len(tasks):
        raise UsageError(f"--task {task}: {env} has {len(tasks)} {split} tasks, counted from 0")
    picked = tasks[task]
    if policy is None:
        from agentgym.cli.person import play_by_hand

        trajectory = play_by_hand(env, picked, seed, options)
    else:
        trajectory = _watch(env, policy, picked, seed, options)
    gave_up = policy is None and trajectory.ending is Ending.OUT_OF_TIME
    ended = "given up" if gave_up else trajectory.ending.value.replace("_", " ")
    print(f"\n{ended}: score {trajectory.score:g}, {len(trajectory.turns)} turns")
    if save is not None:
        from agentgym.cli.saving import recording

        with recording(save) as run:
            run.trajectories.append(trajectory, phase="play")
        say(f"saved; look at it with: agentgym report {save}")
    return 0


def _watch(env: str, policy: str, task: Any, seed: int, options: dict[str, Any]) -> Any:
    from agentgym import registry
    from agentgym.cli.evaluating import build_policy
    from agentgym.errors import InfraError
    from agentgym.host import HostPool
    from agentgym.rollout import attempts, collect
    from agentgym.types import Turn

    player = build_policy(policy, registry.spec(env).dialect)
    if task.prompt:
        print(safe(task.prompt) + "\n")

    def show(_: Any, turn: Turn) -> None:
        print(safe(turn.observation.text))
        print(f"> {safe(turn.completion.text)}" + (f"    [reward {turn.reward:g}]" if turn.reward else "") + "\n")

    try:
        with HostPool(env, options) as hosts:
            (played,) = collect(attempts([task], 1, seed), env=env, policy=player, hosts=hosts, on_turn=show)
    finally:
        player.close()
    if played.error is not None:
        raise InfraError(f"{env}: {played.error}")
    if played.final is not None:
        print(safe(played.final.text))
    return played
