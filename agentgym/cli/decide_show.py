"""How decisive turns are shown: some trajectories turn by turn, the verdict on the others, the credit modules."""

from __future__ import annotations

from collections.abc import Sequence

from agentgym.branch import Branched, CreditCheck, Refused
from agentgym.cli.show import console, say, table
from agentgym.types import Trajectory

SHOWN = 48
"""Characters of an action in the table of turns."""
BAR = 10
"""Cells of a value's bar."""
IN_FULL = 3
"""Trajectories whose turns are shown one by one; of the others the verdict."""


def show(played: Sequence[Trajectory], found: Sequence[Branched | Refused], checked: CreditCheck | None) -> None:
    """Print what was found for a person."""
    by_id = {each.id: each for each in played}
    good = [each for each in found if isinstance(each, Branched)]
    for each in good[:IN_FULL]:
        show_turns(by_id[each.id], each)
    width = console().width
    if len(good) > 1:
        title = f"the decisive turn of {len(good)} trajectories"
        rows = [(b.id, "won" if b.success else "lost", str(len(b.advantages)), b.verdict) for b in good]
        table(("trajectory", "ending", "turns", "verdict"), rows, title=title if width > 60 else None)
    refused = [each for each in found if not isinstance(each, Branched)]
    for each in refused:
        say(f"not branched: {each.id}: {each.why}")
    if checked is not None:
        show_check(checked)


def show_turns(trajectory: Trajectory, found: Branched) -> None:
    """One trajectory, turn by turn."""
    low = min(0.0, *(v.value for v in found.values))
    high = max(1.0, *(v.value for v in found.values))
    rows: list[tuple[str, ...]] = []
    for turn, value, change in zip(trajectory.turns, found.values, found.advantages, strict=False):
        mark = "<" if found.decisive is not None and found.decisive.turn == change.turn else ""
        said = " ".join((turn.action if turn.action is not None else turn.completion.text).split())
        rows.append(
            (
                str(value.turn + 1),
                said if len(said) <= SHOWN else said[: SHOWN - 3] + "...",
                f"{value.value:.2f} {_bar(value.value, low, high)}",
                f"{change.change:+.2f}",
                f"{change.low:+.2f} to {change.high:+.2f}",
                mark,
            )
        )
    rows.append(("", f"({trajectory.ending.value})", f"{found.score:.2f} (the score)", "", "", ""))
    table(("turn", "action", "value before", "change", "95 %", ""), rows, title=f"{found.id}: {found.verdict}")


def show_check(checked: CreditCheck) -> None:
    """The credit modules, the best first."""
    rows: list[tuple[str, ...]] = []
    for row in checked.rows:
        if row.needs is None:
            spread = "-" if row.low is None or row.high is None else f"{row.low:+.2f} to {row.high:+.2f}"
            rows.append(
                (row.label, _signed(row.correlation), spread, _signed(row.within), *map(_share, (row.signs, row.top)))
            )
    titles = ("credit module", "rank correlation", "95 %", "within", "signs", "decisive")
    about = f"{checked.trajectories} trajectories of {checked.tasks} tasks, {checked.turns} turns"
    table(titles, rows, title=f"credit against branched values: {about}")
    if checked.ceiling is not None:
        print(f"the branched values are estimates: about {checked.ceiling:.2f} is the most to expect")
    missing: dict[str, list[str]] = {}
    for row in checked.rows:
        if row.needs is not None:
            missing.setdefault(row.needs, []).append(row.label)
    for column, labels in sorted(missing.items()):
        print(f"needs {column}: {'; '.join(labels)}")


def _bar(value: float, low: float, high: float) -> str:
    filled = round(BAR * (value - low) / (high - low)) if high > low else 0
    return "█" * filled + "·" * (BAR - filled)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
