"""Trajectories to values, advantages and the decisive turn; how many continuations are spent, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agentgym.branch.continuing import Continuations, Wanted
from agentgym.branch.values import Branched, Played, Refused, branched, changes, estimates
from agentgym.errors import UsageError
from agentgym.types import Ending, Trajectory

FIRST = 2
"""Continuations at every turn before a budget is spent where it matters."""
CONFIRM = 0.5
"""Part of a budget that is kept for the turn that was picked."""


def branch(
    trajectories: Sequence[Trajectory],
    continuations: Continuations,
    *,
    policy: str,
    k: int = 8,
    budget: int | None = None,
) -> list[Branched | Refused]:
    """Estimate the value before each turn of trajectories, and say which turn decided each.

    Without a budget, `k` continuations are played from every turn, and the decisive turn's interval is corrected for
    the number of turns that it was picked from. With one, that many continuations at most are played for each
    trajectory: half of them find the turn by successive halving (every turn, then the half whose changes are furthest
    in the episode's direction, and so on), the other half are fresh ones from before and after it, which alone make its
    interval. Intervals of the other values do not know that their number depended on what was seen.

    Args:
        trajectories: with different ids.
        continuations: who plays on, and how.
        policy: the policy's name, for the record.
        k: continuations from each turn.
        budget: most continuations for a trajectory, instead of `k` at every turn.

    Returns:
        One result for each trajectory, in their order; those that met an infra error or cannot be restored are refused.

    Raises:
        UsageError: `k` is below 2, two trajectories share an id, or a task is not there any more.
    """
    if k < 2:
        raise UsageError(f"k must be at least 2 continuations a turn, not {k}")
    ids = [trajectory.id for trajectory in trajectories]
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise UsageError(f"two trajectories have the id {twice!r}: branch one phase of a run at a time")
    refused = {t.id: why for t in trajectories if (why := refusal(t, budget))}
    good = [t for t in trajectories if t.id not in refused]
    if budget is None:
        continuations.play([Wanted(t, turn, k) for t in good for turn in range(len(t.turns))], "branch")
        found = [_result(t, continuations, policy, k) for t in good]
    else:
        found = _adaptive(good, continuations, policy, budget)
    by_id = {each.id: each for each in [*found, *(Refused(name, why) for name, why in refused.items())]}
    return [by_id[name] for name in ids]


def refusal(trajectory: Trajectory, budget: int | None = None) -> str:
    """Why a trajectory cannot be branched; empty where it can."""
    if trajectory.ending is Ending.INFRA_ERROR:
        return "it met an infra error: its score says nothing"
    if not trajectory.turns:
        return "it has no turns"
    if not math.isfinite(trajectory.score):
        return f"its score is {trajectory.score}"
    least = FIRST * len(trajectory.turns) + 4
    if budget is not None and budget < least:
        return f"a budget of {budget} is too small for {len(trajectory.turns)} turns: it takes at least {least}"
    return ""


def _gathered(trajectory: Trajectory, known: Continuations) -> Played | Refused:
    places = [known.at(trajectory, turn) for turn in range(len(trajectory.turns))]
    for turn, at in enumerate(places):
        if not at.scores:
            return Refused(trajectory.id, f"no continuation from turn {turn + 1} came to an end: {at.error}")
    lost = sum(at.left_out for at in places)
    return Played(trajectory.id, trajectory.score, trajectory.success, [list(at.scores) for at in places], lost)


def _result(trajectory: Trajectory, known: Continuations, policy: str, k: int) -> Branched | Refused:
    played = _gathered(trajectory, known)
    return played if isinstance(played, Refused) else branched(played, policy, k)


@dataclass
class _Search:
    """A budget being spent on one trajectory."""

    trajectory: Trajectory
    budget: int
    left: list[int]
    """Turns that may still be the decisive one."""
    counts: list[int]
    """Continuations from each turn so far."""

    def rounds(self) -> int:
        return max(1, math.ceil(math.log2(len(self.counts))))

    def spend(self, number: int) -> list[Wanted]:
        """Continuations of a round, shared out equally over the states around the turns that are left."""
        each = int(self.budget * (1 - CONFIRM)) - FIRST * len(self.counts)
        around = sorted({t for turn in self.left for t in (turn, turn + 1) if t < len(self.counts)})
        more = max(0, each) // self.rounds() // len(around)
        for turn in around:
            self.counts[turn] += more
        return [Wanted(self.trajectory, turn, self.counts[turn]) for turn in around] if number and more else []

    def halve(self, known: Continuations) -> None:
        played = _gathered(self.trajectory, known)
        if isinstance(played, Refused):
            return
        moved = changes(estimates(played))
        sign = 1.0 if self.trajectory.success else -1.0
        order = sorted(self.left, key=lambda turn: -sign * moved[turn].change)
        self.left = order[: max(1, len(order) // 2)]


def _adaptive(good: Sequence[Trajectory], known: Continuations, policy: str, budget: int) -> list[Branched | Refused]:
    searches = [_Search(t, budget, list(range(len(t.turns))), [FIRST] * len(t.turns)) for t in good]
    known.play([Wanted(s.trajectory, turn, FIRST) for s in searches for turn in range(len(s.counts))], "branch")
    for number in range(1, 1 + max((s.rounds() for s in searches), default=0)):
        searching = [s for s in searches if number <= s.rounds()]
        for s in searching:
            s.halve(known)
        known.play([wanted for s in searching for wanted in s.spend(number)], f"halve {number}")
    fresh: dict[str, tuple[int, int, int | None]] = {}
    todo: list[Wanted] = []
    for s in searches:
        s.left = s.left[:1]
        turn, last = s.left[0], s.left[0] + 1 == len(s.counts)
        around = (turn,) if last else (turn, turn + 1)
        before = [known.at(s.trajectory, t) for t in around]
        fresh[s.trajectory.id] = (turn, len(before[0].scores), None if last else len(before[1].scores))
        share = (budget - sum(s.counts)) // len(around)
        todo += [Wanted(s.trajectory, t, at.asked + share) for t, at in zip(around, before, strict=True)]
    known.play(todo, "confirm")
    return [_confirmed(s, known, policy, fresh[s.trajectory.id]) for s in searches]


def _confirmed(s: _Search, known: Continuations, policy: str, fresh: tuple[int, int, int | None]) -> Branched | Refused:
    played = _gathered(s.trajectory, known)
    if isinstance(played, Refused):
        return played
    turn, skip, skip_after = fresh
    before = list(played.scores[turn])[skip:]
    after = None if skip_after is None else list(played.scores[turn + 1])[skip_after:]
    if not before or after == []:
        return Refused(s.trajectory.id, f"no fresh continuation around turn {turn + 1} came to an end")
    return branched(played, policy, round(s.budget / len(s.counts)), (turn, before, after))
