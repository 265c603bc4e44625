"""`agentgym list`: what is registered; environments with their tasks, what they can do, and how fast they are.

Environments of other suites, where those are installed, are many: `agentgym list` counts them, `agentgym list suites`
shows them (see `agentgym.cli.suites`).

Steps a second are *declared* by whoever ships an environment (`speeds.json` beside the package's `__init__.py`, an
object from id to number, measured on a machine of theirs: an order of magnitude), or *measured* here with `--measure`.
"""

from __future__ import annotations

import importlib.util
import json as json_module
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import Parameter

from agentgym.cli.show import out_json, table
from agentgym.cli.suites import suites

Flag = Annotated[bool, Parameter(negative="")]
Kind = Literal["envs", "policies", "credit", "scorers", "selection", "suites"]
COLUMNS = ("train", "heldout", "abilities")
MEASURED = 0.5
"""Seconds that an environment is played to measure it, resets left out."""


def list_(kind: Kind | None = None, *, measure: Flag = False, json: Flag = False) -> int:
    """List environments, policies, credit modules, scorers, selection modules and other suites.

    Args:
        kind: show only these.
        measure: play each environment for a moment and show its steps/s here instead of the declared ones (those of
            other suites are not played).
        json: print JSON.
    """
    from agentgym import registry
    from agentgym.cli.catalog import catalog

    own: tuple[registry.Kind, ...] = ("envs", "policies", "credit", "scorers", "selection")
    kinds = own if kind is None else () if kind == "suites" else (kind,)
    found = {name: catalog(name) for name in kinds}
    for entry in found.get("envs", ()):
        entry["tasks"] = sizes(entry["name"])
        entry["steps_per_second"] = measured(entry["name"]) if measure else declared(entry["name"], entry["entry"])
        entry["steps_per_second_from"] = "measured" if measure else "declared"
        entry["certified"] = certified(entry["name"])
    others = suites(ask=kind == "suites") if kind in (None, "suites") else []
    for entry in (each for suite in others for each in suite["environments"] or ()):
        entry["steps_per_second"] = declared(entry["id"], entry.pop("entry"))
    if json:
        out_json({**found, "suites": others} if kind in (None, "suites") else found)
        return 0
    for name, entries in found.items():
        if name == "envs":
            speed = f"{'measured' if measure else 'declared'} steps/s"
            # Splits share a column: eight do not fit into 80 characters.
            columns = ["id", "summary", "train / heldout", "abilities", speed, "certified"]
            table(columns, [_env_row(entry) for entry in entries], title=name)
        else:
            table(["name", "summary"], [[str(e["name"]), str(e["summary"])] for e in entries], title=name)
    if kind == "suites":
        for suite in others:
            rows = [_row(entry, "id") for entry in suite["environments"] or ()]
            if rows:
                table(["id", *COLUMNS, "declared steps/s"], rows, title=f"{suite['package']} {suite['version']}")
    if kind in (None, "suites"):
        table(["prefix", "package", "version", "environments"], map(_suite_row, others), title="suites")
    return 0


def _suite_row(suite: dict[str, Any]) -> list[str]:
    listed = suite["environments"]
    count = suite["problem"] or ("`agentgym list suites` shows them" if listed is None else f"{len(listed):,}")
    return [suite["name"], suite["package"] or "-", suite["version"] or "-", count]


def _row(entry: dict[str, Any], *first: str) -> list[str]:
    counts, speed = entry["tasks"], entry["steps_per_second"]
    return [
        *(str(entry[column]) for column in first),
        *(f"{counts[split]:,}" if counts[split] is not None else "-" for split in ("train", "heldout")),
        " ".join(entry.get("abilities", ())),
        "-" if speed is None else f"{speed:,.0f}",
    ]


def _env_row(entry: dict[str, Any]) -> list[str]:
    name, summary, train, heldout, *rest = _row(entry, "name", "summary")
    return [name, summary, f"{train} / {heldout}", *rest, _certified(entry["certified"])]


def certified(env: str) -> dict[str, Any]:
    """Whether there is a certificate that speaks of the environment as it is: `state`, `date`, `path`."""
    from agentgym import registry
    from agentgym.certify.store import status

    try:
        return status(registry.spec(env))
    except Exception:  # Whatever a stranger's plug-in raises, it may hide no other.
        return {"state": "no"}


def _certified(found: dict[str, Any]) -> str:
    return f"yes {found['date']}" if found["state"] == "yes" else str(found["state"])


def sizes(env: str) -> dict[str, int | None]:
    """Tasks of each split, with the default options; `None` where that cannot be told (a path is missing, an extra)."""
    from agentgym import registry
    from agentgym.tasks import SPLITS

    found: dict[str, int | None] = dict.fromkeys(SPLITS)
    for split in SPLITS:
        try:
            found[split] = len(registry.tasks(env, split))
        except Exception:  # Whatever a stranger's plug-in raises, it may hide no other.
            found[split] = None
    return found


def declared(env: str, entry: str) -> float | None:
    """What the `speeds.json` of the plug-in's package says, if there is one and it says a number."""
    try:
        spec = importlib.util.find_spec(entry.partition(":")[0].partition(".")[0])
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
        speeds: Any = json_module.loads((Path(folders[0]) / "speeds.json").read_text(encoding="utf-8"))
        value = cast(dict[str, Any], speeds)[env]
    except (ImportError, ValueError, OSError, IndexError, KeyError, TypeError):
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return float(value) if number else None


def measured(env: str, seconds: float = MEASURED, tasks: int = 4) -> float | None:
    """Steps a second of one environment in this process, at random; `None` where it cannot be played.

    Args:
        env: id, or ./file.py:SPEC.
        seconds: how long; resets are not counted.
        tasks: how many training tasks take turns.

    Returns:
        Steps over the seconds spent in `step` and in choosing the action.
    """
    from agentgym import registry

    try:
        made, todo = registry.make(env), registry.tasks(env)[:tasks]
    except Exception:
        return None
    try:
        return _speed(made, list(todo), seconds)
    except Exception:
        return None
    finally:
        made.close()


def _speed(env: Any, tasks: list[Any], seconds: float) -> float | None:
    from agentgym.seeding import generator

    rng, steps, spent, episode = generator(0, "speed"), 0, 0.0, 0
    while spent < seconds and (steps or episode < 10):
        observation, _ = env.reset(seed=episode, options={"task": tasks[episode % len(tasks)]})
        begin, done = time.perf_counter(), False
        for _ in range(200):
            step = env.step(_choose(observation, rng))
            observation, done, steps = step.observation, step.terminated or step.truncated, steps + 1
            if done or spent + time.perf_counter() - begin > seconds:
                break
        spent, episode = spent + time.perf_counter() - begin, episode + 1
    return steps / spent if spent else None


def _choose(observation: Any, rng: Any) -> str:
    listed: Iterable[str] = observation.actions or observation.text.split()[:50] or ("look",)
    options = list(listed)
    return options[int(rng.integers(len(options)))]
