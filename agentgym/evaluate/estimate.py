"""What an evaluation would take, before it is played: calls, tokens, time, money, each as a range.

From attempts that were measured, where there are any (a sample, or an earlier run of the same policy and settings);
else from what the environment's spec and its tasks say, which bounds it from below and above and no better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from agentgym import dialects, registry
from agentgym.errors import AgentgymError
from agentgym.evaluate.plan import FILE, Entrant, Extras, Plan, Saved, played_before, read_plan
from agentgym.evaluate.prices import CHARACTERS, Price, Usage, usage_of
from agentgym.lab.significance import t_quantile
from agentgym.store import RunFolder
from agentgym.types import Task, Trajectory

LOOKED_AT = 5
"""Tasks whose first observation is looked at."""


class Range(NamedTuple):
    """From, most likely, to; `None` in the middle where nothing speaks for any."""

    low: float
    middle: float | None
    high: float

    def times(self, factor: float) -> Range:
        """All of it, `factor` times.

        >>> Range(1, None, 3).times(2)
        Range(low=2, middle=None, high=6)
        """
        return Range(self.low * factor, None if self.middle is None else self.middle * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the attempts of one contestant would take."""

    basis: str
    """What it is taken from, in words."""
    calls: Range
    read: Range
    """Tokens of prompts."""
    written: Range
    seconds: Range | None
    """Wall time; `None` where nothing was measured."""
    cost: Range | None
    """Dollars; `None` without a price."""


def from_measured(
    played: Sequence[Trajectory], plan: Plan, slots: int, basis: str, price: Price | None, concurrent: int
) -> Estimate:
    """From attempts that were played: their mean, and where that of the planned tasks will be, 19 times of 20.

    Args:
        played: the attempts.
        plan: what is to be played.
        slots: attempts in flight.
        basis: what the attempts are, in words.
        price: of the model.
        concurrent: attempts that were in flight when these were played: more may or may not be quicker.
    """
    episodes = len(plan.tasks) * plan.attempts
    groups: dict[str, list[Trajectory]] = {}
    for t in played:
        groups.setdefault(t.group, []).append(t)
    used = {t.id: usage_of([t]) for t in played}

    def of(value: Callable[[Usage], float]) -> Range:
        each = {group: [value(used[t.id]) for t in attempts] for group, attempts in groups.items()}
        return _range([fmean(values) for values in each.values()], len(plan.tasks)).times(episodes)

    serial = _range([fmean(t.seconds for t in attempts) for attempts in groups.values()], len(plan.tasks))
    serial = serial.times(episodes)
    beside, before = min(slots, episodes), max(1, min(concurrent, len(played)))
    seconds = Range(
        serial.low / max(beside, before),
        (serial.middle or 0.0) / min(beside, before),
        serial.high / min(beside, before),
    )
    cost = None if price is None else of(lambda usage: usage.cost(price))
    read, wrote = of(lambda usage: usage.input), of(lambda usage: usage.output)
    return Estimate(basis, of(lambda usage: usage.calls), read, wrote, seconds, cost)


def from_spec(plan: Plan, tasks: Sequence[Task], price: Price | None) -> Estimate:
    """From the limits and the texts: every attempt ends at once, or none before its limit.

    Observations are taken to be as long as the first ones are, where those can be had cheaply.
    """
    spec = registry.spec(plan.env)
    episodes = len(plan.tasks) * plan.attempts
    instructions = dialects.get(plan.dialect or spec.dialect).instructions
    opening = (len(plan.system) + len(instructions)) + fmean(len(task.prompt) for task in tasks)
    seen = _first_observation(plan, tasks)
    # The longest conversation: every turn adds an observation and as long an answer as may be.
    prompts = [
        (opening + (turn + 1) * (seen or 0.0)) / CHARACTERS + turn * plan.max_tokens for turn in range(plan.turns)
    ]
    if plan.tokens is not None:
        prompts = [prompt for prompt in prompts if prompt <= plan.tokens] or prompts[:1]
    read = Range(episodes * prompts[0], None, episodes * sum(prompts))
    calls = Range(episodes, None, episodes * len(prompts))
    wrote = Range(episodes, None, episodes * len(prompts) * plan.max_tokens)
    cost = None
    if price is not None:
        low, high = (
            Usage(input=round(r), output=round(w)) for r, w in ((read.low, wrote.low), (read.high, wrote.high))
        )
        cost = Range(low.cost(price), None, high.cost(price))
    known = "observations as long as the first" if seen is not None else "observations not counted: they are not known"
    return Estimate(f"the limits and the texts of {len(tasks)} tasks ({known})", calls, read, wrote, None, cost)


def earlier_run(plan: Plan, entrant: Entrant, roots: Sequence[Path]) -> tuple[Path, Saved, list[Trajectory]] | None:
    """The newest run under some folders in which the same policy played the same environment with the same settings."""
    found: list[tuple[float, Path, Saved, str]] = []
    for root in roots:
        for path in root.glob(f"*/{FILE}"):
            try:
                saved = read_plan(path.parent)
            except AgentgymError:
                continue  # Somebody else's, or damaged: no matter here.
            label = None if saved is None or saved.extras.rescored else _same(saved.plan, plan, entrant)
            if saved is not None and label is not None:
                found.append((path.stat().st_mtime, path.parent, saved, label))
    for _, folder, saved, label in sorted(found, key=lambda one: one[0], reverse=True):
        try:
            with RunFolder(folder) as run:
                played = [t for t in played_before(run.trajectories, [label])[label].values() if t.trainable]
        except AgentgymError:
            continue
        if played:
            return folder, saved, played
    return None


def estimates(
    plan: Plan,
    tasks: Sequence[Task],
    extras: Extras,
    roots: Sequence[Path],
    sampled: Mapping[str, Sequence[Trajectory]],
) -> dict[str, Estimate]:
    """What each contestant would take, from the best that there is: a sample, an earlier run, the spec.

    Args:
        plan: what is to be played.
        tasks: of the plan.
        extras: prices and slots.
        roots: folders to look for earlier runs in.
        sampled: attempts of each contestant that were played to measure.
    """
    made: dict[str, Estimate] = {}
    for entrant in plan.entrants:
        price, label = extras.prices.get(entrant.label), entrant.label
        sample = [t for t in sampled.get(label, ()) if t.trainable]
        earlier = None if sample else earlier_run(plan, entrant, roots)
        if sample:
            basis = f"a sample of {len(sample)} attempts"
            made[label] = from_measured(sample, plan, extras.slots, basis, price, extras.slots)
        elif earlier is not None:
            folder, saved, played = earlier
            basis = f"{len(played)} attempts of {folder}"
            made[label] = from_measured(played, plan, extras.slots, basis, price, saved.extras.slots)
        else:
            made[label] = from_spec(plan, tasks, price)
    return made


def _range(values: Sequence[float], tasks: int) -> Range:
    """What the mean over so many tasks will be, from the values of some: a 95 % prediction interval."""
    if len(values) < 2:
        return Range(min(values), fmean(values), max(values))
    spread = stdev(values) * math.sqrt(1 / len(values) + 1 / tasks)
    half = t_quantile(len(values) - 1) * spread
    return Range(max(fmean(values) - half, 0.0), fmean(values), fmean(values) + half)


def _first_observation(plan: Plan, tasks: Sequence[Task]) -> float | None:
    """Mean length of the first observations; `None` for environments that are not cheap to start."""
    if registry.spec(plan.env).host != "inline":
        return None
    world = registry.make(plan.env, **plan.options)
    try:
        looked = [world.reset(seed=0, options={"task": task})[0] for task in tasks[:LOOKED_AT]]
    finally:
        world.close()
    return fmean(len(observation.text) for observation in looked)


def _same(there: Plan, here: Plan, entrant: Entrant) -> str | None:
    """The label under which the same contestant played in another plan, if what it played is comparable."""
    for name in ("env", "options", "max_tokens", "turns", "tokens", "dialect", "system"):
        if getattr(there, name) != getattr(here, name):
            return None
    who = (entrant.policy, entrant.model, entrant.options)
    return next((e.label for e in there.entrants if (e.policy, e.model, e.options) == who), None)
