"""What is certified, in order, and what does each part in the child."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentgym.certify import engines, fuzzing, isolation, leaks, probes, solving
from agentgym.certify.finding import Finding
from agentgym.certify.worker import Job
from agentgym.check import Finding as Kept
from agentgym.check import check
from agentgym.env import Ability


@dataclass(frozen=True, slots=True)
class Stage:
    """One process's worth of looking."""

    name: str
    summary: str
    ability: Ability | None = None
    """The claim without which it means nothing."""
    needs: tuple[str, ...] = ()
    """Findings without which it means nothing."""


STAGES = (
    Stage("rules", "every rule of `agentgym check`"),
    Stage(
        "isolation", "several copies at once play as each alone; global generators are neither read nor moved",
        Ability.DETERMINISTIC, ("tasks", "reset", "deterministic"),
    ),
    Stage(
        "processes", "the same episodes under other hash seeds, time zones, locales and working folders",
        Ability.DETERMINISTIC, ("tasks", "reset", "deterministic"),
    ),
    Stage("deadlines", "making, resetting, stepping and closing end in time", needs=("tasks",)),
    Stage("freed", "a closed copy leaves no thread, descriptor, child or object behind", needs=("tasks",)),
    Stage("leaks", "memory, threads, descriptors and children do not grow over many episodes", needs=("tasks",)),
    Stage("solved", "the oracle scores 1 and silence 0 on many tasks", Ability.ORACLE, ("tasks", "oracle")),
    Stage("claims", "claims, prompts to the grader and echoes win nothing", Ability.ORACLE, needs=("tasks",)),
    Stage("foreign", "the solution of one task does not solve the others", Ability.ORACLE, ("tasks", "oracle")),
    Stage("cycling", "no play scores above the solution, no way round pays", needs=("tasks",)),
    Stage("private", "private task data is not shown to one who did nothing", needs=("tasks",)),
    Stage("fuzz", "episodes made from bytes: every step is a step, in time", needs=("tasks",)),
)  # fmt: skip
"""In the order in which they run; `rules` gives a finding a rule, each other stage one of its own name."""


def rules(job: Job) -> None:
    """All rules of `agentgym check`."""

    def told(kept: Kept) -> None:
        job.finding(Finding(kept.name, kept.ok, kept.detail, kept.seconds))

    check(job.env or job.subject.spec, quick=job.settings.quick, options=job.subject.options, on_finding=told)


def _judged(name: str, look: Callable[[Job], tuple[str, dict[str, object]]]) -> Callable[[Job], None]:
    def work(job: Job) -> None:
        job.judge(name, look)

    return work


WORK: dict[str, Callable[[Job], None]] = {
    "rules": rules,
    "isolation": _judged("isolation", isolation.isolation),
    "processes": isolation.digests,
    "deadlines": _judged("deadlines", leaks.deadlines),
    "freed": _judged("freed", leaks.freed),
    "leaks": _judged("leaks", leaks.leaks),
    "solved": _judged("solved", solving.solved),
    "claims": _judged("claims", probes.claims),
    "foreign": _judged("foreign", probes.foreign),
    "cycling": _judged("cycling", probes.cycling),
    "private": _judged("private", probes.private),
    "fuzz": engines.fuzz,
    "replay": fuzzing.replay,
    "shrink": fuzzing.shrink,
}
