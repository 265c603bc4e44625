"""What a perfect critic, a perfect judge and a perfect reader would know of a world, by backward induction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agentgym.credit.segments import Float
from agentgym.lab.world import Move, World


@dataclass(frozen=True)
class Values:
    """Exact expectations at each turn number t; episodes are cut off at the horizon, so they depend on t."""

    world: World
    policy: Float
    """pi(a|s) `[D]`."""
    reward: Float
    """Expected rewards to come in state s at turn t `[horizon + 1, S]`; 0 at the horizon."""
    success: Float
    """Probability of success from there `[horizon + 1, S]`."""
    action: Float
    """Expected rewards to come after taking pair i at turn t, its own reward included `[horizon, D]`."""

    @classmethod
    def of(cls, world: World, policy: Float) -> Values:
        """Work backwards from the horizon."""
        states = {state: i for i, state in enumerate(world.states)}
        reward = np.zeros((world.horizon + 1, len(states)))
        success, action = np.zeros_like(reward), np.zeros((world.horizon, len(policy)))
        for t in range(world.horizon - 1, -1, -1):
            for i, (state, name) in enumerate(world.pairs):
                s = states[state]
                for move in world.moves[state][name]:
                    to = None if move.to is None else states[move.to]
                    later, solved = (
                        (0.0, float(move.success)) if to is None else (reward[t + 1, to], success[t + 1, to])
                    )
                    action[t, i] += move.probability * (move.reward + later)
                    success[t, s] += policy[i] * move.probability * solved
                reward[t, s] += policy[i] * action[t, i]
        return cls(world, policy, reward, success, action)

    @cached_property
    def number(self) -> dict[str, int]:
        """States by number."""
        return {state: i for i, state in enumerate(self.world.states)}

    @cached_property
    def entropy(self) -> Float:
        """Entropy of the policy in each state `[S]`, in nats."""
        return np.bincount(self.world.state_of, weights=-self.policy * np.log(self.policy)).astype(np.float64)

    @cached_property
    def near(self) -> dict[str, float]:
        """How near each state is to success: 1 over (1 + fewest turns to it), 0 where it cannot be reached."""
        turns: dict[str, int] = {}
        for reach in range(1, len(self.world.states) + 1):
            for state, actions in self.world.moves.items():
                ways = (move for moves in actions.values() for move in moves)
                if state not in turns and any(m.success or turns.get(m.to or "", reach) < reach for m in ways):
                    turns[state] = reach
        return {state: 1.0 / (1.0 + turns[state]) if state in turns else 0.0 for state in self.world.states}

    @cached_property
    def occupancy(self) -> Float:
        """How often each state is met in an episode, on average `[S]`."""
        met = np.array([self.world.starts.get(state, 0.0) for state in self.world.states])
        total = met.copy()
        for _ in range(self.world.horizon - 1):
            following = np.zeros_like(met)
            for i, (state, name) in enumerate(self.world.pairs):
                for move in self.world.moves[state][name]:
                    if move.to is not None:
                        following[self.number[move.to]] += met[self.number[state]] * self.policy[i] * move.probability
            met = following
            total += met
        return total

    def after(self, move: Move, t: int) -> float:
        """Expected rewards to come after a move at turn t."""
        return 0.0 if move.to is None else float(self.reward[t + 1, self.number[move.to]])

    def solved_after(self, move: Move, t: int) -> float:
        """Probability of success after a move at turn t."""
        return float(move.success) if move.to is None else float(self.success[t + 1, self.number[move.to]])

    def near_after(self, move: Move) -> float:
        """Nearness to success after a move; 1 once it is there."""
        return float(move.success) if move.to is None else self.near[move.to]
