"""`agentgym eval --dry-run`: what an evaluation would do, and what it would take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentgym.cli.eval_setting import policy_of, setting_of
from agentgym.cli.show import out_json, pairs, say, table
from agentgym.evaluate import play
from agentgym.evaluate.estimate import Estimate, Range, estimates
from agentgym.evaluate.plan import Extras, Plan
from agentgym.evaluate.prices import dollars
from agentgym.evaluate.turns import duration
from agentgym.host import HostPool
from agentgym.rollout import attempts as make_attempts
from agentgym.types import Task, Trajectory


def show_plan(plan: Plan, tasks: Sequence[Task], extras: Extras, *, near: Path | None, sample: int, json: bool) -> int:
    """Print what would be played, and estimates of what it takes; plays nothing but the sample.

    Args:
        plan: what would be played.
        tasks: of the plan.
        extras: slots, prices, limits.
        near: where it would be saved: runs beside it are looked at, and those in `runs`.
        sample: attempts to play, to measure them.
        json: print JSON.
    """
    episodes = len(plan.tasks) * plan.attempts * len(plan.entrants)
    told: dict[str, Any] = {
        "env": plan.env,
        "policy": ", ".join(entrant.label for entrant in plan.entrants),
        "split": plan.split,
        "tasks": len(plan.tasks),
        "episodes": episodes,
        "turns_at_most": episodes * plan.turns,
        "tokens_written_at_most": episodes * plan.turns * plan.max_tokens,
        "temperature": plan.temperature,
    }
    limits = {
        "turns": extras.total_turns,
        "tokens": extras.total_tokens,
        "seconds": extras.total_seconds,
        "dollars": extras.max_cost,
    }
    limits = {name: value for name, value in limits.items() if value is not None}
    roots = [near.resolve().parent] if near is not None else []
    if Path("runs").resolve() not in roots:
        roots.append(Path("runs").resolve())
    made = estimates(plan, tasks, extras, roots, _sampled(plan, tasks, extras, sample) if sample else {})
    if json:
        found = {label: _json(estimate) for label, estimate in made.items()}
        out_json({**told, "limits": limits, "estimates": found})
        return 0
    rows = [(key.replace("_", " "), str(value)) for key, value in told.items()]
    if limits:
        rows.append(("stops at", ", ".join(f"{value:g} {name}" for name, value in limits.items())))
    pairs(rows, title="would evaluate")
    names = ("calls", "tokens read", "tokens written", "time", "cost", "from")
    columns = {label: _shown(estimate) for label, estimate in made.items()}
    lines = [[name, *(shown[i] for shown in columns.values())] for i, name in enumerate(names)]
    table(("", *columns), lines, title="would take")
    if not sample and any(estimate.seconds is None for estimate in made.values()):
        say("--sample N plays N attempts of each, and estimates from them")
    return 0


def _sampled(plan: Plan, tasks: Sequence[Task], extras: Extras, sample: int) -> dict[str, list[Trajectory]]:
    """Attempts at the first tasks, of each contestant."""
    todo = make_attempts(tasks, -(-sample // len(tasks)), plan.seed)
    # One attempt at each task before a second one at any: tasks differ more than attempts do.
    todo = sorted(todo, key=lambda attempt: attempt.attempt)[:sample]
    policies: dict[str, Any] = {}
    hosts = HostPool(plan.env, plan.options, processes=2)
    try:
        for entrant in plan.entrants:
            policies[entrant.label] = policy_of(plan, entrant)
        return play(policies, todo, setting_of(plan, extras.slots), hosts)
    finally:
        hosts.close()
        for policy in policies.values():
            policy.close()


def _shown(estimate: Estimate) -> list[str]:
    count: Callable[[float], str] = lambda value: f"{value:,.0f}"  # noqa: E731 - one of three of a kind
    return [
        _spread(estimate.calls, count),
        _spread(estimate.read, count),
        _spread(estimate.written, count),
        _spread(estimate.seconds, duration) if estimate.seconds else "not known before some attempts are measured",
        _spread(estimate.cost, dollars) if estimate.cost else "not known without --prices",
        estimate.basis,
    ]


def _spread(found: Range, form: Callable[[float], str]) -> str:
    if found.middle is None:
        return f"{form(found.low)} to {form(found.high)}"
    return f"{form(found.middle)}  ({form(found.low)} to {form(found.high)})"


def _json(estimate: Estimate) -> dict[str, Any]:
    ranges = {
        "calls": estimate.calls,
        "tokens_read": estimate.read,
        "tokens_written": estimate.written,
        "seconds": estimate.seconds,
        "cost": estimate.cost,
    }
    return {
        "basis": estimate.basis,
        **{name: None if found is None else found._asdict() for name, found in ranges.items()},
    }
