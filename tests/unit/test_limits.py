"""Limits cut episodes, once, and hide nothing of what an environment can do."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym import make
from agentgym.errors import EpisodeOverError, UsageError
from agentgym.limits import Limits, TimeLimit, TokenLimit, TurnLimit
from agentgym.types import Ending


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def count(text):
    return len(text.split())


def play(env, action="left", most=50):
    observation, _ = env.reset(seed=0)
    steps = []
    while len(steps) < most and not (steps and (steps[-1].terminated or steps[-1].truncated)):
        steps.append(env.step(action if isinstance(action, str) else action()))
    return observation, steps


@given(st.integers(1, 30))
def test_turns(turns):
    env = TurnLimit(make("keydoor-v0"), turns)
    for _ in range(2):  # The count begins anew.
        _, steps = play(env)
        assert len(steps) == turns
        assert [s.truncated for s in steps] == [False] * (turns - 1) + [True]
        assert steps[-1].info["ending"] == Ending.OUT_OF_TURNS
        assert steps[-1].info["success"] is False
        with pytest.raises(EpisodeOverError):
            env.step("left")


@given(st.integers(1, 80))
def test_tokens(tokens):
    observation, steps = play(TokenLimit(make("keydoor-v0"), tokens, count))
    used = [count(observation.text)]
    for step in steps:
        used.append(used[-1] + 1 + count(step.observation.text))
    assert used[-1] >= tokens
    assert len(steps) == 1 or used[-2] < tokens
    assert steps[-1].info["ending"] == Ending.OUT_OF_TOKENS


def test_time():
    clock = Clock()
    env = TimeLimit(make("keydoor-v0"), 10.0, clock)

    def act():
        clock.now += 3.0
        return "left"

    for _ in range(2):
        _, steps = play(env, act)
        assert len(steps) == 4
        assert steps[-1].info["ending"] == Ending.OUT_OF_TIME


def test_a_success_on_the_last_turn_is_a_success():
    env = make("keydoor-v0")
    env.reset(seed=0)
    turns = 0
    while not env.step(env.oracle()).terminated:
        turns += 1
    limited = TurnLimit(env, turns + 1)
    _, steps = play(limited, limited.oracle)
    assert steps[-1].terminated
    assert not steps[-1].truncated
    assert steps[-1].info["success"] is True


def test_the_innermost_limit_that_is_used_up_counts():
    env = TimeLimit(TokenLimit(TurnLimit(make("keydoor-v0"), 2), 1000, count), 1e9)
    assert play(env)[1][-1].info["ending"] == Ending.OUT_OF_TURNS
    env = TurnLimit(TokenLimit(make("keydoor-v0"), 1, count), 1)
    assert play(env)[1][-1].info["ending"] == Ending.OUT_OF_TOKENS


def test_what_the_environment_can_do_shines_through():
    env = TurnLimit(TimeLimit(make("keydoor-v0"), 1e9), 9)
    env.reset(seed=0)
    saved, state = env.snapshot(), env.task
    env.step(env.oracle())
    assert env.restore(saved).state_key == env.restore(saved).state_key
    assert (env.env_spec.id, state.split) == ("keydoor-v0", "train")
    with pytest.raises(AttributeError):
        _ = env.no_such_thing


def test_wrapped_environments_can_be_copied():
    env = TurnLimit(make("keydoor-v0"), 3)
    env.reset(seed=0)
    env.env.default_tasks = None  # A closure; everything else is data.
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):  # noqa: S301
        assert [twin.step("left").truncated for _ in range(3)] == [False, False, True]


@given(st.integers(0, 9), st.integers(0, 9), st.floats(0, 9))
def test_the_record_says_which_limit(turns, tokens, seconds):
    limits = Limits(turns=5, tokens=5, seconds=5.0)
    ending = limits.exceeded(turns, tokens, seconds)
    expected = [e for e, v in zip(list(Ending)[2:5], (turns, tokens, seconds), strict=True) if v >= 5]
    assert ending == (expected[0] if expected else None)
    assert Limits().exceeded(turns, tokens, seconds) is None


@pytest.mark.parametrize("bad", [{"turns": 0}, {"tokens": -1}, {"seconds": 0.0}])
def test_limits_are_above_zero(bad):
    with pytest.raises(UsageError, match="must be above 0"):
        Limits(**bad)
