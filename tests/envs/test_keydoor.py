"""Key and door: small enough to be known by heart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym import make
from agentgym.check import check
from agentgym.errors import UsageError
from agentgym.registry import spec, tasks
from agentgym.types import Task

ACTIONS = ("left", "right", "take", "open")


def test_it_keeps_every_rule():
    findings = check("keydoor-v0")
    assert [(f.name, f.detail) for f in findings if not f.ok] == []
    assert len(findings) == 18


@pytest.mark.parametrize("rooms", [3, 8, 12])
def test_it_keeps_every_rule_at_other_sizes(rooms):
    findings = check("keydoor-v0", quick=True, options={"rooms": rooms})
    wrong = {f.name for f in findings if not f.ok}
    assert wrong <= ({"oracle"} if rooms > 4 else set()), findings  # A long row takes more turns than the default.


@pytest.mark.parametrize("rooms", [3, 4, 7, 12])
def test_splits_hold_every_placing_once(rooms):
    both = [*tasks("keydoor-v0", "train", rooms=rooms), *tasks("keydoor-v0", "heldout", rooms=rooms)]
    assert len(both) == rooms * rooms * (rooms - 1)
    assert len({t.id for t in both}) == len({json.dumps(dict(t.data)) for t in both}) == len(both)
    assert all(t.data["key"] != t.data["door"] for t in both)


def test_a_whole_game():
    env = make("keydoor-v0")
    task = Task("t", data={"rooms": 4, "at": 1, "key": 0, "door": 2})
    seen = [env.reset(seed=0, options={"task": task})[0]]
    for action in ("open", "left", "take", "right", "right", " OPEN "):
        seen.append((step := env.step(action)).observation)
    assert [o.text for o in seen] == [
        "room 1",
        "you can not. room 1",
        "room 0, key",
        "room 0, you hold the key",
        "room 1, you hold the key",
        "room 2, door, you hold the key",
        "the door is open. room 2, door, you hold the key",
    ]
    assert [o.state for o in seen[:4]] == ["4,1,0,2", "4,1,0,2", "4,0,0,2", "4,0,-1,2"]
    assert seen[5].actions == ("left", "open", "right")
    assert (step.reward, step.terminated, step.info) == (1.0, True, {"success": True, "progress": 1.0})


@given(st.sampled_from(list(tasks("keydoor-v0", rooms=5))), st.lists(st.sampled_from(ACTIONS), max_size=30))
def test_from_anywhere_the_oracle_takes_the_shortest_way(task, actions):
    env = make("keydoor-v0", rooms=5)
    observation, _ = env.reset(seed=0, options={"task": task})
    for action in actions:
        step = env.step(action)
        assert (step.info.get("fault") is None) == (action in observation.actions)
        assert len(step.observation.text) <= 60
        observation = step.observation
        if step.terminated:
            return
    _, at, key, door = map(int, observation.state.split(","))
    shortest = (abs(at - key) + 1 + abs(key - door) if key >= 0 else abs(at - door)) + 1
    for turn in range(shortest):
        step = env.step(env.oracle())
        assert step.terminated == (turn == shortest - 1)
    assert step.reward == 1.0


@pytest.mark.parametrize("data", [{}, {"rooms": 4, "at": 0, "key": 1}, {"rooms": "x", "at": 0, "key": 1, "door": 2}])
def test_a_task_of_something_else_is_refused(data):
    with pytest.raises(UsageError, match="not of keydoor: it needs rooms, at, key, door"):
        make("keydoor-v0").reset(options={"task": Task("t", data=data)})


def test_two_rooms_are_too_few():
    with pytest.raises(UsageError, match="at least 3 rooms"):
        tasks("keydoor-v0", rooms=2)


def test_the_oracle_has_turns_enough_by_default():
    assert spec("keydoor-v0").max_turns >= 3 + 3 + 2
