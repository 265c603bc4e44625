"""Lock grid: any map can be solved from any state, one hand carries one key, and the view is what it says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import make
from agentgym.check import check
from agentgym.errors import UsageError
from agentgym.registry import tasks
from agentgym.types import Task

SMALL = Task("small", data={"rows": ["########", "#@ab B$#", "########"]})
ACTIONS = ("north", "south", "west", "east", "take", "open")


def test_it_keeps_every_rule() -> None:
    findings = check("lockgrid-v0", quick=True)
    assert [(f.name, f.detail) for f in findings if not f.ok] == []
    assert len(findings) == 18


def test_a_whole_game_with_a_wrong_key() -> None:
    env = make("lockgrid-v0", view=1)
    first, _ = env.reset(options={"task": SMALL})
    assert first.text == "###\n#@a\n###\nyou hold nothing"
    said = [env.step(a).observation.text.split("\n")[-1] for a in ("east", "take", "east", "take", "west", "east")]
    assert said == [
        "key a lies here, you hold nothing",
        "you hold key a",
        "key b lies here, you hold key a",
        "key a lies here, you hold key b",
        "you hold key b",
        "key a lies here, you hold key b",
    ]
    assert env.step("open").info["fault"] == "invalid"  # The door is not beside.
    env.step("east")
    opened = env.step("open")
    assert opened.info["progress"] == 0.5
    assert opened.observation.text.endswith("you hold nothing")
    env.step("east")
    won = env.step("EAST ")
    assert (won.reward, won.info) == (1.0, {"success": True, "progress": 1.0})


def test_the_whole_map_is_shown_where_it_is_asked_for() -> None:
    first, _ = make("lockgrid-v0", view=0).reset(options={"task": SMALL})
    assert first.text == "########\n#@ab.B$#\n########\nyou hold nothing"


@given(
    st.integers(0, 199),
    st.sampled_from([(1, 2), (2, 3), (4, 2), (5, 4)]),
    st.lists(st.sampled_from(ACTIONS), max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_from_anywhere_the_oracle_solves_it(index: int, size: tuple[int, int], actions: list[str]) -> None:
    doors, side = size
    env = make("lockgrid-v0", doors=doors, side=side)
    observation, _ = env.reset(options={"task": tasks("lockgrid-v0", doors=doors, side=side)[index]})
    for action in actions:
        step = env.step(action)
        assert ("fault" in step.info) == (action not in (observation.actions or ()))
        observation = step.observation
        if step.terminated:
            return
    progress = 0.0
    for _ in range(4 * (doors + 1) * (side + 1) * (doors + 1)):
        step = env.step(env.oracle() or "no way")
        assert "fault" not in step.info
        assert step.info["progress"] >= progress
        progress = step.info["progress"]
        if step.terminated:
            break
    assert step.reward == 1.0


def test_splits_share_no_map() -> None:
    train, heldout = ({str(t.data["rows"]) for t in tasks("lockgrid-v0", split)} for split in ("train", "heldout"))
    assert not train & heldout
    assert len(train) > 990


@pytest.mark.parametrize("rows", [None, ["##", "#"], ["####", "#@ #", "####"], ["#####", "#@A$#", "#####"]])
def test_what_is_no_map_is_refused(rows: object) -> None:
    with pytest.raises(UsageError, match=r"of lockgrid|a map needs"):
        make("lockgrid-v0").reset(options={"task": Task("t", data={"rows": rows})})


def test_numbers_out_of_range_are_refused() -> None:
    for options in ({"doors": 0}, {"doors": 6}, {"side": 1}):
        with pytest.raises(UsageError, match="1 to 5 doors"):
            tasks("lockgrid-v0", **options)
    with pytest.raises(UsageError, match="view must be 0"):
        make("lockgrid-v0", view=-1)
