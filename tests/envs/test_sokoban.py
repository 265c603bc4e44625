"""Sokoban: levels that can be solved, moves that push and never pull, an oracle that knows when all is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import make
from agentgym.check import check
from agentgym.errors import UsageError
from agentgym.registry import tasks
from agentgym.types import Task

SIZES = ("tiny", "small", "medium", "large")
LINE = Task("line", data={"rows": ["#######", "#@ $. #", "#######"]})


def test_it_keeps_every_rule() -> None:
    findings = check("sokoban-v0", quick=True)
    assert [(f.name, f.detail) for f in findings if not f.ok] == []
    assert len(findings) == 18


@pytest.mark.parametrize("size", SIZES)
def test_the_oracle_solves_levels_of_every_size_within_the_turns_there_are(size: str) -> None:
    env = make("sokoban-v0", size=size)
    for split in ("train", "heldout"):
        for task in tasks("sokoban-v0", split, size=size)[:12]:
            env.reset(options={"task": task})
            for _ in range(60):
                step = env.step(env.oracle() or "no way")
                assert "fault" not in step.info
                if step.terminated:
                    break
            assert step.info["success"], task.id


@pytest.mark.parametrize("size", SIZES)
def test_no_level_is_in_both_splits(size: str) -> None:
    train, heldout = (
        {str(t.data["rows"]) for t in tasks("sokoban-v0", s, size=size)[:150]} for s in ("train", "heldout")
    )
    assert not train & heldout
    assert len(train) > (45 if size == "tiny" else 145)


def test_a_whole_game() -> None:
    env = make("sokoban-v0")
    seen = [env.reset(options={"task": LINE})[0]]
    for action in ("left", "right", " RIGHT "):
        seen.append((step := env.step(action)).observation)
    assert [o.text.split("\n")[-2] for o in seen] == ["#@ $. #", "#@ $. #", "# @$. #", "#  @* #"]
    assert seen[1].text.startswith("you can not.")
    assert seen[0].state == seen[1].state
    assert (step.reward, step.info) == (1.0, {"success": True, "progress": 1.0})


def test_a_box_in_a_corner_is_lost_and_the_oracle_says_so() -> None:
    env = make("sokoban-v0")
    env.reset(options={"task": Task("t", data={"rows": ["######", "#   .#", "# $  #", "# @  #", "######"]})})
    assert env.oracle() is not None
    for action in ("right", "up", "left"):
        env.step(action)
    assert env.oracle() is None  # At the left wall, and the goal is at the right one.
    assert env.step("left").info["fault"] == "invalid"


@given(st.integers(0, 99), st.lists(st.sampled_from(("up", "down", "left", "right", "pull")), max_size=40))
@settings(max_examples=60, deadline=None)
def test_boxes_stay_and_only_possible_moves_change_anything(index: int, actions: list[str]) -> None:
    env = make("sokoban-v0", size="medium")
    before, _ = env.reset(options={"task": tasks("sokoban-v0", size="medium")[index]})
    boxes = 2
    for action in actions:
        step = env.step(action)
        after = step.observation
        assert ("fault" in step.info) == (action not in (before.actions or ())) == (after.state == before.state)
        text = after.state or ""
        assert sum(text.count(mark) for mark in "$*") == boxes == sum(text.count(mark) for mark in ".*+")
        assert text.count("@") + text.count("+") == 1
        before = after
        if step.terminated:
            break


@pytest.mark.parametrize(
    "rows", [None, [], ["####", "#@#"], ["####", "#@.#", "####"], ["#####", "#@* #", "#####"], ["@$."]]
)
def test_what_is_no_level_is_refused(rows: object) -> None:
    with pytest.raises(UsageError, match=r"of sokoban|a level has"):
        make("sokoban-v0").reset(options={"task": Task("t", data={"rows": rows})})


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(UsageError, match="tiny, small, medium, large"):
        tasks("sokoban-v0", size="huge")
