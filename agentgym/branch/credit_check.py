"""How well the advantages of credit modules agree with branched values, turn by turn.

A module sees a group of attempts once and must guess which turns mattered; branching has looked. The rank correlation
of the two says how good the guess is, whatever the module's scale. Branched values are estimates themselves: two halves
of the continuations agree only so far, and no module can be expected to agree more (`ceiling`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.branch.values import Branched
from agentgym.credit import TurnTable
from agentgym.errors import CreditError, MissingExtraError, UnknownNameError, UsageError
from agentgym.lab.variants import VARIANTS, Variant
from agentgym.seeding import generator
from agentgym.types import Trajectory

Float = NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True)
class Agreement:
    """How one module's advantages agree with the branched ones; `None` where there is nothing to compare."""

    module: str
    label: str
    """The module, and what is not default."""
    needs: str | None = None
    """The column that the played trajectories do not have; nothing else is there then."""
    correlation: float | None = None
    """Spearman's rank correlation over all turns; 0 where the module tells no turn from another."""
    low: float | None = None
    high: float | None = None
    """95 % interval of it: tasks drawn again with all of their attempts."""
    within: float | None = None
    """The same of ranks within each trajectory: whether it tells the turns of one attempt apart."""
    signs: float | None = None
    """Share of turns with the branched advantage's sign, of those whose interval does not contain 0."""
    top: float | None = None
    """How often its strongest turn is the decisive one, of trajectories that have one; ties count in part."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class CreditCheck:
    """The agreement of modules, the best first; those that need another column come last."""

    rows: tuple[Agreement, ...]
    trajectories: int
    turns: int
    tasks: int
    ceiling: float | None
    """Expected correlation of the branched advantages with the true ones, from how their halves agree."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "rows": [row.to_json() for row in self.rows]}


@dataclass(frozen=True)
class _Reference:
    """The turns to be compared, one trajectory after the other."""

    values: Float
    sure: NDArray[np.bool_]
    trajectory: NDArray[np.int64]
    task: NDArray[np.int64]


def credit_check(
    played: Sequence[Trajectory],
    found: Mapping[str, Branched],
    *,
    components: Sequence[str] = (),
    variants: Sequence[Variant] = VARIANTS,
    seed: int = 0,
) -> CreditCheck:
    """Compare credit modules with branched values.

    Args:
        played: whole groups of attempts: modules compare attempts at one task with each other. Those of them that were
            not branched count in the modules' statistics only.
        found: branched trajectories, by id.
        components: names of the environment's reward components.
        variants: the pipelines.
        seed: of the resampling.

    Raises:
        UsageError: none of the attempts was branched.
    """
    kept = [t for t in played if t.trainable]
    table = TurnTable.from_trajectories(kept, components)
    rows: list[Agreement] = []
    for variant in variants:
        try:
            missing = lacking(variant, table)
        except (MissingExtraError, UnknownNameError) as error:
            missing = str(error)
        if missing:
            rows.append(Agreement(variant.module, variant.label, needs=missing))
            continue
        try:
            credited = variant.pipeline()(table).per_trajectory("advantage", len(kept))
        except CreditError as error:
            rows.append(Agreement(variant.module, variant.label, needs=str(error)))
            continue
        by_id = {t.id: np.asarray(values) for t, values in zip(kept, credited, strict=True) if values is not None}
        rows.append(agreement(variant.module, variant.label, kept, found, by_id, seed=seed))
    ranked = sorted(rows, key=lambda row: (row.needs is not None, -(row.correlation or 0.0), row.label))
    reference = _reference(kept, found)
    return CreditCheck(
        rows=tuple(ranked),
        trajectories=len(np.unique(reference.trajectory)),
        turns=len(reference.values),
        tasks=len(np.unique(reference.task)),
        ceiling=ceiling([found[t.id] for t in kept if t.id in found]),
    )


def lacking(variant: Variant, table: TurnTable) -> str | None:
    """The first column that a pipeline does not find in a table, in alphabetical order; `None` where all are there."""
    there = set(table.columns)
    for _, module in variant.pipeline().modules:
        missing = sorted(module.required() - there)
        if missing:
            return missing[0]
        there |= module.writes
    return None


def agreement(
    module: str,
    label: str,
    played: Sequence[Trajectory],
    found: Mapping[str, Branched],
    advantages: Mapping[str, Float],
    seed: int = 0,
) -> Agreement:
    """How some advantages agree with the branched ones.

    Args:
        module: who gave them.
        label: how it is shown.
        played: the attempts.
        found: branched trajectories, by id.
        advantages: of each attempt's turns, by id.
        seed: of the resampling.

    Raises:
        UsageError: no attempt was branched.
    """
    reference = _reference(played, found)
    mine = np.concatenate([advantages[t.id] for t in played if t.id in found]).astype(np.float64)
    low, high = _interval(reference, mine, seed)
    sure = reference.sure
    right = np.count_nonzero(np.sign(mine[sure]) == np.sign(reference.values[sure]))
    return Agreement(
        module,
        label,
        correlation=spearman(reference.values, mine),
        low=low,
        high=high,
        within=_within(reference, mine),
        signs=float(right / np.count_nonzero(sure)) if sure.any() else None,
        top=_top([found[t.id] for t in played if t.id in found], advantages),
    )


def spearman(one: Float, two: Float) -> float:
    """Rank correlation, equal values sharing the mean of their ranks; 0 where one of them is constant.

    >>> round(spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0])), 6)
    0.5
    """
    return _pearson(ranks(one), ranks(two))


def ranks(values: Float) -> Float:
    """Ranks from 0 on, ties shared; numbers that differ by rounding alone are equal."""
    kinds, place, count = np.unique(np.round(values, 9), return_inverse=True, return_counts=True)
    del kinds
    first = np.cumsum(count) - count
    return (first + (count - 1) / 2.0)[place].astype(np.float64)


def ceiling(found: Sequence[Branched], draws: int = 20) -> float | None:
    """How far branched advantages can be expected to correlate with the true ones.

    The continuations at each turn are split in two at random; the correlation r of the two halves' advantages gives the
    reliability of the whole by Spearman and Brown's formula, 2r / (1 + r), and its root is the ceiling.
    """
    kept = [b for b in found if all(len(scores) >= 2 for scores in b.scores)]
    if not kept:
        return None
    measured: list[float] = []
    rng = generator(0, "branch", "ceiling")
    for _ in range(draws):
        one: list[float] = []
        two: list[float] = []
        for b in kept:
            mixed: list[Float] = [rng.permutation(np.array(scores)) for scores in b.scores]
            # The score at the end is known to both halves: the last turn would make them look alike for nothing.
            one += np.diff([float(each[: len(each) // 2].mean()) for each in mixed]).tolist()
            two += np.diff([float(each[len(each) // 2 :].mean()) for each in mixed]).tolist()
        if len(one) > 2:
            measured.append(spearman(np.array(one), np.array(two)))
    r = max(0.0, float(np.mean(measured))) if measured else None
    return None if r is None else math.sqrt(2 * r / (1 + r))


def _reference(played: Sequence[Trajectory], found: Mapping[str, Branched]) -> _Reference:
    kept = [t for t in played if t.id in found]
    if not kept:
        raise UsageError("the credit check has nothing to compare: none of the attempts was branched")
    tasks: dict[str, int] = {}
    changes = [change for t in kept for change in found[t.id].advantages]
    return _Reference(
        values=np.array([change.change for change in changes]),
        sure=np.array([change.low > 0 or change.high < 0 for change in changes]),
        trajectory=np.array([i for i, t in enumerate(kept) for _ in t.turns]),
        task=np.array([tasks.setdefault(t.task_id, len(tasks)) for t in kept for _ in t.turns]),
    )


def _pearson(one: Float, two: Float) -> float:
    a, b = one - one.mean(), two - two.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-12 else 0.0


def _interval(reference: _Reference, mine: Float, seed: int) -> tuple[float | None, float | None]:
    """Percentile interval of the bootstrap over tasks; none with fewer than three.

    Ranks are those of all turns, not made anew in each resample: sums by task are then all that is needed.
    """
    tasks = int(reference.task.max()) + 1
    if tasks < 3:
        return None, None
    x, y = (r - r.mean() for r in (ranks(reference.values), ranks(mine)))
    parts = (np.ones_like(x), x, y, x * x, y * y, x * y)
    sums = np.stack([np.bincount(reference.task, weights=part, minlength=tasks) for part in parts])
    draws = generator(seed, "branch", "resample").multinomial(tasks, np.full(tasks, 1.0 / tasks), size=RESAMPLES)
    n, sx, sy, sxx, syy, sxy = sums @ draws.T.astype(np.float64)
    size = np.sqrt(np.maximum(sxx - sx * sx / n, 0.0) * np.maximum(syy - sy * sy / n, 0.0))
    drawn = np.divide(sxy - sx * sy / n, size, out=np.zeros(RESAMPLES), where=size > 1e-9)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _within(reference: _Reference, mine: Float) -> float | None:
    """Correlation of ranks that are centred within each trajectory; those of one turn say nothing."""
    parts: tuple[list[Float], list[Float]] = ([], [])
    for number in np.unique(reference.trajectory):
        rows = reference.trajectory == number
        if rows.sum() > 1:
            for part, values in zip(parts, (reference.values, mine), strict=True):
                ranked = ranks(values[rows])
                part.append(ranked - ranked.mean())
    return _pearson(np.concatenate(parts[0]), np.concatenate(parts[1])) if parts[0] else None


def _top(found: Sequence[Branched], advantages: Mapping[str, Float]) -> float | None:
    hits: list[float] = []
    for b in found:
        if b.decisive is not None:
            mine = np.round(advantages[b.id] if b.success else -advantages[b.id], 9)
            best = np.flatnonzero(mine == mine.max())
            hits.append(float(b.decisive.turn in best) / len(best))
    return float(np.mean(hits)) if hits else None
