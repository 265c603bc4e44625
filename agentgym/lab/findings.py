"""Plain sentences about measurements: bias that is real is stated, and what could not be seen as well."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentgym.lab.measure import Measured

SURE = 3.0
"""Standard errors that a difference must be apart to be called one."""
SMALL = 1e-7
"""Rounding of exact sums."""


def unbiased(m: Measured) -> bool:
    """Whether no bias can be seen."""
    return m.bias <= SMALL + SURE * m.bias_error


def straight(m: Measured) -> bool:
    """Whether E[estimate] cannot be told from a multiple of the true gradient."""
    return m.turned <= SMALL + SURE * m.bias_error


def lost(m: Measured) -> bool:
    """Whether nothing of the gradient can be seen in E[estimate], or it points the other way."""
    return m.ratio <= SMALL + SURE * m.ratio_error


def verdict(rows: Sequence[Measured]) -> str:
    """The bias of a pipeline in a few words."""
    if any(lost(m) for m in rows):
        return "no gradient, or a wrong one"
    if all(unbiased(m) for m in rows):
        return "none"
    if all(straight(m) for m in rows):
        return "scale only"
    return "direction, slightly" if min(m.cosine or 0.0 for m in rows) > 0.99 else "direction"


def sentences(rows: Sequence[Measured]) -> list[str]:
    """What the measurements of one pipeline say.

    Args:
        rows: of all worlds and group sizes.
    """
    kind = verdict(rows)
    errors = [m.bias_error for m in rows if not m.exact]
    seen = f" (a bias below {SURE * max(errors):.2f} of the gradient's size could hide in the draw)" if errors else ""
    said: list[str] = []
    if kind == "none":
        return [f"No bias was found in any of the worlds{seen}."]
    wrong = [m for m in rows if lost(m)]
    if wrong:
        places = _places(wrong)
        said.append(f"**Expected estimates have no part along the true gradient, or a negative one, in {places}.**")
    exact = sorted((m for m in rows if m.exact and m.world == rows[0].world), key=lambda m: m.size)
    scales = ", ".join(f"{m.ratio:.3f} at N = {m.size}" for m in exact)
    low, high = min(rows, key=lambda m: m.ratio), max(rows, key=lambda m: m.ratio)
    if kind == "scale only":
        said.append(
            f"The direction is right as far as can be seen{seen}; the scale is {low.ratio:.2f} to {high.ratio:.2f} "
            "times the true gradient's, which a learning rate absorbs where it is the same in all tasks."
        )
    else:
        known = [m for m in rows if m.cosine is not None]
        bent = min(known, key=lambda m: m.cosine or 0.0, default=None)
        if bent is not None:
            said.append(
                f"The direction is off: the cosine to the true gradient falls to {bent.cosine:.3f} in {bent.world} at "
                f"N = {bent.size}; {_places([m for m in rows if not straight(m)])} deviate beyond the draw's error."
            )
        said.append(f"The part along the true gradient is {low.ratio:.2f} to {high.ratio:.2f} times its size.")
    if scales:
        said.append(f"Exactly, in {rows[0].world}: {scales}.")
    return said


def against(rows: Sequence[Measured], reference: Sequence[Measured]) -> float | None:
    """How noisy a pipeline is against another one: geometric mean over worlds of the ratio of `noise`, at the largest
    group size that both have. `None` where a gradient is lost somewhere."""
    size = max((m.size for m in reference), default=0)
    theirs = {m.world: m.noise for m in reference if m.size == size}
    logs: list[float] = []
    for m in rows:
        if m.size == size:
            other = theirs.get(m.world)
            if not m.noise or not other or m.ratio < 0:
                return None
            logs.append(math.log(m.noise / other))
    return math.exp(sum(logs) / len(logs)) if logs else None


def _places(rows: Sequence[Measured]) -> str:
    sizes: dict[str, list[int]] = {}
    for m in rows:
        sizes.setdefault(m.world, []).append(m.size)
    return ", ".join(f"{world} (N = {', '.join(map(str, found))})" for world, found in sizes.items())
