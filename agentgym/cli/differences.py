"""How far two advantages of the same turns are apart: a few numbers, and the turns where they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.cli.recredit import Recomputed
from agentgym.types import Turn

SAME = 1e-6
"""Advantages that differ by no more count as equal."""


def summary(done: Sequence[Recomputed]) -> dict[str, Any]:
    """Turns, correlation (`None` where one side is constant), mean absolute difference, sign flips, share changed.

    Args:
        done: one iteration, whose number is then there, too, or several as one.
    """
    old, new = _joined([one.old for one in done]), _joined([one.new for one in done])
    apart = np.abs(new - old)
    return {
        "iteration": done[0].recorded.number if len(done) == 1 else None,
        "turns": len(old),
        "left_out": sum(one.recorded.left_out for one in done),
        "correlation": correlation(old, new),
        "mean_absolute_difference": float(apart.mean()) if len(apart) else 0.0,
        "largest_difference": float(apart.max(initial=0.0)),
        "sign_flips": int(((old < 0) & (new > 0) | (old > 0) & (new < 0)).sum()),
        "changed": float((apart > SAME).mean()) if len(apart) else 0.0,
    }


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Pearson's correlation of two columns `[n]`; `None` where one is constant: there is none.

    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([30.0, 20.0, 10.0]))
    -1.0
    """
    if not len(a) or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return None
    # Scaled first: squares of very large or small advantages must neither overflow nor vanish.
    x, y = _unit(a), _unit(b)
    return float(np.clip(x @ y, -1.0, 1.0))


def differing_turns(done: Sequence[Recomputed], limit: int) -> list[dict[str, Any]]:
    """The turns whose credit differs most, largest first; those that agree within `SAME` are not among them."""
    apart = _joined([np.abs(one.new - one.old) for one in done])
    starts = np.cumsum([0, *(len(one.old) for one in done)])
    rows: list[dict[str, Any]] = []
    for place in map(int, np.argsort(-apart, kind="stable")[: max(limit, 0)]):
        if apart[place] <= SAME:
            break
        which = int(np.searchsorted(starts, place, side="right")) - 1
        one, row = done[which], int(place - starts[which])
        trajectory = one.recorded.played[int(one.table["trajectory"][row])]
        number = int(one.table["turn"][row])
        rows.append(
            {
                "iteration": one.recorded.number,
                "trajectory": trajectory.id,
                "turn": number,
                "action": _action(trajectory.turns[number]),
                "recorded": float(one.old[row]),
                "new": float(one.new[row]),
            }
        )
    return rows


def _action(turn: Turn) -> str:
    return turn.completion.text if turn.action is None else turn.action


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values less their mean, scaled to length 1. Not for constant ones."""
    scaled = values / np.abs(values).max()
    centred = scaled - scaled.mean()
    centred /= np.abs(centred).max()
    return centred / np.sqrt(centred @ centred)


def _joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *parts])
