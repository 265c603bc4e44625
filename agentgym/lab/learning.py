"""What runs of the learning comparison came to: curves, differences from the reference, and which of them are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from agentgym.lab.plot import Panel, Point, svg
from agentgym.lab.runs import Run, by_game, by_module
from agentgym.lab.significance import holm, interval, paired

REFERENCE = "grpo"
"""The module that all others are compared with."""
PER_PLOT = 6
"""Most lines in one panel: more cannot be told apart."""
TITLES = ("module", "success while learning", "held out at the end", "difference from grpo", "p", "p (Holm)")


@dataclass(frozen=True)
class Difference:
    """A module against the reference, seed by seed."""

    module: str
    difference: float
    """Of the mean success while learning."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""
    p: float
    """Of the paired t-test."""
    corrected: float
    """The same, corrected for all comparisons (Holm)."""


def differences(runs: Sequence[Run]) -> dict[str, Difference]:
    """Each module against the reference, over the seeds that both have; modules with fewer than two are left out.

    Args:
        runs: of one game.
    """
    areas: dict[str, dict[int, float]] = {}
    for run in runs:
        areas.setdefault(run.module, {})[run.seed] = run.area
    theirs = areas.get(REFERENCE, {})
    pairs: dict[str, tuple[list[float], list[float]]] = {}
    for module, mine in areas.items():
        seeds = sorted(mine.keys() & theirs.keys())
        if module != REFERENCE and len(seeds) > 1:
            pairs[module] = [mine[s] for s in seeds], [theirs[s] for s in seeds]
    p = {module: paired(*both) for module, both in pairs.items()}
    corrected = holm(p)
    found: dict[str, Difference] = {}
    for module, (mine, reference) in pairs.items():
        apart = [a - b for a, b in zip(mine, reference, strict=True)]
        low, high = interval(apart)
        found[module] = Difference(module, fmean(apart), low, high, p[module], corrected[module])
    return found


def rows(runs: Sequence[Run]) -> list[list[str]]:
    """A table of all modules of one game, the best first, with the columns of `TITLES`."""
    apart = differences(runs)
    found: list[list[str]] = []
    for module, mine in sorted(by_module(runs).items(), key=lambda item: -fmean(run.area for run in item[1])):
        d = apart.get(module)
        cells = ["-"] * 3
        if d is not None:
            cells = [f"{d.difference:+.3f} ({d.low:+.3f} to {d.high:+.3f})", f"{d.p:.3f}", f"{d.corrected:.3f}"]
        found.append([module, _mean([run.area for run in mine]), _mean([run.heldout for run in mine]), *cells])
    return found


def conclusions(runs: Sequence[Run]) -> str:
    """Which differences of one game are significant, in a few sentences."""
    apart = differences(runs)
    sure = [d for d in apart.values() if d.corrected < 0.05]
    maybe = [d for d in apart.values() if d.p < 0.05 <= d.corrected]
    said = [
        f"Significant at 5 % after Holm's correction for {len(apart)} comparisons: {_named(sure)}.",
        f"Below 5 % before the correction only, so that some of them are expected to be chance: {_named(maybe)}.",
        "No other difference can be told from chance with so few seeds; that is no proof that there is none.",
    ]
    return " ".join(said)


def plot(runs: Sequence[Run]) -> str:
    """Success over samples as SVG, mean and 95 % interval over seeds; some modules a panel, and their reference."""
    return svg([panel for game, part in by_game(runs).items() for panel in _panels(game, by_module(part))], per_row=2)


def _panels(game: str, modules: dict[str, list[Run]]) -> list[Panel]:
    others = sorted((m for m in modules if m != REFERENCE), key=lambda m: -fmean(run.area for run in modules[m]))
    parts = [others[i : i + PER_PLOT] for i in range(0, len(others), PER_PLOT)] or [[]]
    panels: list[Panel] = []
    for number, part in enumerate(parts):
        lines = {m: _line(modules[m]) for m in ([REFERENCE] if REFERENCE in modules else []) + part}
        title = f"success in {game}, places {number * PER_PLOT + 1} to {number * PER_PLOT + len(part)}"
        panels.append(Panel(title, "attempts", lines))
    return panels


def _line(runs: Sequence[Run]) -> list[Point]:
    points: list[Point] = []
    for i in range(min(len(run.curve) for run in runs)):
        values = [run.curve[i] for run in runs]
        low, high = interval(values) if len(values) > 1 else (values[0], values[0])
        points.append(Point((i + 1) * runs[0].samples, fmean(values), max(0.0, low), min(1.0, high)))
    return points


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}"
    low, high = interval(values)
    return f"{fmean(values):.3f} ({max(0.0, low):.3f} to {min(1.0, high):.3f})"


def _named(found: Sequence[Difference]) -> str:
    return ", ".join(f"`{d.module}` {d.difference:+.3f}" for d in sorted(found, key=lambda d: d.corrected)) or "none"
