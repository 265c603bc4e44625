"""`agentgym compare`: two evaluations of the same tasks, paired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from agentgym.cli.show import out_json, pairs, say, table

if TYPE_CHECKING:
    from agentgym.evaluate.paired import Flip, Pairing

Flag = Annotated[bool, Parameter(negative="")]

NAMED = 5
"""Tasks of one side alone that are named."""


def compare(a: str, b: str, /, *, seed: int = 0, flips: int = 10, json: Flag = False) -> int:
    """Compare two evaluations task by task: the difference, a test of it, and the tasks that flipped.

    Args:
        a: run folder, or RUN:LABEL for one of its evaluations: the reference.
        b: run folder, or RUN:LABEL: what is compared with it.
        seed: of the test's random sign flips, where there are too many to try all.
        flips: most tasks to list that flipped, each way.
        json: print JSON.
    """
    from agentgym.cli.eval_show import pairing_json, pairing_rows
    from agentgym.errors import UsageError
    from agentgym.evaluate.paired import pair
    from agentgym.evaluate.stored import check_comparable, stored

    if flips < 0:
        raise UsageError(f"--flips must be at least 0, not {flips}")
    one, two = stored(a), stored(b)
    apart = check_comparable(one, two)
    made = pair(one.played, two.played, seed)
    if not made.success.tasks:
        raise UsageError(f"{one.name} and {two.name} have no task in common at which an attempt of both counts")
    warnings = [*one.warnings, *two.warnings]
    if json:
        told: dict[str, Any] = {"a": one.name, "b": two.name, "env": one.env, **pairing_json(made)}
        out_json({**told, "settings_that_differ": apart, "warnings": warnings})
        return 0
    for warning in warnings:
        say(f"warning: {warning}")
    rows = [("A", one.name), ("B", two.name), *_counts(made), *pairing_rows(made)]
    test = "McNemar's exact test" if made.test == "mcnemar" else "sign flips over tasks"
    pairs(rows, title=f"{one.env}: A to B, by task; p of the success by {test}")
    _flipped(made.won, "won by B", flips)
    _flipped(made.lost, "lost by B", flips)
    for said in apart:
        say(f"note: not played alike: {said}")
    if made.other_starts:
        say(f"note: {made.other_starts} tasks were begun from other states: the environment was reset with other seeds")
    return 0


def _counts(made: Pairing) -> list[tuple[str, str]]:
    rows = [("tasks", f"{made.success.tasks}, with {made.attempts_a} and {made.attempts_b} attempts")]
    for side, tasks in (("A", made.only_a), ("B", made.only_b)):
        if tasks:
            more = f" and {len(tasks) - NAMED} more" if len(tasks) > NAMED else ""
            rows.append((f"only in {side}", f"{len(tasks)} tasks: {', '.join(tasks[:NAMED])}{more}"))
    if made.infra_errors_a or made.infra_errors_b:
        rows.append(("infra errors", f"{made.infra_errors_a} and {made.infra_errors_b}, left out"))
    return rows


def _flipped(found: Sequence[Flip], title: str, most: int) -> None:
    if not found or not most:
        return
    rows = [[f.task, f"{f.a:.0%} to {f.b:.0%}", ", ".join(f.trajectories_b)] for f in found[:most]]
    more = f"; {len(found) - most} more are not shown" if len(found) > most else ""
    table(("task", "success", "attempts"), rows, title=f"{len(found)} tasks {title}{more}")
