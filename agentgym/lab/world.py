"""A text world so small that everything which can happen in it can be written down.

Credit modules are judged by the gradient they lead to. To know the true one, all trajectories with their probabilities
are needed: so a world here is data (states as text keys, actions, chances), its policy a softmax with one logit for
each state and action, and its horizon short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from agentgym.credit.segments import Float, Int
from agentgym.errors import CreditError


@dataclass(frozen=True)
class Move:
    """One thing that can happen after an action."""

    to: str | None
    """The state that follows; `None` ends the episode."""
    probability: float = 1.0
    """Of this, among all that can happen after the action."""
    reward: float = 0.0
    """What it pays; rewards of an episode sum up to its outcome."""
    success: bool = False
    """Whether the episode ends with the task solved."""
    fault: bool = False
    """Whether the world could not execute the action."""


@dataclass(frozen=True, eq=False)
class World:
    """A finite world, and the policy that is measured in it.

    Raises:
        CreditError: chances that do not sum to 1, a move or start to an unknown state, a logit of no action.
    """

    name: str
    """As cards show it."""
    summary: str
    """What happens in it, in a sentence."""
    starts: Mapping[str, float]
    """States that a task can begin in, with probabilities. All attempts of a group have the same task."""
    moves: Mapping[str, Mapping[str, tuple[Move, ...]]]
    """By state, by action: what can happen."""
    horizon: int
    """Turns after which an episode is cut off, without success."""
    logits: Mapping[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """Of the policy, by state and action; 0 for what is not named."""

    def __post_init__(self) -> None:
        if not self.starts or abs(sum(self.starts.values()) - 1.0) > 1e-9 or self.horizon < 1:
            raise CreditError(f"world {self.name!r}: needs starts whose chances sum to 1, and a horizon of 1 or more")
        for state in self.starts:
            if state not in self.moves:
                raise CreditError(f"world {self.name!r}: starts in {state!r}, which has no actions")
        for state, actions in self.moves.items():
            if not actions:
                raise CreditError(f"world {self.name!r}: state {state!r} has no actions")
            for action, moves in actions.items():
                place = f"world {self.name!r}: {action!r} in {state!r}"
                chances = [move.probability for move in moves]
                if min(chances, default=0.0) <= 0.0 or abs(sum(chances) - 1.0) > 1e-9:
                    raise CreditError(f"{place}: chances must be positive and sum to 1, not {chances}")
                for move in moves:
                    if move.to is not None and move.to not in self.moves:
                        raise CreditError(f"{place}: leads to {move.to!r}, which is no state")
        for pair in self.logits:
            if pair not in self.pairs:
                raise CreditError(f"world {self.name!r}: a logit is given for {pair}, which is no state and action")

    @cached_property
    def states(self) -> tuple[str, ...]:
        """All states, numbered by their place."""
        return tuple(self.moves)

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs of state and action: the policy's D parameters, numbered by their place."""
        return tuple((state, action) for state, actions in self.moves.items() for action in actions)

    @cached_property
    def state_of(self) -> Int:
        """Number of each parameter's state `[D]`."""
        number = {state: i for i, state in enumerate(self.states)}
        return np.array([number[state] for state, _ in self.pairs], dtype=np.int64)

    @cached_property
    def theta(self) -> Float:
        """The policy's logits `[D]`."""
        return np.array([self.logits.get(pair, 0.0) for pair in self.pairs], dtype=np.float64)

    def policy(self, theta: Float | None = None) -> Float:
        """pi(a|s) of each pair `[D]`: a softmax over the actions of each state.

        Args:
            theta: logits `[D]`; the world's own if not given.
        """
        logits = self.theta if theta is None else theta
        weight = np.exp(logits - np.max(logits))
        return weight / np.bincount(self.state_of, weights=weight)[self.state_of]
