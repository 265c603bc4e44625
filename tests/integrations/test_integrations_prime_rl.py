"""prime-rl: per-token streams for traces of the documented shape, and the real classes where installed."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from integration_cases import REWARDS, STATES, nested

from agentgym.credit import TurnTable
from agentgym.errors import CreditError, UsageError
from agentgym.integrations import common, prime_rl


@dataclass
class Node:
    """The fields of a message node that are read."""

    token_ids: list[int]
    mask: list[bool]
    parent: int | None = None
    advantages: list[float] | None = None


@dataclass
class Trace:
    """The fields of a trace that are read."""

    reward: float
    nodes: list[Node] = field(default_factory=list)


def trace(states: list[str], reward: float, first: int = 1) -> Trace:
    """A conversation: an observation of one token for each state, then an answer of growing length."""
    made, number = Trace(reward), {s: 100 + i for i, s in enumerate(["hall", "cellar", "attic", "yard", "shed"])}
    for t, state in enumerate(states):
        last = len(made.nodes) - 1
        made.nodes.append(Node([number[state]], [False], last if last >= 0 else None))
        answer = first + t
        made.nodes.append(Node([3] + [7] * answer, [False] + [True] * answer, len(made.nodes) - 1))
    return made


def group(i: int) -> list[Trace]:
    """A group of two of the shared case, with the outcome as reward."""
    return [trace(STATES[j], sum(REWARDS[j]), first=j + 1) for j in (i, i + 1)]


def turn_rewards(of: list[Trace], start: int) -> Any:
    """Gives the shared case's rewards."""
    return lambda one: REWARDS[start + next(i for i, known in enumerate(of) if known is one)]


@pytest.mark.parametrize("credit", ["anchor-state", "rloo", "discounted-return"])
def test_streams_have_one_number_a_sampled_token(credit: str) -> None:
    line = common.pipeline(credit)
    wanted = np.split(line(nested())["advantage"], np.cumsum([len(r) for r in REWARDS])[:-1])
    for start in (0, 2):
        traces = group(start)
        for j, stream in enumerate(prime_rl.streams(line, traces, turn_rewards(traces, start)), start=start):
            lengths = [j + 1 + t for t in range(len(REWARDS[j]))]
            np.testing.assert_allclose(stream, np.repeat(wanted[j], lengths), rtol=0, atol=1e-12)


def test_the_outcome_is_the_last_turns_reward_by_default() -> None:
    line = common.pipeline([{"use": "discounted-return", "gamma": 0.5}])
    (stream,) = prime_rl.streams(line, [trace(["hall", "cellar"], 1.0)])
    assert stream == [0.5, 1.0, 1.0]


def test_turns_that_touch_stay_apart_and_branches_have_their_own_states() -> None:
    made = Trace(1.0, [Node([1], [False]), Node([7, 7], [True, True], 0), Node([8], [True], 1)])
    made.nodes.append(Node([2], [False], 0))
    made.nodes.append(Node([9], [True], 3))  # Another branch from the root: its state is both observations.
    (stream,) = prime_rl.streams(common.pipeline([{"use": "discounted-return", "gamma": 0.5}]), [made])
    assert stream == [0.25, 0.25, 0.5, 1.0]
    states = [prime_rl._state(made, node) for node in made.nodes if any(node.mask)]  # pyright: ignore[reportPrivateUsage]
    assert states == ["1", "", "1,2"]


def test_traces_without_sampled_tokens_are_in_no_statistic() -> None:
    silent = Trace(5.0, [Node([1], [False])])
    line = common.pipeline("dr-grpo")
    pair = [trace(["hall"], 1.0), trace(["hall"], 0.0)]
    assert prime_rl.streams(line, [pair[0], silent, pair[1]]) == [[0.5], [], [-0.5]]
    assert prime_rl.streams(line, [silent]) == [[]]
    assert prime_rl.streams(line, []) == []


def test_bad_rewards_are_refused() -> None:
    line = common.pipeline("grpo")
    with pytest.raises(CreditError, match=r"batch row 0, token .*nan"):
        prime_rl.streams(line, [trace(["hall"], float("nan"))])
    with pytest.raises(CreditError, match="reward: batch row 0 has 2 turns, and 1 values"):
        prime_rl.streams(line, [trace(["hall", "yard"], 1.0)], lambda _: [1.0])


def test_grpo_is_prime_rls_own_up_to_the_deviation() -> None:
    rewards = [1.0, 1.0, 0.0]
    streams = prime_rl.streams(common.pipeline("dr-grpo"), [trace(["hall"], r) for r in rewards])
    assert np.allclose(list(itertools.chain(*streams)), np.asarray(rewards) - np.mean(rewards))  # Its docs' example.
    table = TurnTable.from_rewards([[[r] for r in rewards]])
    assert np.allclose(list(itertools.chain(*streams)), common.pipeline("dr-grpo")(table)["advantage"])


@pytest.mark.skipif(importlib.util.find_spec("prime_rl") is not None, reason="prime-rl is installed")
def test_without_prime_rl_registering_says_what_to_install() -> None:
    with pytest.raises(UsageError, match="install prime-rl first"):
        prime_rl.register("anchor-state")


def test_real_registration() -> None:
    if importlib.util.find_spec("prime_rl") is None:
        pytest.skip("prime-rl is not installed (it is on no package registry): the registration is not tested here")
    algo: Any = importlib.import_module("prime_rl.orchestrator.algo")
    before = algo.ALGORITHM_CLASSES["grpo"]
    try:
        prime_rl.register("anchor-state")
        made = algo.ALGORITHM_CLASSES["grpo"]
        assert issubclass(made, algo.Algorithm)
        assert made is not before
        assert asyncio.iscoroutinefunction(made.score_group)
        with pytest.raises(CreditError, match="no algorithm 'opd'"):
            prime_rl.register("anchor-state", over="opd")
    finally:
        algo.ALGORITHM_CLASSES["grpo"] = before
