"""A batch as trainers hold it, and the same as nested lists, for tests of every integration."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentgym.credit import TurnTable
from agentgym.seeding import generator

STATES = [["hall", "cellar", "hall"], ["hall", "attic"], ["yard"], ["yard", "shed", "yard"]]
REWARDS = [[0.0, 0.25, 1.0], [0.5, 0.0], [2.0], [0.0, -0.5, 1.0]]
GROUPS = ["b", "b", "a", "a"]
"""Two tasks of two attempts; the first in the batch is not the first in the alphabet."""


def nested() -> TurnTable:
    """The batch as a turn table, made without tokens."""
    return TurnTable.from_rewards([REWARDS[:2], REWARDS[2:]], states=[STATES[:2], STATES[2:]])


def tokens(seed: int = 3, left: bool = False) -> dict[str, Any]:
    """The batch as arrays `[4, T]`: rewards on last tokens, mask, and turn numbers (-1 off turns).

    Args:
        seed: of the turns' lengths.
        left: pad on the left, as SkyRL does.
    """
    draw = generator(seed, "integration-cases")
    rows: list[list[tuple[float, int, int]]] = []
    for i, member in enumerate(REWARDS):
        row: list[tuple[float, int, int]] = [] if i % 2 else [(0.0, 0, -1)]  # Some begin with an observation.
        for t, reward in enumerate(member):
            length = int(draw.integers(1, 4))
            row += [(0.0, 1, t)] * (length - 1) + [(reward, 1, t)]
            row += [(0.0, 0, -1)] * int(draw.integers(1, 3)) if t + 1 < len(member) else []
        rows.append(row)
    width = max(map(len, rows)) + 2
    fill = [(0.0, 0, -1)]
    wide = [fill * (width - len(r)) + r if left else r + fill * (width - len(r)) for r in rows]
    table = np.asarray(wide)
    return {"rewards": table[:, :, 0], "mask": table[:, :, 1].astype(int), "turns": table[:, :, 2].astype(int)}


def expected(advantage: Any, turns: Any) -> Any:
    """Advantages of the table's turns, laid on the batch's tokens by a plain loop."""
    wanted, starts = np.zeros(turns.shape), np.cumsum([0] + [len(r) for r in REWARDS])
    for i in range(turns.shape[0]):
        for j in range(turns.shape[1]):
            if turns[i, j] >= 0:
                wanted[i, j] = advantage[starts[i] + turns[i, j]]
    return wanted
