"""`agentgym lab`: what credit modules do to the gradient, measured where the true one is known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agentgym.cli.show import out_json, say, table
from agentgym.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from agentgym.lab import Measured, Variant
    from agentgym.lab.results import Results

Flag = Annotated[bool, Parameter(negative="")]


def lab(
    *,
    module: Annotated[list[str] | None, Parameter(name=["--module", "-m"], negative="")] = None,
    quick: Flag = False,
    out: Path | None = None,
    learning: Flag = False,
    seeds: int = 5,
    json: Flag = False,
) -> int:
    """Measure bias, variance and cost of credit modules on small worlds whose exact policy gradient is known.

    With --learning, train a small model with each module instead, and compare what they reach.

    Args:
        module: only this one; may be given several times. All if not given.
        quick: fewer groups (seconds instead of minutes); with --learning, a shorter training.
        out: folder to write cards and plots into, for instance docs/cards; the overview lab.md goes beside it.
        learning: compare learning instead of gradients.
        seeds: runs of each module with --learning; finished ones in OUT are not trained again.
        json: print JSON.
    """
    from agentgym.lab import NOT_MEASURED, VARIANTS

    known = sorted({variant.module for variant in VARIANTS} | set(NOT_MEASURED))
    for name in module or ():
        if name not in known:
            raise UnknownNameError("module of the lab", name, known)
    if learning:
        return _learning(module, quick, out, seeds, json)
    if quick and out is not None:
        raise UsageError("--quick measures too little for cards: leave out --quick, or --out")
    chosen = usable([variant for variant in VARIANTS if not module or variant.module in module])
    results = measured(chosen, quick, both=out is not None)
    found = results.quick if quick else results.full
    if out is not None:
        from agentgym.lab import cards
        from agentgym.lab.results import Results

        everything = Results.read(out / "cards.json") if module else Results()
        everything.update(results)
        for path in cards.write(out, everything, sorted({variant.module for variant in chosen})):
            say(f"wrote {path}")
    if json:
        from agentgym.lab.results import as_json

        out_json({"measured": as_json(found), "seconds_per_million_turns": results.cost})
    else:
        _show(found, results.cost)
    for name in sorted(set(NOT_MEASURED) & set(module or NOT_MEASURED)):
        say(f"{name}: not measured: {NOT_MEASURED[name]}")
    return 0


def usable(variants: list[Variant]) -> list[Variant]:
    """Those whose modules can be loaded and find their columns; the others are named on the error stream."""
    from agentgym.errors import AgentgymError
    from agentgym.lab.columns import available

    found: list[Variant] = []
    for variant in variants:
        try:
            variant.pipeline().check(available())
        except (AgentgymError, ImportError) as error:
            say(f"{variant.label}: left out: {error}")
        else:
            found.append(variant)
    return found


def measured(variants: list[Variant], quick: bool, both: bool) -> Results:
    """Measurements and costs.

    Args:
        variants: what to measure.
        quick: with few groups.
        both: with few groups as well, for the file that a test compares with.
    """
    from agentgym.lab.measure import cost, measure_all
    from agentgym.lab.results import Results
    from agentgym.lab.worlds import WORLDS

    results = Results()
    if quick or both:
        results.quick = measure_all(variants, WORLDS.values(), quick=True)
    if not quick:
        results.full = measure_all(variants, WORLDS.values())
    turns = 20_000 if quick else 1_000_000
    results.cost = cost(variants, WORLDS["key-door"], turns)
    return results


def _show(found: dict[str, list[Measured]], cost: dict[str, float]) -> None:
    from agentgym.lab.findings import against, verdict

    rows: list[list[str]] = []
    for label, measured in found.items():
        cosines = [m.cosine for m in measured if m.cosine is not None]
        times = against(measured, found.get("rloo", ()))
        low, high = min(m.ratio for m in measured), max(m.ratio for m in measured)
        rows.append(
            [
                label,
                verdict(measured),
                f"{low:.2f} to {high:.2f}",
                f"{min(cosines):.3f}" if cosines else "-",
                "-" if times is None else f"{times:.2f}",
                f"{cost[label]:.2g}",
            ]
        )
    table(("pipeline", "bias", "ratio", "lowest cosine", "noise / rloo", "s per million turns"), rows)


def _learning(module: list[str] | None, quick: bool, out: Path | None, seeds: int, json: bool) -> int:
    """Train with each module; a page, a plot and the runs themselves if there is a folder for them."""
    from agentgym import lab_learning
    from agentgym.lab import learning
    from agentgym.lab.runs import as_json, by_game

    kept = None if out is None else out / "learning.json"
    runs = lab_learning.compare(module, seeds, quick, kept, say)
    if out is not None:
        for path in lab_learning.write(out, runs):
            say(f"wrote {path}")
    if json:
        apart = {game: learning.differences(part).values() for game, part in by_game(runs).items()}
        found = [{"game": game, **asdict(d)} for game, parted in apart.items() for d in parted]
        out_json({"runs": as_json(runs), "differences": found})
    else:
        for game, part in by_game(runs).items():
            print(game)
            table(learning.TITLES, learning.rows(part))
            print(learning.conclusions(part))
    return 0
