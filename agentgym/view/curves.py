"""Learning curves of several runs: those that differ in nothing but their seed are one line, with an interval."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Protocol, cast

from agentgym.lab.significance import t_quantile

MAX_POINTS = 1000
"""Points of one series."""
MAX_NAMES = 300
"""Metrics of one answer."""


class Run(Protocol):
    """What is needed of a run."""

    n: int
    config: tuple[str, dict[str, Any]]

    def about(self) -> dict[str, Any]:
        """What it is."""
        ...

    def metrics(self, since: int = 0) -> dict[str, Any]:
        """Its lines."""
        ...


def curves(runs: Sequence[Run]) -> dict[str, Any]:
    """Every metric of every family of runs as a series of points.

    Runs whose recipes are equal but for `seed` and `name` are a family; their points are means over seeds with the 95 %
    interval of Student's t. A run alone has the interval that the metric itself brings (`success_low`, `success_high`).
    """
    families: dict[str, list[Run]] = {}
    for run in runs:
        told = {key: value for key, value in run.config[1].items() if key not in ("seed", "name")}
        key = json.dumps(told, sort_keys=True, default=str) if told else f"run {run.n}"
        families.setdefault(key, []).append(run)
    series: list[dict[str, Any]] = []
    for members in families.values():
        about = [run.about() for run in members]
        label = about[0]["name"] if len(members) == 1 else f"{_stem(about)} ({len(members)} seeds)"
        points = _points(members)
        for name in list(points)[:MAX_NAMES]:
            series.append(
                {
                    "name": name,
                    "label": label,
                    "runs": [run.n for run in members],
                    "seeds": [one["seed"] for one in about],
                    "points": _thin(points[name]),
                }
            )
    return {"series": series}


def _stem(about: Sequence[Mapping[str, Any]]) -> str:
    """What the names of runs have in common, or else the first one."""
    names = [str(one["name"]) for one in about]
    shared = names[0]
    while shared and not all(name.startswith(shared) for name in names):
        shared = shared[:-1]
    return shared.rstrip("-_ .0123456789") or str(about[0]["env"] or names[0])


def _points(members: Sequence[Run]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, dict[int, list[dict[str, float | None]]]] = {}
    for run in members:
        for line in run.metrics()["lines"]:
            values = cast(dict[str, float | None], line["values"])
            for name, value in values.items():
                if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in values:
                    continue
                one = {"mean": value, "low": values.get(f"{name}_low"), "high": values.get(f"{name}_high")}
                found.setdefault(name, {}).setdefault(line["step"], []).append(one)
    return {name: [_point(step, at[step]) for step in sorted(at)] for name, at in found.items()}


def _point(step: int, found: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    values = [one["mean"] for one in found if one["mean"] is not None]
    if not values:
        return {"step": step, "mean": None, "low": None, "high": None, "n": 0}
    mean = fmean(values)
    low, high = (found[0]["low"], found[0]["high"]) if len(found) == 1 else (None, None)
    if len(values) > 1:
        half = t_quantile(len(values) - 1) * stdev(values) / len(values) ** 0.5
        low, high = mean - half, mean + half
    return {"step": step, "mean": mean, "low": low, "high": high, "n": len(values)}


def _thin(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    step = -(-len(points) // MAX_POINTS)
    return [point for i, point in enumerate(points) if i % step == 0 or i == len(points) - 1] if step > 1 else points
