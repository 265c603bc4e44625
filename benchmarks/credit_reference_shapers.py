"""Shapers that read judges and labels again as plain loops over rows: what the fast ones must equal.

The same conventions as `credit_reference_turns.py`: a function gives one dict of columns; `MODULES` names them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from credit_reference import Row, by_trajectory, mean
from credit_reference_turns import Columns, term


def reworked(rows: Sequence[Row], new: dict[int, float]) -> Columns:
    """New outcomes by trajectory; what they change by is paid in the last turn."""
    reward = [row["reward"] for row in rows]
    for i, numbers in by_trajectory(rows).items():
        reward[numbers[-1]] += new[i] - rows[numbers[-1]]["outcome"]
    return {"reward": reward, "outcome": [new[row["trajectory"]] for row in rows]}


def is_right(row: Row, threshold: float | None) -> bool:
    return bool(row["success"]) if threshold is None else row["outcome"] >= threshold


def tool_correctness(rows: Sequence[Row], into: str, weight: float, format_weight: float) -> Columns:
    terms = [weight * row["tool_correctness"] + format_weight * row["tool_format"] for row in rows]
    return term(rows, terms, into)


def behaviour_step(
    rows: Sequence[Row], threshold: float | None, penalty: float, cap: float, bonus: float, enough: int
) -> Columns:
    new: dict[int, float] = {}
    for i, numbers in by_trajectory(rows).items():
        redundant = sum(1 for n in numbers if rows[n]["redundant"])
        useful = sum(1 for n in numbers if rows[n]["useful"])
        row = rows[numbers[0]]
        if is_right(row, threshold):
            labelled = redundant + useful
            new[i] = row["outcome"] - (min(cap, penalty * redundant / labelled) if labelled else 0.0)
        else:
            new[i] = row["outcome"] + bonus * min(1.0, useful / enough)
    return reworked(rows, new)


def citation_rubric(
    rows: Sequence[Row], threshold: float | None, alpha: float, column: str, normalise: bool
) -> Columns:
    rubric = {i: rows[numbers[-1]][column] for i, numbers in by_trajectory(rows).items()}
    group = {row["trajectory"]: row["group"] for row in rows}
    new: dict[int, float] = {}
    for i, numbers in by_trajectory(rows).items():
        row, q = rows[numbers[0]], rubric[i]
        best = max(rubric[j] for j in rubric if group[j] == group[i])
        if normalise and best > 0:
            q /= best
        right = is_right(row, threshold)
        new[i] = (1 - alpha) * row["outcome"] + alpha * q if right else row["outcome"]
    return reworked(rows, new)


def scheduled_mix(rows: Sequence[Row], start: float, end: float, steps: int, column: str) -> Columns:
    new: dict[int, float] = {}
    for i, numbers in by_trajectory(rows).items():
        done = min(1.0, max(0.0, rows[numbers[-1]]["iteration"] / steps))
        weight = start + (end - start) * done
        process = mean([rows[n][column] for n in numbers])
        new[i] = (1 - weight) * rows[numbers[0]]["outcome"] + weight * process
    return reworked(rows, new)


def partial_success(rows: Sequence[Row], weight: float) -> Columns:
    turns = by_trajectory(rows)
    return reworked(rows, {i: rows[n[-1]]["outcome"] + weight * rows[n[-1]]["partial"] for i, n in turns.items()})


def likelihood(rows: Sequence[Row], weight: float, scale: str) -> Columns:
    new: dict[int, float] = {}
    for i, numbers in by_trajectory(rows).items():
        row = rows[numbers[-1]]
        found = row["answer_logprob"] if scale == "log" else math.exp(min(0.0, row["answer_logprob"]))
        new[i] = (1 - weight) * row["outcome"] + weight * found
    return reworked(rows, new)


def novelty(rows: Sequence[Row], into: str, weight: float, episodic: str, ridge: float, combine: str) -> Columns:
    terms = [0.0] * len(rows)
    for numbers in by_trajectory(rows).values():
        seen: Counter[int] = Counter()
        bonuses: list[float] = []
        for n in numbers:
            e = seen[rows[n]["state"]]
            seen[rows[n]["state"]] += 1
            within = {"count": (e + 1) ** -0.5, "first": float(e == 0), "elliptical": 1 / (e + ridge)}[episodic]
            everywhere = (rows[n]["visits"] + 1) ** -0.5
            bonuses.append(
                {
                    "product": within * everywhere,
                    "sum": within + everywhere,
                    "episodic": within,
                    "global": everywhere,
                }[combine]
            )
        for position, n in enumerate(numbers[:-1]):
            terms[n] = weight * bonuses[position + 1]
    return term(rows, terms, into)


def subgoal(
    rows: Sequence[Row], into: str, weight: float, column: str, threshold: float | None, power: float
) -> Columns:
    terms = [row[column] if threshold is None else float(row[column] >= threshold) for row in rows]
    for numbers in by_trajectory(rows).values():
        seen: Counter[int] = Counter()
        for n, following in pairwise(numbers):
            seen[rows[n]["state"]] += 1
            terms[n] /= (seen[rows[following]["state"]] + 1) ** power
    return term(rows, [weight * t for t in terms], into)


def renorm(rows: Sequence[Row], weight: float, outcome_weight: float, column: str) -> Columns:
    reward = [weight * (row[column] + row["outcome"] - 1.0) for row in rows]
    for numbers in by_trajectory(rows).values():
        reward[numbers[-1]] += outcome_weight * rows[numbers[-1]]["outcome"]
    return {"reward": reward}


MODULES = {
    "tool-correctness": tool_correctness,
    "behaviour-step": behaviour_step,
    "citation-rubric": citation_rubric,
    "scheduled-mix": scheduled_mix,
    "partial-success": partial_success,
    "likelihood": likelihood,
    "novelty": novelty,
    "subgoal": subgoal,
    "renorm": renorm,
}
