"""Bias, variance and direction of the gradient that a pipeline's advantages lead to."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agentgym.credit.segments import Float
from agentgym.credit.table import TurnTable
from agentgym.errors import CreditError
from agentgym.lab.groups import Groups, how_many
from agentgym.lab.paths import Paths
from agentgym.lab.variants import Variant
from agentgym.lab.world import World

SIZES = (2, 4, 8, 16)
"""Group sizes that cards are about."""
ROWS = {False: 300_000, True: 20_000}
"""About how many turns are played for one world and group size; by whether it should be quick."""
MOST_EXACT = 5_000
"""Groups are enumerated where there are no more than this."""


@dataclass(frozen=True)
class Measured:
    """What a pipeline made of one world at one group size. `None` where a number has no meaning."""

    world: str
    size: int
    """N, attempts of a group."""
    exact: bool
    """Whether all groups were summed up; else drawn at random, and the errors are those of the draw."""
    groups: int
    """How many groups it was computed from."""
    ratio: float
    """E[estimate] . true / |true|^2: 1 without bias, 0 where nothing of the gradient is left."""
    ratio_error: float
    """Standard error; 0 where exact."""
    bias: float
    """|E[estimate] - true| / |true|, less what the draw alone would make of it."""
    bias_error: float
    """Size that the draw alone gives |mean estimate - true| / |true|; 0 where exact."""
    turned: float
    """The part of E[estimate] at right angles to the true gradient, over |true|, less what the draw makes of it."""
    cosine: float | None
    """Between E[estimate] and the true gradient; none where E[estimate] is 0, or lost in the draw's error."""
    variance: float
    """Trace of the covariance of one group's estimate over |true|^2, which falls as 1 / N where attempts are alone."""
    noise: float | None
    """variance / ratio^2: the same for a step rescaled to have the true length along the gradient; none at ratio 0."""


def measure(world: World, variant: Variant, size: int, quick: bool = False, seed: int = 0) -> Measured:
    """Measure one pipeline in one world at one group size.

    All pipelines are measured on the same groups. Those with statistics of the batch see all groups as one batch.

    Args:
        world: the world.
        variant: the pipeline.
        size: N.
        quick: fewer groups.
        seed: of groups drawn at random.

    Raises:
        CreditError: the pipeline needs a column that the lab does not have.
    """
    groups, table = played(world, size, quick, seed, variant.batch)
    try:
        credited = variant.pipeline()(table)
    except CreditError as error:
        raise CreditError(f"lab: {variant.label!r} in {world.name!r}, N = {size}: {error}") from error
    return compare(groups, groups.estimates(credited))


@lru_cache(maxsize=2)
def played(world: World, size: int, quick: bool, seed: int, batch: bool) -> tuple[Groups, TurnTable]:
    """Groups of a world and their table; the last ones are kept, since all pipelines are measured on the same.

    Args:
        world: the world.
        size: N.
        quick: fewer groups.
        seed: of groups drawn at random.
        batch: draw them even where all could be enumerated, because they are to be compared with each other.
    """
    paths = Paths.of(world)
    if not batch and how_many(paths, size) <= MOST_EXACT:
        groups = Groups.all(paths, size)
    else:
        turns = float(paths.probability @ paths.length)
        groups = Groups.sample(paths, size, max(200, round(ROWS[quick] / (size * turns))), seed)
    return groups, groups.table()


def compare(groups: Groups, estimates: Float) -> Measured:
    """The estimates of groups `[B, D]` against the true gradient."""
    true = groups.paths.gradient()
    length = float(np.sqrt(true @ true))
    if length == 0.0:
        raise CreditError(
            f"lab: the true gradient of {groups.paths.world.name!r} is 0: nothing can be compared with it"
        )
    count = len(estimates)
    mean = groups.weight @ estimates
    around = ((estimates - mean) ** 2).sum(axis=1)
    variance = float(groups.weight @ around) / length**2
    along = estimates @ true / length**2
    ratio = float(groups.weight @ along)
    error = (0.0, 0.0)
    if not groups.exact:
        variance *= count / (count - 1)
        error = (float(np.std(along, ddof=1)) / math.sqrt(count), math.sqrt(variance / count))
    off = float(((mean - true) ** 2).sum()) / length**2
    aside = float(((mean - ratio * true) ** 2).sum()) / length**2
    expected = float(np.sqrt(mean @ mean)) / length
    felt = expected > 1e-9 + 3.0 * error[1]
    return Measured(
        world=groups.paths.world.name,
        size=groups.drawn.shape[1],
        exact=groups.exact,
        groups=count,
        ratio=ratio,
        ratio_error=error[0],
        bias=math.sqrt(max(0.0, off - error[1] ** 2)),
        bias_error=error[1],
        turned=math.sqrt(max(0.0, aside - error[1] ** 2 + error[0] ** 2)),
        cosine=min(1.0, ratio / expected) if felt else None,
        variance=variance,
        noise=variance / ratio**2 if abs(ratio) > 1e-9 + 3.0 * error[0] else None,
    )


def cost(variants: Iterable[Variant], world: World, turns: int) -> dict[str, float]:
    """Seconds of one processor core that pipelines take for a million turns, by label; the better of two calls.

    Args:
        variants: the pipelines.
        world: whose attempts are credited, in groups of 8.
        turns: about how many turns are credited.
    """
    paths = Paths.of(world)
    count = max(1, round(turns / (8 * float(paths.probability @ paths.length))))
    table = Groups.sample(paths, 8, count, 0).table()
    found: dict[str, float] = {}
    for variant in variants:
        pipeline, best = variant.pipeline(), math.inf
        for _ in range(2):
            fresh = table.with_columns({})  # Without the segments that an earlier call worked out.
            began = time.process_time()
            pipeline(fresh)
            best = min(best, time.process_time() - began)
        found[variant.label] = best * 1e6 / len(table)
    return found


def measure_all(
    variants: Sequence[Variant], worlds: Iterable[World], quick: bool = False, seed: int = 0
) -> dict[str, list[Measured]]:
    """Pipelines in all worlds, at all group sizes (2 and 8 if `quick`), by label."""
    found: dict[str, list[Measured]] = {variant.label: [] for variant in variants}
    by_label = {variant.label: variant for variant in variants}
    for world in worlds:
        for size in (2, 8) if quick else SIZES:
            for label, variant in by_label.items():
                found[label].append(measure(world, variant, size, quick, seed))
    return found
