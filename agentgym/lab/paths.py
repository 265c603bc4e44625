"""All trajectories of a world with their probabilities, as flat arrays: sampling and exact sums become indexing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.columns import Column
from agentgym.credit.segments import Float, Int
from agentgym.lab.columns import Row, columns
from agentgym.lab.values import Values
from agentgym.lab.world import World


@dataclass(frozen=True)
class Paths:
    """The K paths of a world; the rows of path k are `first[k]` to `first[k] + length[k] - 1`."""

    world: World
    policy: Float
    """pi(a|s) of each parameter `[D]`."""
    task: Int
    """Number of the start state `[K]`."""
    chance: Float
    """Probability of the path given its task `[K]`."""
    outcome: Float
    """Sum of rewards `[K]`."""
    length: Int
    """Turns `[K]`."""
    first: Int
    """First row `[K]`."""
    pair: Int
    """Number of state and action of each row `[M]`."""
    rows: Mapping[str, Column]
    """Columns of the turn table, those of scorers included, `[M]` each; all but `group` and `trajectory`."""

    @classmethod
    def of(cls, world: World, theta: Float | None = None) -> Paths:
        """Enumerate a world.

        Args:
            world: the world.
            theta: logits `[D]` of the policy; the world's own if not given.
        """
        policy = world.policy(theta)
        walked = [
            (number, chance, rows)
            for number, start in enumerate(world.starts)
            for chance, rows in _walk(world, start, policy)
        ]
        length = np.array([len(rows) for _, _, rows in walked], dtype=np.int64)
        return cls(
            world=world,
            policy=policy,
            task=np.array([number for number, _, _ in walked], dtype=np.int64),
            chance=np.array([chance for _, chance, _ in walked]),
            outcome=np.array([sum(row.move.reward for row in rows) for _, _, rows in walked]),
            length=length,
            first=np.cumsum(length) - length,
            pair=np.array([row.pair for _, _, rows in walked for row in rows], dtype=np.int64),
            rows=columns(Values.of(world, policy), [rows for _, _, rows in walked]),
        )

    @property
    def tasks(self) -> Float:
        """Probability of each task."""
        return np.array(list(self.world.starts.values()), dtype=np.float64)

    @property
    def probability(self) -> Float:
        """Probability of each path, tasks drawn `[K]`."""
        return self.tasks[self.task] * self.chance

    def gradient(self) -> Float:
        """The true gradient of the expected outcome `[D]`: sum over paths of P(path) R(path) grad log P(path)."""
        weight = np.repeat(self.probability * self.outcome, self.length)
        return self.score(weight[None, :], self.pair[None, :])[0]

    def score(self, weight: NDArray[np.float64], pair: Int) -> Float:
        """Sums over rows of weight times grad log pi(a|s), for a softmax with one logit each.

        Args:
            weight: `[B, n]`.
            pair: state and action of each row `[B, n]`.

        Returns:
            `[B, D]`.
        """
        batch, size = len(pair), len(self.policy)
        place = (np.arange(batch)[:, None] * size + pair).ravel()
        return self.score_sums(binned(place, weight.ravel(), (batch, size)))

    def score_sums(self, taken: Float) -> Float:
        """The same from weights that are summed up by state and action already, `[B, D]` to `[B, D]`.

        The gradient of log pi(a|s) is 1 at (s, a), less pi(b|s) at every (s, b).
        """
        state = self.world.state_of
        met = np.zeros((len(taken), len(self.world.states)))
        for i, s in enumerate(state):
            met[:, s] += taken[:, i]
        return taken - met[:, state] * self.policy


def binned(place: Int, weight: NDArray[Any], shape: tuple[int, int]) -> Float:
    """Sums of weights `[n]` by flat place in an array of a shape; float64, also where there is nothing to sum."""
    sums = np.bincount(place, weights=np.asarray(weight, dtype=np.float64), minlength=shape[0] * shape[1])
    return sums.astype(np.float64, copy=False).reshape(shape)


def _walk(world: World, start: str, policy: Float) -> Iterator[tuple[float, tuple[Row, ...]]]:
    """All paths from a start state with their probabilities; depth first, without recursion's limit."""
    number = {pair: i for i, pair in enumerate(world.pairs)}
    stack: list[tuple[str, float, tuple[Row, ...]]] = [(start, 1.0, ())]
    while stack:
        state, chance, so_far = stack.pop()
        for action, moves in world.moves[state].items():
            pair = number[state, action]
            for move in moves:
                rows = (*so_far, Row(pair, state, action, len(so_far), move))
                likely = chance * float(policy[pair]) * move.probability
                if move.to is None or len(rows) == world.horizon:
                    yield likely, rows
                else:
                    stack.append((move.to, likely, rows))
