"""What branching found: the value before each turn, the change each turn made, and the turn that decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from agentgym.branch.intervals import LEVEL, Estimate, Scale, difference, known, mean


class Value(NamedTuple):
    """Expected score of the episode before a turn, with its 95 % interval; the last one, after all turns, is known."""

    turn: int
    value: float
    low: float
    high: float
    n: int
    """Continuations that it is the mean of; 0 for the score that the trajectory had."""


class Change(NamedTuple):
    """What a turn changed of the expected score, with an interval."""

    turn: int
    change: float
    low: float
    high: float


@dataclass(frozen=True)
class Refused:
    """A trajectory that was not branched."""

    id: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"id": self.id, "why": self.why}


@dataclass(frozen=True)
class Branched:
    """A trajectory of T turns with what continuations from each of them came to."""

    id: str
    policy: str
    """Whose continuations they are."""
    k: int
    """Continuations asked for at each turn."""
    score: float
    success: bool
    values: tuple[Value, ...]
    """V_0 to V_T."""
    advantages: tuple[Change, ...]
    """V_{t+1} - V_t for each turn, each with a 95 % interval of its own."""
    decisive: Change | None
    """The turn that lost a lost episode, or won a won one; none where its interval contains 0. The interval holds for
    whichever turn was picked: see `corrected`."""
    candidate: Change
    """The turn that changed most in the episode's direction, whether or not it can be named."""
    corrected: str
    """How the picking among several turns was accounted for, in a sentence."""
    scores: tuple[tuple[float, ...], ...] = ()
    """Of the continuations, by turn."""
    left_out: int = 0
    """Continuations that met an infra error."""

    @property
    def verdict(self) -> str:
        """What a person is told, who counts turns from 1."""
        way = "won" if self.success else "lost"
        if self.decisive is not None:
            d = self.decisive
            return f"turn {d.turn + 1} {way} it: {d.change:+.2f}, {d.low:+.2f} to {d.high:+.2f}"
        c = self.candidate
        return (
            f"no single turn can be named with k = {self.k}: turn {c.turn + 1} changed most ({c.change:+.2f}), "
            f"but {c.low:+.2f} to {c.high:+.2f} contains 0"
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values: a line of `decisive.jsonl`."""
        return {
            "id": self.id,
            "policy": self.policy,
            "k": self.k,
            "score": self.score,
            "success": self.success,
            "values": [value._asdict() for value in self.values],
            "advantages": [{"turn": c.turn, "value": c.change, "low": c.low, "high": c.high} for c in self.advantages],
            "decisive": None if self.decisive is None else self.decisive._asdict(),
            "candidate": self.candidate._asdict(),
            "corrected": self.corrected,
            "verdict": self.verdict,
            "left_out": self.left_out,
        }


class Played(NamedTuple):
    """A trajectory with the scores of its continuations."""

    id: str
    score: float
    success: bool
    scores: Sequence[Sequence[float]]
    """By turn; at least one each."""
    left_out: int = 0


def estimates(played: Played, level: float = LEVEL) -> list[Estimate]:
    """V_0 to V_T."""
    scale = Scale.of([played.score, *(score for scores in played.scores for score in scores)])
    return [*(mean(scores, scale, level) for scores in played.scores), known(played.score)]


def changes(values: Sequence[Estimate]) -> list[Change]:
    """V_{t+1} - V_t for each turn."""
    found = [difference(after, before) for before, after in pairwise(values)]
    return [Change(turn, each.value, each.low, each.high) for turn, each in enumerate(found)]


def strongest(found: Sequence[Change], success: bool) -> Change:
    """The change that went furthest in the episode's direction: up for a success, down otherwise; the first of equals.

    >>> strongest([Change(0, -0.1, 0, 0), Change(1, -0.5, 0, 0), Change(2, 0.2, 0, 0)], success=False).turn
    1
    """
    return max(found, key=lambda each: each.change if success else -each.change)


def named(change: Change, success: bool) -> Change | None:
    """The change, if its interval lies on the side of the episode's direction."""
    return change if (change.low > 0 if success else change.high < 0) else None


def branched(
    played: Played, policy: str, k: int, confirmed: tuple[int, Sequence[float], Sequence[float] | None] | None = None
) -> Branched:
    """The result of a trajectory.

    Args:
        played: its continuations.
        policy: whose they are.
        k: how many were asked for at each turn.
        confirmed: a turn that was picked by some continuations and is judged by others: those from before it, and those
            from after it (`None` where it was the last). Without, the turn is picked and judged by all of them, with
            Bonferroni's correction for the number of turns.
    """
    values = estimates(played)
    turns = len(played.scores)
    if confirmed is None:
        picked = strongest(changes(estimates(played, 1.0 - (1.0 - LEVEL) / turns)), played.success)
        corrected = f"{LEVEL:.0%} over all {turns} turns (Bonferroni)" if turns > 1 else f"{LEVEL:.0%}"
    else:
        turn, before, after = confirmed
        scale = Scale.of([played.score, *(score for scores in played.scores for score in scores)])
        end = known(played.score) if after is None else mean(after, scale)
        moved = difference(end, mean(before, scale))
        picked = Change(turn, moved.value, moved.low, moved.high)
        corrected = f"{LEVEL:.0%}, from continuations that had no part in picking the turn"
    return Branched(
        id=played.id,
        policy=policy,
        k=k,
        score=played.score,
        success=played.success,
        values=tuple(Value(turn, *each) for turn, each in enumerate(values)),
        advantages=tuple(changes(values)),
        decisive=named(picked, played.success),
        candidate=picked,
        corrected=corrected,
        scores=tuple(tuple(scores) for scores in played.scores),
        left_out=played.left_out,
    )


def to_mapping(found: Sequence[Branched | Refused]) -> Mapping[str, Branched]:
    """Those that were branched, by id."""
    return {each.id: each for each in found if isinstance(each, Branched)}
