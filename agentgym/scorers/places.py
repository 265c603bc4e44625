"""Where the turns of a table stand in the token ledgers of their trajectories, and questions about places there.

Scorers that ask the model never encode text anew: they ask about the very tokens that the sampler saw and wrote. Here
is what they ask, without torch, so that a recipe that names them can be read without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.table import TurnTable
from agentgym.errors import CreditError
from agentgym.types import Trajectory

Int = NDArray[np.int64]


class Place(NamedTuple):
    """Where the action of a turn stands in its trajectory's samples."""

    sample: int
    """Index of the sample."""
    start: int
    """Position of the action's first token: what the model saw before it acted are the tokens before this."""
    stop: int
    """Position after its last token."""


@dataclass(frozen=True, eq=False)
class Query:
    """Places in one token sequence that a forward pass is asked about, and the row that each answer belongs to."""

    tokens: Int
    """`[L]` ids."""
    at: Int
    """`[A]` ascending positions, at least 1: each asks about the token there, from the state before it."""
    row: Int
    """`[A]` where the answer goes."""

    @classmethod
    def of_states(cls, tokens: Int, positions: Int, row: Int) -> Query:
        """Ask for the states *at* positions, the last token's among them.

        Args:
            tokens: `[L]` ids.
            positions: `[A]` ascending.
            row: `[A]`.
        """
        return cls(np.append(tokens, 0), positions + 1, row)  # The state at a token is that before the next one.


def trajectories_of(played: Sequence[Trajectory], table: TurnTable) -> Iterator[tuple[Trajectory, int]]:
    """Each trajectory that has rows in the table, and the row of its first turn."""
    first = table.trajectories.first
    for number, row in zip(table["trajectory"][first].tolist(), first.tolist(), strict=True):
        yield played[number], row


def places(trajectory: Trajectory) -> list[Place]:
    """The place of every turn.

    Raises:
        CreditError: the trajectory has no tokens, or a turn has none, or nothing comes before it.
    """
    if not trajectory.samples:
        raise CreditError(
            f"trajectory {trajectory.id!r} has no token ledger: it was played by a policy without a tokenizer; "
            "scorers that ask the model need one"
        )
    found: dict[int, Place] = {}
    for number, sample in enumerate(trajectory.samples):
        turn = np.asarray(sample.turn, dtype=np.int64)
        at = np.flatnonzero(turn >= 0)
        for run in np.split(at, np.flatnonzero(np.diff(turn[at])) + 1):
            if len(run):
                found[int(turn[run[0]])] = Place(number, int(run[0]), int(run[-1]) + 1)
    for t in range(len(trajectory.turns)):
        if t not in found:
            raise CreditError(
                f"trajectory {trajectory.id!r}, turn {t} has no tokens in the ledger: the answer was empty; "
                "a sampler that counts the end-of-turn token has at least that one"
            )
        if found[t].start == 0:
            raise CreditError(f"trajectory {trajectory.id!r}, turn {t}: nothing comes before its first token")
    return [found[t] for t in range(len(trajectory.turns))]


def action_queries(played: Sequence[Trajectory], table: TurnTable) -> list[Query]:
    """Ask about every token that the model wrote; answers go to the turn's row.

    Raises:
        CreditError: a turn without tokens; names the trajectory.
    """
    queries: list[Query] = []
    for trajectory, first in trajectories_of(played, table):
        places(trajectory)
        for sample in trajectory.samples:
            turn = np.asarray(sample.turn, dtype=np.int64)
            at = np.flatnonzero(turn >= 0)
            queries.append(Query(np.asarray(sample.tokens, dtype=np.int64), at, first + turn[at]))
    return queries


def state_queries(played: Sequence[Trajectory], table: TurnTable, end: bool) -> list[Query]:
    """Ask for one state a turn; it goes to the turn's row.

    Args:
        played: the trajectories.
        table: their turns.
        end: the state at the last token of the turn's action, else the one at the last token before the action.

    Raises:
        CreditError: a turn without tokens; names the trajectory.
    """
    queries: list[Query] = []
    for trajectory, first in trajectories_of(played, table):
        stands = np.asarray(places(trajectory), dtype=np.int64)
        for number, sample in enumerate(trajectory.samples):
            turns = np.flatnonzero(stands[:, 0] == number)
            positions = stands[turns, 2 if end else 1] - 1
            queries.append(Query.of_states(np.asarray(sample.tokens, dtype=np.int64), positions, first + turns))
    return queries
