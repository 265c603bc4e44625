"""Turn-level credit as per-token advantage streams of prime-rl.

prime-rl keeps a rollout as a trace: a list of message nodes with `token_ids` and a `mask` that is true on sampled
tokens; its `assign_advantages(trace, values)` takes one number for each sampled token, in the order of the nodes. A
turn is a node with sampled tokens, and began in the state that the nodes since the turn before it on its path tell.

Written against prime-rl at commit 559b4477 (`src/prime_rl/orchestrator/algo/`: `base`, `routing`, `grpo`). prime-rl has
no setting that names user code, so `register` replaces the run-time class of an algorithm that its configuration knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agentgym.credit.pipeline import Pipeline
from agentgym.errors import CreditError
from agentgym.integrations import common
from agentgym.integrations.common import Credit

TurnRewards = Callable[[Any], Sequence[float]]
"""Given a trace, one reward for each of its turns."""


def streams(pipeline: Pipeline, traces: Sequence[Any], turn_rewards: TurnRewards | None = None) -> list[list[float]]:
    """Advantages of a group of traces: one number for each sampled token, in the order that prime-rl expects.

    Args:
        pipeline: the credit.
        traces: rollouts of one task that can be trained on; `reward` is the outcome.
        turn_rewards: by default the outcome is the last turn's reward and the others' are 0.

    Returns:
        By trace; an empty list for a trace without sampled tokens, which is in no statistic.

    Raises:
        CreditError: a reward that is not finite, or as many turn rewards as there are not turns.
    """
    lengths = [[sum(map(bool, node.mask)) for node in _turns(trace)] for trace in traces]
    width = max((sum(row) for row in lengths), default=0)
    if not width:
        return [[] for _ in traces]
    turns = np.full((len(traces), width), -1)
    rewards = np.zeros((len(traces), width))
    outcomes = np.asarray([float(trace.reward) for trace in traces])
    for row, counts in enumerate(lengths):
        total = sum(counts)
        turns[row, :total] = np.repeat(np.arange(len(counts)), counts)
        if total:
            rewards[row, total - 1] = outcomes[row]
    batch = common.turn_table(
        rewards,
        turns >= 0,
        np.zeros(len(traces), dtype=np.int64),
        turns=turns,
        outcomes=outcomes,
        states=[[_state(trace, node) for node in _turns(trace)] for trace in traces],
        columns=None if turn_rewards is None else {"reward": [list(turn_rewards(trace)) for trace in traces]},
    )
    values = batch.advantages(pipeline)
    return [values[row, : sum(counts)].tolist() for row, counts in enumerate(lengths)]


def algorithm(credit: Credit = "anchor-state", turn_rewards: TurnRewards | None = None) -> Any:
    """A class of prime-rl's `Algorithm` that scores groups with a credit.

    A group is scored when it is complete: a credit that compares over the whole batch sees one group at a time.

    Raises:
        UsageError: prime-rl is not installed.
    """
    line = common.pipeline(credit)
    base = common.need("prime_rl.orchestrator.algo.base", "prime-rl")
    routing = common.need("prime_rl.orchestrator.algo.routing", "prime-rl")

    async def score_group(self: Any, episodes: list[Any]) -> None:
        traces = [trace for _, trace in base.iter_trainable_traces(episodes)]
        for trace, values in zip(traces, streams(line, traces, turn_rewards), strict=True):
            routing.assign_advantages(trace, values)

    return type("AgentgymAlgorithm", (base.Algorithm,), {"score_group": score_group})


def register(credit: Credit = "anchor-state", over: str = "grpo", turn_rewards: TurnRewards | None = None) -> None:
    """Let the algorithm type `over` of prime-rl's configuration mean this credit, in this process.

    Args:
        credit: a module's name, or a recipe's list of modules.
        over: an algorithm type whose configuration class fits; its own fields, such as a length penalty, are not read.
        turn_rewards: see `streams`.

    Raises:
        UsageError: prime-rl is not installed.
        CreditError: prime-rl has no such algorithm, or not one that feeds the policy-gradient loss.
    """
    classes = common.need("prime_rl.orchestrator.algo", "prime-rl").ALGORITHM_CLASSES
    usable = sorted(name for name, known in classes.items() if known.action_loss_type == "rl")
    if over not in usable:
        raise CreditError(f"prime-rl has no algorithm {over!r} with a policy-gradient loss; it has {', '.join(usable)}")
    classes[over] = algorithm(credit, turn_rewards)


def _turns(trace: Any) -> list[Any]:
    return [node for node in trace.nodes if any(node.mask)]


def _state(trace: Any, node: Any) -> str:
    """What the environment wrote before a turn: the tokens of the nodes above it, up to the turn before on its path."""
    parts: list[list[int]] = [[t for t, own in zip(node.token_ids, node.mask, strict=True) if not own]]
    above = node.parent
    while above is not None and not any(trace.nodes[above].mask):
        parts.append(list(trace.nodes[above].token_ids))
        above = trace.nodes[above].parent
    return ",".join(str(token) for part in reversed(parts) for token in part)
