"""Estimators and shapers of turns again as plain loops over rows: what the fast ones must equal.

The same conventions as `credit_reference.py`; rows also have the columns that a module needs. A function gives one
dict of columns; `MODULES` names them by module.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from credit_reference import EPSILON, Row, by_trajectory, deviation, mean, outcomes, peers, spread

Columns = dict[str, list[float]]


def returns_of(rows: Sequence[Row], rewards: Sequence[float], gamma: float) -> list[float]:
    found = [0.0] * len(rows)
    for numbers in by_trajectory(rows).values():
        following = 0.0
        for n in reversed(numbers):
            following = rewards[n] + gamma * following
            found[n] = following
    return found


def buckets(keys: Sequence[Any]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = defaultdict(list)
    for n, key in enumerate(keys):
        found[key].append(n)
    return found


def centred(values: Sequence[float], keys: Sequence[Any], standardise: bool) -> list[float]:
    found = [0.0] * len(values)
    for numbers in buckets(keys).values():
        part = [values[n] for n in numbers]
        scale = deviation(part) + EPSILON if standardise else 1.0
        for n in numbers:
            found[n] = (values[n] - mean(part)) / scale
    return found


def is_last(rows: Sequence[Row]) -> list[bool]:
    ends = {numbers[-1] for numbers in by_trajectory(rows).values()}
    return [n in ends for n in range(len(rows))]


def alone(rows: Sequence[Row]) -> list[bool]:
    group = peers(rows)
    return [len(group[row["trajectory"]]) == 1 for row in rows]


def sums(rows: Sequence[Row], values: Sequence[float]) -> list[float]:
    total = {i: math.fsum(values[n] for n in numbers) for i, numbers in by_trajectory(rows).items()}
    return [total[row["trajectory"]] for row in rows]


def turn_group(rows: Sequence[Row], gamma: float, mode: str) -> Columns:
    returns = returns_of(rows, [row["reward"] for row in rows], gamma)
    return {"advantage": centred(returns, [(r["group"], r["turn"]) for r in rows], mode == "mean_std_norm")}


def gae(rows: Sequence[Row], gamma: float, lam: float, whiten: bool) -> Columns:
    advantage = [0.0] * len(rows)
    for numbers in by_trajectory(rows).values():
        following, value_after = 0.0, 0.0
        for n in reversed(numbers):
            delta = rows[n]["reward"] + gamma * value_after - rows[n]["value"]
            following = delta + gamma * lam * following
            advantage[n], value_after = following, rows[n]["value"]
    returns = [a + row["value"] for a, row in zip(advantage, rows, strict=True)]
    if whiten:
        advantage = centred(advantage, [0] * len(rows), True)
    return {"advantage": advantage, "return": returns}


def min_form(rows: Sequence[Row], tau: float, column: str) -> Columns:
    shaped = [0.0] * len(rows)
    for numbers in by_trajectory(rows).values():
        lowest = min(rows[n][column] for n in numbers)
        weights = [math.exp((lowest - rows[n][column]) / tau) for n in numbers]
        for n, weight in zip(numbers, weights, strict=True):
            shaped[n] = rows[n][column] * weight / math.fsum(weights)
    return {"reward": shaped, "advantage": returns_of(rows, shaped, 1.0)}


def gated_accumulation(rows: Sequence[Row], low: Sequence[dict[str, Any]], threshold: float) -> Columns:
    ends, reward = is_last(rows), [0.0] * len(rows)
    totals = [sums(rows, [row[part["column"]] for row in rows]) for part in low]
    for n, row in enumerate(rows):
        reward[n] = row["outcome"] if ends[n] else 0.0
        open_ = row["outcome"] >= threshold
        for part, total in zip(low, totals, strict=True):
            if not open_:
                break
            reward[n] += part["weight"] * row[part["column"]]
            open_ = part["threshold"] is None or total[n] >= part["threshold"]
    return {"reward": reward, "outcome": sums(rows, reward)}


def hierarchical_gate(rows: Sequence[Row], levels: Sequence[dict[str, Any]]) -> Columns:
    paid = [[math.fsum(w * row[c] for c, w in level["columns"].items()) for row in rows] for level in levels]
    totals, reward = [sums(rows, p) for p in paid], [0.0] * len(rows)
    for n in range(len(rows)):
        for level, p, total in zip(levels, paid, totals, strict=True):
            reward[n] += p[n]
            if level["threshold"] is not None and total[n] < level["threshold"]:
                break
    return {"reward": reward, "outcome": sums(rows, reward)}


def information_gain(rows: Sequence[Row], normalise: str, gamma: float, format_penalty: float | None) -> Columns:
    ends, single = is_last(rows), alone(rows)
    gain = [math.exp(row["answer_logprob"]) - math.exp(row["answer_logprob_before"]) for row in rows]
    reward = list(gain)
    for n, row in enumerate(rows):
        if ends[n]:
            punished = format_penalty is not None and row["fault"]
            reward[n] = format_penalty if punished else row["outcome"]
    if normalise == "return":
        advantage = centred(returns_of(rows, reward, gamma), [(r["group"], r["turn"]) for r in rows], False)
    else:
        kinds = [(r["group"], end and normalise == "separate") for r, end in zip(rows, ends, strict=True)]
        advantage = returns_of(rows, centred(reward, kinds, True), gamma)
    advantage = [0.0 if one else a for a, one in zip(advantage, single, strict=True)]
    return {"information_gain": gain, "reward": reward, "advantage": advantage}


def log_ratio_td(rows: Sequence[Row], weight: float, outcome_weight: float) -> Columns:
    ends = is_last(rows)
    return {
        "reward": [
            weight * (row["answer_logprob"] - row["answer_logprob_before"]) + outcome_weight * row["outcome"] * ends[n]
            for n, row in enumerate(rows)
        ]
    }


def progress(rows: Sequence[Row], alpha: float, beta: float, outcome_weight: float) -> Columns:
    ends = is_last(rows)
    return {
        "reward": [
            alpha * row["progress_score"] + (0.0 if row["fault"] else beta) + outcome_weight * row["outcome"] * ends[n]
            for n, row in enumerate(rows)
        ]
    }


def implicit_step(rows: Sequence[Row], step_weight: float, baseline: str, step_statistics: str) -> Columns:
    group, single = peers(rows), alone(rows)

    def compare(x: float, others: Sequence[float]) -> float:
        """`others` has x in it."""
        if len(others) == 1:
            return 0.0
        if baseline == "grpo":
            return (x - mean(others)) / (deviation(others) + EPSILON)
        return len(others) / (len(others) - 1) * (x - mean(others))

    episode = spread(rows, {i: compare(r, group[i]) for i, r in outcomes(rows).items()})
    members = buckets([row["group"] for row in rows])
    step = [0.0] * len(rows)
    for n, row in enumerate(rows):
        turns = [rows[m] for m in members[row["group"]]]
        x = row["implicit_reward"]
        if step_statistics == "turns":
            step[n] = 0.0 if single[n] else compare(x, [r["implicit_reward"] for r in turns])
        elif single[n]:
            step[n], episode[n] = x, row["outcome"]
        else:
            firsts = [r["implicit_reward"] for r in turns if r["turn"] == 0]
            step[n] = len(firsts) / (len(firsts) - 1) * (x - mean(firsts))
    return {
        "advantage": [e + step_weight * s for e, s in zip(episode, step, strict=True)],
        "episode_advantage": episode,
        "step_advantage": step,
    }


def implicit_process(rows: Sequence[Row], process_weight: float, gamma: float) -> Columns:
    group, single = peers(rows), alone(rows)
    turns = by_trajectory(rows)
    means = {i: mean([rows[n]["implicit_reward"] for n in numbers]) for i, numbers in turns.items()}
    members: dict[int, set[int]] = defaultdict(set)
    for row in rows:
        members[row["group"]].add(row["trajectory"])
    against = [0.0] * len(rows)
    for n, row in enumerate(rows):
        others = [means[j] for j in members[row["group"]] if j != row["trajectory"]]
        against[n] = row["implicit_reward"] - (mean(others) if others else 0.0)
    process = returns_of(rows, against, gamma)
    advantage = [0.0] * len(rows)
    for n, row in enumerate(rows):
        if not single[n]:
            all_outcomes = group[row["trajectory"]]
            k = len(all_outcomes)
            own = k / (k - 1) * (row["outcome"] - mean(all_outcomes))
            advantage[n] = process_weight * process[n] + own
    return {"advantage": advantage}


def entropy_modulated(rows: Sequence[Row], k: float, k_future: float, zeta: float) -> Columns:
    if not rows:
        return {"advantage": []}
    raw = [row["entropy"] for row in rows]
    least, most = min(raw), max(raw)
    h = [(x - least) / (most - least + 1e-8) for x in raw]
    scale = mean([math.exp(-k * x) for x in h]) + 1e-8
    changed = [row["advantage"] * math.exp(-k * x) / scale for row, x in zip(rows, h, strict=True)]
    for numbers in by_trajectory(rows).values():
        for n, following in pairwise(numbers):
            changed[n] += zeta * math.exp(-k_future * h[following])
    middle = mean(changed)
    return {"advantage": [x - middle for x in changed]}


def potential(rows: Sequence[Row], column: str, weight: float, gamma: float, initial: float, terminal: str) -> Columns:
    reward = [row["reward"] for row in rows]
    for numbers in by_trajectory(rows).values():
        before = initial
        for n in numbers:
            after = rows[n][column]
            counted = 0.0 if n == numbers[-1] and terminal == "zero" else after
            reward[n] += weight * (gamma * counted - before)
            before = after
    return {"reward": reward}


def term(rows: Sequence[Row], terms: Sequence[float], into: str) -> Columns:
    means = {i: mean([terms[n] for n in numbers]) for i, numbers in by_trajectory(rows).items()}
    return {
        "reward": [row["reward"] + (t if into != "outcome" else 0.0) for row, t in zip(rows, terms, strict=True)],
        "outcome": [row["outcome"] + (means[row["trajectory"]] if into != "reward" else 0.0) for row in rows],
    }


def format_(rows: Sequence[Row], into: str, bonus: float, penalty: float) -> Columns:
    return term(rows, [-penalty if row["malformed"] else bonus for row in rows], into)


def length(rows: Sequence[Row], into: str, free: int, limit: int, penalty: float, unit: str) -> Columns:
    def charge(units: int) -> float:
        if units <= free:
            return 0.0
        return -penalty if units >= limit else -penalty * (units - free) / (limit - free)

    return term(rows, [charge(row[unit]) for row in rows], into)


def invalid_action(rows: Sequence[Row], into: str, penalty: float) -> Columns:
    return term(rows, [-penalty if row["fault"] else 0.0 for row in rows], into)


MODULES = {
    "turn-group": turn_group,
    "gae": gae,
    "min-form": min_form,
    "gated-accumulation": gated_accumulation,
    "hierarchical-gate": hierarchical_gate,
    "information-gain": information_gain,
    "log-ratio-td": log_ratio_td,
    "progress": progress,
    "implicit-step": implicit_step,
    "implicit-process": implicit_process,
    "entropy-modulated": entropy_modulated,
    "potential": potential,
    "format": format_,
    "length": length,
    "invalid-action": invalid_action,
}
