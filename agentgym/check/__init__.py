"""The conformance suite: does an environment keep the rules that the rest of the suite relies on?

`agentgym check ID` runs it, and so does the test of every environment that ships. Each finding is one rule; claims
(abilities) are tested where they are made. It plays the environment in this very process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentgym import registry
from agentgym.check import basics, play, replay
from agentgym.check.subject import Broken, Subject, whereabouts
from agentgym.env import Ability, EnvSpec

__all__ = ["RULES", "Finding", "check"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one rule is kept."""

    name: str
    ok: bool
    detail: str
    """What was looked at, or what is wrong and how to see it again."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, with what it needs to mean anything."""

    name: str
    test: Callable[[Subject], str]
    """Gives what was looked at; raises `Broken` (or anything) where the rule is broken."""
    ability: Ability | None = None
    """The claim that it tests: it is left out where nothing is claimed."""
    needs: tuple[str, ...] = ()
    """Rules without which this one means nothing: it is left out where one of them is broken."""


RULES = (
    Rule("spec", basics.spec),
    Rule("tasks", basics.tasks, needs=("spec",)),
    Rule("splits", basics.splits, needs=("tasks",)),
    Rule("records", basics.records, needs=("tasks",)),
    Rule("step-after-end", basics.step_after_end, needs=("tasks",)),
    Rule("close", basics.close, needs=("tasks",)),
    Rule("limits", basics.limits, needs=("tasks",)),
    Rule("reset", replay.reset, needs=("tasks",)),
    Rule("deterministic", replay.deterministic, Ability.DETERMINISTIC, ("tasks", "reset")),
    Rule("global-rng", replay.global_rng, Ability.DETERMINISTIC, ("deterministic",)),
    Rule("state-keys", replay.state_keys, Ability.DETERMINISTIC, ("deterministic", "global-rng")),
    Rule("snapshot", replay.snapshot, Ability.SNAPSHOT, ("deterministic", "global-rng")),
    Rule("gymnasium", basics.gymnasium_face, needs=("tasks",)),
    Rule("hostile-actions", play.hostile, needs=("tasks",)),
    Rule("admissible-actions", play.admissible, Ability.ACTIONS, ("tasks",)),
    Rule("oracle", play.oracle, Ability.ORACLE, ("tasks",)),
    Rule("progress", play.progress, Ability.PROGRESS, ("tasks",)),
    Rule("empty-policy", play.empty_policy, Ability.ORACLE, ("tasks",)),
    Rule("answer", play.answer, Ability.ANSWER, ("tasks",)),
)


def check(
    env: str | EnvSpec,
    quick: bool = False,
    options: Mapping[str, Any] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
) -> list[Finding]:
    """Test an environment against every rule that applies to it.

    Args:
        env: id, `./file.py:SPEC`, or a spec.
        quick: fewer seeds, tasks and actions.
        options: of the environment and its tasks, over the spec's own.
        on_finding: called with each finding as soon as there is one.

    Returns:
        One finding a rule, in the order of `RULES`. A rule about a claim that is not made, and one that means nothing
        because another is broken, is left out.

    Raises:
        UnknownNameError: no environment has that id.
        MissingExtraError: its optional part is not installed.
    """
    found = registry.spec(env)
    registry.resolve(found.entry, found.extra)
    subject = Subject(found, dict(options or {}), quick, name=env if isinstance(env, str) else None)
    findings: list[Finding] = []
    for rule in RULES:
        if rule.ability is not None and rule.ability not in found.abilities:
            continue
        if subject.broken & set(rule.needs):
            subject.broken.add(rule.name)  # What needs this one means nothing either.
            continue
        finding = _test(rule, subject)
        if not finding.ok:
            subject.broken.add(rule.name)
        findings.append(finding)
        if on_finding is not None:
            on_finding(finding)
    return findings


def _test(rule: Rule, subject: Subject) -> Finding:
    begin = time.perf_counter()
    try:
        detail, ok = rule.test(subject), True
    except Broken as error:
        detail, ok = str(error), False
    except Exception as error:
        detail, ok = f"raised {type(error).__name__}: {str(error)[:300]}{whereabouts(error)}", False
    return Finding(rule.name, ok, detail, time.perf_counter() - begin)
