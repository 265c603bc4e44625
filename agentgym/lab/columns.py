"""The turn table's columns for paths of a world, those that scorers would bring in their exact form.

In a run a critic, a judge or a reward model errs; here each says what a perfect one would. What a module does to the
gradient with perfect columns is its own doing. `implicit_reward` alone has errors, fixed for each turn number, state
and action, as a learned model has: 0.3 of the advantages' size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentgym.credit.columns import REQUIRED, Column
from agentgym.credit.reading import hash_state
from agentgym.lab.values import Values
from agentgym.lab.world import Move
from agentgym.seeding import generator

LEAST = 1e-3
"""Least probability of an answer: what a model gives to something it holds for impossible. A logarithm needs one."""

MEANING: dict[str, str] = {
    "value": "the exact expected return before the turn",
    "answer_logprob": f"log of the exact probability of success after the turn, at least {LEAST:g}",
    "answer_logprob_before": "the same before the turn",
    "progress_score": "reward plus the exact difference of expected returns",
    "implicit_reward": "the exact advantage, with fixed errors of 0.3 of its size",
    "entropy": "the exact entropy of the policy in the state, in nats",
    "progress": "1 over (1 + fewest turns to success) after the turn",
    "judge_score": "1 for an action of positive exact advantage, 0.5 for none, 0 for negative",
    "tool_correctness": "3 for an action of positive exact advantage, 0 for none, -3 for negative",
    "tool_format": "1 where the world could execute the action",
    "reward.useful": "1 for an action of positive exact advantage",
    "reward.valid": "1 where the world could execute the action",
    "useful": "1 for an action of positive exact advantage",
    "redundant": "1 where the attempt did the same in the same state before",
    "partial": "the nearest to success that the attempt came",
    "visits": "how often the state is met in 100 episodes",
    "iteration": "50",
    "malformed": "true where the world could not execute the action",
    "fault": "true where the world could not execute the action",
    "logprob": "log of the policy's probability of the action",
    "tokens": "words of the action",
    "characters": "characters of the action",
}
"""What each column holds in the lab beyond rewards, outcomes and states."""


def available() -> frozenset[str]:
    """Names of all columns that a table of the lab has."""
    return frozenset(MEANING) | frozenset(REQUIRED) | {"success", "action", "truncated"}


@dataclass(frozen=True)
class Row:
    """A turn of a path."""

    pair: int
    state: str
    action: str
    turn: int
    move: Move


def columns(values: Values, paths: Sequence[Sequence[Row]]) -> dict[str, Column]:
    """Columns of all rows of all paths, one path after the other; all but `group` and `trajectory`.

    Args:
        values: exact expectations of the world and its policy.
        paths: the rows of each path.
    """
    rows = [row for path in paths for row in path]
    turn, pair = np.array([row.turn for row in rows]), np.array([row.pair for row in rows])
    state = np.array([values.number[row.state] for row in rows])
    length = np.array([len(path) for path in paths])
    per_path = {
        "outcome": [sum(row.move.reward for row in path) for path in paths],
        "success": [path[-1].move.success for path in paths],
        "partial": [max(values.near_after(row.move) for row in path) for path in paths],
        "truncated": [False for _ in paths],
    }
    reward = np.array([row.move.reward for row in rows])
    fault = np.array([row.move.fault for row in rows])
    value = values.reward[turn, state]
    gain = values.action[turn, pair] - value
    better = np.where(np.abs(gain) < 1e-12, 0.0, np.sign(gain))
    solved = np.array([values.solved_after(row.move, row.turn) for row in rows])
    before = values.success[turn, state]
    codes = {text: hash_state(text) for row in rows for text in (row.state, row.action)}
    return {name: np.repeat(np.array(per), length) for name, per in per_path.items()} | {
        "turn": turn,
        "done": turn == np.repeat(length, length) - 1,
        "reward": reward,
        "state": np.array([codes[row.state] for row in rows], dtype=np.uint64),
        "action": np.array([codes[row.action] for row in rows], dtype=np.uint64),
        "tokens": np.array([len(row.action.split()) for row in rows]),
        "characters": np.array([len(row.action) for row in rows]),
        "logprob": np.log(values.policy[pair]),
        "fault": fault,
        "malformed": fault,
        "value": value,
        "answer_logprob": np.log(np.maximum(solved, LEAST)),
        "answer_logprob_before": np.log(np.maximum(before, LEAST)),
        "progress_score": reward + np.array([values.after(row.move, row.turn) for row in rows]) - value,
        "implicit_reward": gain + _errors(values)[turn, pair],
        "entropy": values.entropy[state],
        "progress": np.array([values.near_after(row.move) for row in rows]),
        "judge_score": (better + 1.0) / 2.0,
        "tool_correctness": 3.0 * better,
        "tool_format": 1.0 - fault,
        "reward.useful": (better > 0).astype(np.float64),
        "reward.valid": 1.0 - fault,
        "useful": (better > 0).astype(np.float64),
        "redundant": np.concatenate([_repeated(path) for path in paths]),
        "visits": np.round(100.0 * values.occupancy[state]),
        "iteration": np.full(len(rows), 50),
    }


def _repeated(path: Sequence[Row]) -> Column:
    """1 where a path did the same in the same state before."""
    seen = [row.pair for row in path]
    return np.array([float(pair in seen[:i]) for i, pair in enumerate(seen)])


def _errors(values: Values) -> Column:
    """Errors of a learned reward, one for each turn number, state and action `[horizon, D]`."""
    gain = values.action - values.reward[:-1][:, values.world.state_of]
    choice = values.policy < 1.0  # Where there is nothing to choose there is nothing to be credited for.
    size = float(np.sqrt(np.mean(gain[:, choice] ** 2)))
    return 0.3 * size * generator(0, "lab", "errors", values.world.name).standard_normal(gain.shape)
