"""How an evaluation is shown: one contestant's numbers by kind and ending, several side by side, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentgym.cli.show import pairs, table
from agentgym.evaluate.budget import Budget
from agentgym.evaluate.kinds import Part
from agentgym.evaluate.paired import Difference, Pairing, pair
from agentgym.evaluate.prices import Usage, dollars
from agentgym.evaluate.result import EvalResult, label
from agentgym.evaluate.turns import NAMES, SHARES

SHOWN = ("score", "turns", "tokens")
"""What is compared beside the success and the per-turn metrics where several are shown."""


def usage_rows(budget: Budget, who: str) -> list[tuple[str, str]]:
    """Tokens and money of one contestant; nothing where it has no price."""
    cost, usage = budget.cost_of(who), budget.usage.get(who, Usage())
    if cost is None:
        return []
    guessed = f"; {usage.estimated} of {usage.calls} calls by the length of the text" if usage.estimated else ""
    read = f"{usage.input:,} read ({usage.cached:,} cached), {usage.output:,} written{guessed}"
    return [("tokens used", read), ("cost", dollars(cost))]


def usage_json(budget: Budget, who: str) -> dict[str, Any]:
    """The same as JSON values; `cost` is `null` without a price."""
    return {"usage": asdict(budget.usage.get(who, Usage())), "cost": budget.cost_of(who)}


def show_parts(result: EvalResult) -> None:
    """The numbers by kind of task and by ending, where there is more than one."""
    named = {**result.kinds, **({"ending": result.by_ending} if len(result.by_ending) > 1 else {})}
    rows = [[f"{name} {kind}", *_cells(part)] for name, parts in named.items() for kind, part in parts.items()]
    if rows:
        table(("", "attempts", "success", "score", "turns", "valid actions"), rows, title="by kind of task and ending")


def show_several(env: str, results: Mapping[str, EvalResult], budget: Budget, several: Mapping[str, Pairing]) -> None:
    """Several contestants side by side, by kind of task, and how each differs from the first."""
    rows = {who: dict([*result.rows(), *usage_rows(budget, who)]) for who, result in results.items()}
    names = list(dict.fromkeys(name for found in rows.values() for name in found))
    lines = [[name, *(found.get(name, "-").replace("95 % interval ", "") for found in rows.values())] for name in names]
    table(("", *results), lines, title=f"{env}; 95 % intervals in brackets")
    kinds = {name: list(parts) for result in results.values() for name, parts in result.kinds.items()}
    lines = [
        [f"{name} {kind}", *(_success(result.kinds.get(name, {}).get(kind)) for result in results.values())]
        for name, found in kinds.items()
        for kind in found
    ]
    if lines:
        table(("", *results), lines, title="success by kind of task")
    for who, made in several.items():
        pairs(pairing_rows(made), title=f"{who} less {next(iter(results))}, task by task")


def differences(results: Mapping[str, EvalResult], seed: int) -> dict[str, Pairing]:
    """How each contestant but the first differs from it."""
    first, *others = results
    return {who: pair(results[first].trajectories, results[who].trajectories, seed) for who in others}


def pairing_rows(made: Pairing) -> list[tuple[str, str]]:
    """A comparison as a person reads it."""
    rows = [difference_row("success", made.success)]
    rows += [difference_row(name, d) for name, d in made.metrics.items() if name in (*SHOWN, *NAMES) and (d.a or d.b)]
    rows.append(("tasks that flipped", f"{len(made.won)} won, {len(made.lost)} lost, of {made.success.tasks}"))
    return rows


def pairing_json(made: Pairing) -> dict[str, Any]:
    """A comparison as JSON values."""
    return {
        "success": difference_json(made.success),
        "test": made.test,
        "metrics": {name: difference_json(d) for name, d in made.metrics.items()},
        "won": [asdict(flip) for flip in made.won],
        "lost": [asdict(flip) for flip in made.lost],
        "only_a": list(made.only_a),
        "only_b": list(made.only_b),
        "attempts": [made.attempts_a, made.attempts_b],
        "infra_errors": [made.infra_errors_a, made.infra_errors_b],
        "other_starts": made.other_starts,
    }


def difference_json(found: Difference) -> dict[str, Any]:
    """A difference as JSON values; `null` where there is no number."""
    return {name: None if value != value else value for name, value in asdict(found).items()}


def difference_row(name: str, found: Difference) -> tuple[str, str]:
    """A difference as a person reads it.

    >>> difference_row("success", Difference(0.25, 0.5, 0.25, 0.1, 0.4, 0.03125, 20))
    ('success', '25.0% to 50.0%: +25.0 points (95 % interval +10.0 to +40.0), p = 0.031')
    """
    share = name == "success" or name in SHARES
    named = label(name) if name in NAMES else name
    if not found.tasks:
        return named, "no task to tell it from"
    spread = ""
    if found.low is not None and found.high is not None:
        low, high = (_signed(value, share) for value in (found.low, found.high))
        spread = f" (95 % interval {low} to {high})"
    points = " points" if share else ""
    a, b = (f"{value:.1%}" if share else f"{value:.3g}" for value in (found.a, found.b))
    return named, f"{a} to {b}: {_signed(found.value, share)}{points}{spread}, p {_p(found.p)}"


def _signed(value: float, share: bool) -> str:
    return f"{100 * value:+.1f}" if share else f"{value:+.3g}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _cells(part: Part) -> list[str]:
    valid = "-" if part.valid_actions is None else f"{part.valid_actions:.1%}"
    return [str(part.attempts), _success(part), f"{part.score:.3f}", f"{part.turns:.1f}", valid]


def _success(part: Part | None) -> str:
    if part is None:
        return "-"
    low, high = part.interval
    return f"{part.success:.1%} ({100 * low:.0f} to {100 * high:.0f})"
