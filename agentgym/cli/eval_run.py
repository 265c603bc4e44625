"""Runs an evaluation that was planned: plays it, keeps it, shows what came out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgym.cli.bars import Bars
from agentgym.cli.eval_setting import policy_of, setting_of
from agentgym.cli.eval_show import differences, pairing_json, show_parts, show_several, usage_json, usage_rows
from agentgym.cli.saving import recording
from agentgym.cli.show import out_json, pairs, say
from agentgym.evaluate import EvalResult, Setting, kinds_of, metrics_of, play, summarise
from agentgym.evaluate.budget import Budget, Totals
from agentgym.evaluate.plan import PHASE, Extras, Plan, played_before, reopen, write_plan
from agentgym.host import HostPool
from agentgym.limits import Limits
from agentgym.policy import Sampling
from agentgym.rollout import attempts as make_attempts
from agentgym.store import RunFolder
from agentgym.track import Tracker
from agentgym.types import Task, Trajectory

LIMIT_REACHED = 3
"""Exit code where a limit on everything together kept attempts from being played."""
PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted beside the numbers."""

    save: Path | None = None
    resume: bool = False
    retry_errors: bool = False
    continuations: int = 0
    credit_check: bool = False
    json: bool = False


def run(plan: Plan, tasks: Sequence[Task], extras: Extras, wishes: Wishes) -> int:
    """Play what is planned, and print what came out.

    Returns:
        The exit code.

    Raises:
        UsageError: the folder is taken, or is an evaluation of another plan.
    """
    kinds = kinds_of(tasks, plan.env)
    stopped = False
    with contextlib.ExitStack() as stack:
        policies: dict[str, Any] = {}
        for entrant in plan.entrants:
            policies[entrant.label] = policy_of(plan, entrant)
            stack.callback(policies[entrant.label].close)
        folder = _folder(stack, plan, extras, kinds, wishes)
        done = _done(folder, plan, wishes)
        budget = Budget(Totals(extras.total_turns, extras.total_tokens, extras.total_seconds, extras.max_cost))
        for label, before in done.items():
            budget.enter(label, extras.prices.get(label), before.values())
        todo = make_attempts(tasks, plan.attempts, plan.seed)
        heard = {label: dict(before) for label, before in done.items()}

        def one(label: str, trajectory: Trajectory) -> None:
            heard[label][trajectory.id] = trajectory
            if folder is not None:
                folder.trajectories.append(trajectory, phase=f"{PHASE}{label}")

        bars = stack.enter_context(Bars(quiet=wishes.json))
        hosts = HostPool(plan.env, plan.options, processes=PROCESSES)
        stack.callback(hosts.close)
        setting = setting_of(plan, extras.slots)
        try:
            play(policies, todo, setting, hosts, budget=budget, done=done, progress=bars, on_trajectory=one)
        except KeyboardInterrupt:
            stopped = True
        results = {
            label: summarise([found[a.id] for a in todo if a.id in found], metrics_of(plan.env), kinds)
            for label, found in heard.items()
        }
        if folder is not None:
            _keep(folder, results)
        told = _show(plan, results, budget, stopped, wishes.json)
        if wishes.continuations and not stopped:
            told["decisive"] = _decide(plan, setting, policies, results, wishes)
        if wishes.json:
            out_json(told)
    _remarks(plan, results, budget, stopped, wishes)
    if stopped:
        return 130
    if budget.reached is not None:
        return LIMIT_REACHED
    return 0 if any(result.attempts for result in results.values()) else 1


def _folder(
    stack: contextlib.ExitStack, plan: Plan, extras: Extras, kinds: Mapping[str, Any], wishes: Wishes
) -> RunFolder | None:
    if wishes.save is None:
        return None
    if wishes.resume:
        folder, _ = reopen(wishes.save, plan)
        stack.enter_context(folder)
        Tracker(folder.path).cut(0)  # What a cut evaluation came to is no metric of the whole.
    else:
        folder = stack.enter_context(recording(wishes.save))
    write_plan(folder.path, plan, extras, kinds)
    return folder


def _done(folder: RunFolder | None, plan: Plan, wishes: Wishes) -> dict[str, dict[str, Trajectory]]:
    labels = [entrant.label for entrant in plan.entrants]
    if folder is None or not wishes.resume:
        return {label: {} for label in labels}
    found = played_before(folder.trajectories, labels, wishes.retry_errors)
    count = sum(map(len, found.values()))
    say(f"{folder.path}: {count} of {len(plan.tasks) * plan.attempts * len(labels)} attempts are there already")
    for warning in folder.trajectories.warnings:
        say(f"warning: {warning}")
    return found


def _keep(folder: RunFolder, results: Mapping[str, EvalResult]) -> None:
    tracker = Tracker(folder.path)
    for step, (label, result) in enumerate(results.items(), 1):
        tracker.log(step, {f"eval/{k}": v for k, v in result.metrics().items()}, stage=f"{PHASE}{label}")
    tracker.close()


def _show(plan: Plan, results: Mapping[str, EvalResult], budget: Budget, stopped: bool, json: bool) -> dict[str, Any]:
    """Print the tables, unless JSON is wanted; gives all of it as JSON values."""
    told: dict[str, Any] = {"env": plan.env, "split": plan.split, "seed": plan.seed}
    ended = {"stopped": stopped, "limit": budget.reached}
    named = {entrant.label: entrant for entrant in plan.entrants}
    numbers = {
        label: {
            "policy": named[label].policy,
            "model": named[label].model,
            **usage_json(budget, label),
            **result.to_json(),
        }
        for label, result in results.items()
    }
    if len(results) == 1:
        ((label, result),) = results.items()
        if not json:
            pairs([*result.rows(), *usage_rows(budget, label)], title=f"{label} on {plan.env}")
            show_parts(result)
        return {**told, **ended, **numbers[label]}
    several = differences(results, plan.seed)
    if not json:
        show_several(plan.env, results, budget, several)
    several = {label: {"than": plan.entrants[0].label, **pairing_json(made)} for label, made in several.items()}
    return {**told, **ended, "contestants": numbers, "differences": several}


def _decide(
    plan: Plan, setting: Setting, policies: Mapping[str, Any], results: Mapping[str, EvalResult], wishes: Wishes
) -> dict[str, Any]:
    from agentgym.cli.decide_run import after_eval

    found: dict[str, Any] = {}
    for label, result in results.items():
        found[label] = after_eval(
            result.trajectories,
            env=plan.env,
            policy=policies[label],
            options=plan.options,
            sampling=setting.sampling or Sampling(),
            limits=setting.limits or Limits(),
            continuations=wishes.continuations,
            credit_check=wishes.credit_check,
            json=wishes.json,
            seed=plan.seed,
            system=plan.system,
            dialect=plan.dialect,
            name=label,
            slots=setting.slots,
            # The file names trajectories by their ids, which contestants share.
            folder=wishes.save if len(results) == 1 else None,
        )
    return found if len(found) > 1 else next(iter(found.values()))


def _remarks(plan: Plan, results: Mapping[str, EvalResult], budget: Budget, stopped: bool, wishes: Wishes) -> None:
    played = sum(len(result.trajectories) for result in results.values())
    whole = len(plan.tasks) * plan.attempts * len(results)
    for label, result in results.items():
        if result.silent:
            say(f"{label} answered nothing in any turn: is it the right model, and is --max-tokens enough?")
    if stopped:
        say(f"stopped after {played} of {whole} attempts")
    elif budget.reached is not None:
        say(f"limit reached: {budget.reached}; {played} of {whole} attempts were played")
    if wishes.save is not None:
        if stopped or budget.reached is not None:
            say(f"go on with: agentgym eval ... --save {wishes.save} --resume")
        say(f"saved; look at it with: agentgym report {wishes.save}")
