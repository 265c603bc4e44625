"""Scripted policies and replay, played on the real key-door game."""

from __future__ import annotations

import asyncio

import pytest

from agentgym import models, registry
from agentgym.errors import UsageError
from agentgym.host import HostPool
from agentgym.policy import Policy, Request, Sampling
from agentgym.rollout import attempts, collect
from agentgym.store import TrajectoryLog
from agentgym.types import Ending, Message, Observation
from agentgym_policies.replay import Replay
from agentgym_policies.scripted import Empty, NoisyOracle, Oracle, Random

ENV = "keydoor-v0"
TASKS = list(registry.tasks(ENV)[:4])


def play(policy, dialect="plain", group=2, **more):
    return collect(attempts(TASKS, group, 3), env=ENV, policy=policy, dialect=dialect, **more)


def request(**more):
    seen = Observation("look", actions=("a", "b", "c"))
    defaults = {
        "trajectory": "t", "turn": 0, "messages": (Message("user", "look"),), "observation": seen, "seed": 0,
        "sampling": Sampling(), "oracle": "win",
    }  # fmt: skip
    return Request(**{**defaults, **more})


def answer(policy, **more):
    return asyncio.run(policy.complete([request(**more)]))[0].text


@pytest.mark.parametrize("dialect", ["plain", "action-tag", "json", "hermes"])
def test_the_oracle_wins_in_every_dialect(dialect):
    found = play(Oracle(dialect), dialect)
    assert {t.ending for t in found} == {Ending.SUCCESS}
    assert {t.score for t in found} == {1.0}


def test_silence_loses_and_is_told_so():
    found = play(Empty())
    assert {t.ending for t in found} == {Ending.OUT_OF_TURNS}
    assert {turn.info["fault"] for t in found for turn in t.turns} == {"format"}
    assert {turn.action for t in found for turn in t.turns} == {None}


def test_random_play_depends_on_its_seed_alone():
    actions = [[turn.action for turn in t.turns] for t in play(Random())]
    assert actions == [[turn.action for turn in t.turns] for t in play(Random(), slots=1)]
    assert actions[0] != actions[1]
    assert {answer(Random(), seed=s) for s in range(50)} == {"a", "b", "c"}
    assert answer(Random(), observation=Observation("nothing listed"), seed=1).replace(" ", "").isalpha()


def test_noise_is_a_share_of_the_turns():
    said = [answer(NoisyOracle(0.3), seed=s) for s in range(1000)]
    assert 0.25 < sum(text != "win" for text in said) / 1000 < 0.35
    assert {answer(NoisyOracle(0), seed=s) for s in range(20)} == {"win"}
    assert answer(NoisyOracle(0), oracle=None) in {"a", "b", "c"}
    with pytest.raises(UsageError, match=r"between 0 and 1, not 1\.5"):
        NoisyOracle(1.5)


def test_an_environment_without_an_oracle_is_named():
    with pytest.raises(UsageError, match="gives no oracle action"):
        answer(Oracle(), oracle=None)
    assert answer(Oracle(), oracle=None, turn=3) == ""


def test_all_are_policies_and_registered():
    for name in ("oracle", "random", "noisy-oracle", "empty"):
        assert isinstance(registry.load("policies", name)(), Policy)
    assert registry.load("policies", "replay") is Replay


def test_replay_says_what_was_said(tmp_path):
    first = play(Random())
    with TrajectoryLog(tmp_path / "log.jsonl") as log:
        for trajectory in first:
            log.append(trajectory)
    for source in (first, tmp_path / "log.jsonl"):
        again = play(Replay(source))
        assert [t.turns[0].action for t in again] == [t.turns[0].action for t in first]
        assert [(t.score, t.ending, t.final, len(t.turns)) for t in again] == [
            (t.score, t.ending, t.final, len(t.turns)) for t in first
        ]


def test_replay_names_what_is_not_recorded(tmp_path):
    with pytest.raises(UsageError, match=r"nothing is recorded for 'keydoor.*8 trajectories"):
        collect(attempts(TASKS, 2, 3, prefix="keydoor/"), env=ENV, policy=Replay(play(Oracle())))
    with pytest.raises(UsageError, match="recorded turns; turn"):
        collect(attempts(TASKS, 2, 3), env=ENV, policy=Replay(play(Empty(), limits=None)[:0] + shortened()))
    with pytest.raises(UsageError, match="is not a file"):
        Replay(tmp_path / "nowhere.jsonl")


def shortened():
    from dataclasses import replace

    return [replace(t, turns=t.turns[:1]) for t in play(Empty())]


def test_demonstrations_come_with_tokens():
    chat = models.load("scratch:tiny").chat
    with HostPool(ENV) as hosts:
        found = play(Oracle("action-tag", chat), "action-tag", group=1, hosts=hosts)
    for trajectory in found:
        (sample,) = trajectory.samples
        for index, turn in enumerate(trajectory.turns):
            mine = [t for t, i in zip(sample.tokens, sample.turn, strict=True) if i == index]
            assert tuple(mine) == turn.completion.tokens
            assert mine[-1] in chat.end_ids
            assert chat.decode(mine) == turn.completion.text
        assert "<action>" in chat.decode(sample.tokens)
