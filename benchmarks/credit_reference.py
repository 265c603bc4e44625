"""The credit modules again as plain loops over rows, straight from the formulas: what the fast ones must equal.

Used by the tests as the reference and by `benchmarks/credit.py` as the slow side. No numpy on purpose, and nothing
from `agentgym.credit`. A row is a dict with group, trajectory, turn, reward, outcome and state; rows may come in any
order, and each function returns one number a row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

Row = dict[str, Any]
EPSILON = 1e-6


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Sample deviation, 0 for one value."""
    if len(values) < 2:
        return 0.0
    m = mean(values)
    return math.sqrt(math.fsum((v - m) ** 2 for v in values) / (len(values) - 1))


def by_trajectory(rows: Sequence[Row]) -> dict[int, list[int]]:
    """Row numbers of each trajectory, in order of turns."""
    found: dict[int, list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        found[row["trajectory"]].append(n)
    for numbers in found.values():
        numbers.sort(key=lambda n: rows[n]["turn"])
    return found


def spread(rows: Sequence[Row], value: dict[int, float]) -> list[float]:
    return [value[row["trajectory"]] for row in rows]


def outcomes(rows: Sequence[Row]) -> dict[int, float]:
    return {row["trajectory"]: row["outcome"] for row in rows}


def peers(rows: Sequence[Row]) -> dict[int, list[float]]:
    """Outcomes of the group of each trajectory, each trajectory once."""
    group_of = {row["trajectory"]: row["group"] for row in rows}
    members: dict[int, list[float]] = defaultdict(list)
    for trajectory, outcome in outcomes(rows).items():
        members[group_of[trajectory]].append(outcome)
    return {trajectory: members[group] for trajectory, group in group_of.items()}


def outcome(rows: Sequence[Row]) -> list[float]:
    return spread(rows, outcomes(rows))


def discounted_return(rows: Sequence[Row], gamma: float = 1.0) -> list[float]:
    returns = [0.0] * len(rows)
    for numbers in by_trajectory(rows).values():
        following = 0.0
        for n in reversed(numbers):
            following = rows[n]["reward"] + gamma * following
            returns[n] = following
    return returns


def grpo(rows: Sequence[Row]) -> list[float]:
    group = peers(rows)
    return spread(rows, {i: (r - mean(group[i])) / (deviation(group[i]) + EPSILON) for i, r in outcomes(rows).items()})


def dr_grpo(rows: Sequence[Row]) -> list[float]:
    group = peers(rows)
    return spread(rows, {i: r - mean(group[i]) for i, r in outcomes(rows).items()})


def rloo(rows: Sequence[Row]) -> list[float]:
    group = peers(rows)

    def advantage(i: int, r: float) -> float:
        n = len(group[i])
        return 0.0 if n == 1 else r - (math.fsum(group[i]) - r) / (n - 1)

    return spread(rows, {i: advantage(i, r) for i, r in outcomes(rows).items()})


def reinforce_pp(rows: Sequence[Row], baseline: str = "none") -> list[float]:
    group = peers(rows)
    x = {i: r - (mean(group[i]) if baseline == "group" else 0.0) for i, r in outcomes(rows).items()}
    if not x:
        return []
    m, s = mean(list(x.values())), deviation(list(x.values()))
    return spread(rows, {i: (v - m) / (s + EPSILON) for i, v in x.items()})


def compare(
    keys: Sequence[Hashable], values: Sequence[float], mode: str, lone: Callable[[float, float], float]
) -> list[float]:
    """Values against those with the same key; `lone(value, divisor)` for a value that has no other."""
    members: dict[Hashable, list[float]] = defaultdict(list)
    for key, value in zip(keys, values, strict=True):
        members[key].append(value)
    statistics = {k: (mean(v), deviation(v) + EPSILON if mode == "mean_std_norm" else 1.0) for k, v in members.items()}
    found: list[float] = []
    for key, value in zip(keys, values, strict=True):
        m, s = statistics[key]
        if len(members[key]) == 1:
            found.append(lone(value, 1.0 + EPSILON if mode == "mean_std_norm" else 1.0))
        else:
            found.append((value - m) / s)
    return found


def anchor_state(
    rows: Sequence[Row],
    gamma: float = 0.95,
    step_weight: float = 1.0,
    mode: str = "mean_norm",
    episode_statistics: str = "trajectories",
    keys: str = "state",
) -> list[float]:
    group_keys = [row["group"] for row in rows]
    if episode_statistics == "rows":
        episode = compare(group_keys, [row["outcome"] for row in rows], mode, lambda v, s: v / s)
    else:
        once = {row["trajectory"]: row for row in rows}
        compared = compare(
            [row["group"] for row in once.values()], [row["outcome"] for row in once.values()], mode, lambda v, s: v / s
        )
        episode = spread(rows, dict(zip(once, compared, strict=True)))
    anchors = [(row["group"], row["anchor" if keys == "similar" else "state"]) for row in rows]
    step = compare(anchors, discounted_return(rows, gamma), mode, lambda _v, _s: 0.0)
    return [e + step_weight * s for e, s in zip(episode, step, strict=True)]


MODULES: dict[str, Callable[..., list[float]]] = {
    "outcome": outcome,
    "discounted-return": discounted_return,
    "grpo": grpo,
    "dr-grpo": dr_grpo,
    "rloo": rloo,
    "reinforce++": reinforce_pp,
    "anchor-state": anchor_state,
}
"""By the names under which the modules are registered."""
