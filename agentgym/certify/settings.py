"""How much a certification looks at, and what it allows: the numbers behind every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from agentgym.errors import UsageError

FUZZERS = ("auto", "atheris", "hypothesis", "random")


@dataclass(frozen=True, slots=True)
class Settings:
    """Counts, budgets and limits; JSON values only, for they travel to other processes."""

    quick: bool = False
    """Small counts: for work in progress, no basis of a certificate."""
    seed: int = 0
    """Seeds every choice; another one looks at other episodes."""
    tasks: int = 100
    """Tasks of each split that the oracle solves and that silence must not."""
    compared: int = 60
    """Episodes that are compared across processes."""
    copies: int = 6
    """Copies of the environment that play at the same time."""
    probed: int = 20
    """Tasks that are played to fool the grader."""
    episodes: int = 2_000
    """Episodes over which memory, threads and descriptors may not grow."""
    enough: int = 600
    """Episodes that will do where `leak_seconds` are over."""
    leak_seconds: float = 300.0
    """Seconds after which `enough` episodes will do."""
    budget: float = 120.0
    """Seconds after which the other stages leave the rest of their tasks out, and say so."""
    fuzz_seconds: float = 30.0
    """Seconds of fuzzing."""
    fuzz_runs: int = 1_000_000
    """Most episodes that are fuzzed."""
    fuzzer: str = "auto"
    """`"atheris"`, `"hypothesis"`, `"random"`, or `"auto"` for the first of them that is installed."""
    reset_deadline: float = 120.0
    """Seconds for making an environment and for a reset: those of a host pool."""
    step_deadline: float = 60.0
    """Seconds for a step: those of a host pool."""
    close_deadline: float = 10.0
    """Seconds for closing."""
    stage_deadline: float = 3_600.0
    """Seconds after which a stage's process is killed."""
    traced_slope: float = 256.0
    """Most growth of Python's own memory, bytes an episode."""
    rss_slope: float = 4_096.0
    """Most growth of resident memory, bytes an episode."""
    count_slope: float = 0.002
    """Most growth of threads, descriptors and child processes, each an episode."""

    def __post_init__(self) -> None:
        for name in ("tasks", "compared", "copies", "probed", "episodes", "enough", "fuzz_runs"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("leak_seconds", "budget", "fuzz_seconds", "reset_deadline", "step_deadline", "close_deadline"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.fuzzer not in FUZZERS:
            raise UsageError(f"fuzzer must be one of {', '.join(FUZZERS)}, not {self.fuzzer!r}")

    @classmethod
    def small(cls, **changes: Any) -> Settings:
        """What `--quick` looks at. Slopes over few episodes are noisy, so that more of one is allowed."""
        quick = cls(
            quick=True, tasks=5, compared=12, copies=3, probed=4, episodes=200, enough=60, leak_seconds=15.0,
            budget=15.0, fuzz_seconds=3.0, fuzz_runs=20_000, stage_deadline=300.0, traced_slope=1_024.0,
            rss_slope=32_768.0, count_slope=0.01,
        )  # fmt: skip
        return replace(quick, **changes)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Settings:
        """From JSON."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})
