"""Which tasks are drawn: in the seeded order, without those that nobody wants, and never for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from select_cases import context, played, saved_and_loaded

from agentgym import checkpoint
from agentgym.errors import StoreError
from agentgym.progress import Silent
from agentgym.recipe import Recipe
from agentgym.select import Selecting
from agentgym.select.curriculum import Curriculum
from agentgym.session import Session
from agentgym.store import RunFolder
from agentgym.train import draw_tasks
from agentgym.types import Task

ALL, NONE = [(1.0, True, 1, 1)] * 10, [(0.0, False, 1, 1)] * 10
NINE, EIGHT = [*ALL[:9], *NONE[:1]], [*ALL[:8], *NONE[:2]]


class Wanting(Selecting):
    """Wants what a rule says."""

    def __init__(self, rule: Callable[[str, int], bool]) -> None:
        self.rule = rule

    def wants(self, task: Task, epoch: int) -> bool:
        return self.rule(task.id, epoch)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A real session that is not entered: tasks and recipe, no model."""
    recipe = Recipe.model_validate(
        {
            "env": {"id": "keydoor-v0", "options": {"rooms": 3}},
            "trainer": {"tasks": 4},
            "credit": [{"use": "grpo"}],
            "eval": {"tasks": 0},
        }
    )
    with RunFolder.create("x", root=tmp_path_factory.mktemp("runs")) as run:
        yield Session(recipe, run, Silent())


def draw(session: Session, draws: int, *rules: Callable[[str, int], bool], count: int = 4) -> list[tuple[str, int]]:
    """What that many draws give from the start, with the rules as modules."""
    session.skipped = 0
    session.selecting = [(str(n), Wanting(rule)) for n, rule in enumerate(rules)]
    return [(d.task.id, d.epoch) for n in range(draws) for d in draw_tasks(session, n, count)]


def test_without_modules_every_epoch_has_every_task_once(session: Session) -> None:
    size = len(session.tasks)
    drawn = draw(session, size)
    assert session.skipped == 0
    for epoch in range(4):
        assert sorted(task for task, e in drawn if e == epoch) == sorted(t.id for t in session.tasks)
    assert [t for t, e in drawn if e == 0] != [t for t, e in drawn if e == 1]


@given(st.sets(st.integers(0, 14)), st.sets(st.integers(0, 14)), st.integers(1, 6))
def test_what_is_not_wanted_is_passed_over_and_the_order_stays(
    session: Session, left_out: set[int], more: set[int], draws: int
) -> None:
    ids = [t.id for t in session.tasks]
    unwanted, others = ({ids[i] for i in chosen if i < len(ids)} for chosen in (left_out, more))
    drawn = draw(session, draws, lambda task, _: task not in unwanted, lambda task, _: task not in others)
    assert len(drawn) == 4 * draws
    skipped = session.skipped
    plain = draw(session, (draws + 1) * len(ids))
    vetoed = unwanted | others
    if len(vetoed) == len(ids):
        assert drawn == plain[: len(drawn)]
        assert skipped == 0
    else:
        assert drawn == [d for d in plain if d[0] not in vetoed][: len(drawn)]
        assert skipped >= sum(d[0] in vetoed for d in plain[: plain.index(drawn[-1])])


def test_in_an_epoch_that_nobody_wants_all_is_played_and_counted(session: Session) -> None:
    size = len(session.tasks)
    session.skipped = 0
    session.selecting = [("x", Wanting(lambda _, epoch: epoch == 1))]
    drawn = draw_tasks(session, 0, 3 * size)
    assert [d.wanted for d in drawn] == [False] * size + [True] * size + [False] * size
    assert session.skipped == 0


def test_a_draw_goes_on_from_the_count_that_a_checkpoint_has(session: Session) -> None:
    rule = Wanting(lambda task, _: hash_free(task) % 3 != 0)
    session.skipped, session.selecting = 0, [("x", rule)]
    first = [draw_tasks(session, n, 4) for n in range(3)]
    at = session.skipped
    rest = [draw_tasks(session, n, 4) for n in range(3, 6)]
    session.skipped = at
    assert [draw_tasks(session, n, 4) for n in range(3, 6)] == rest
    assert at > 0
    assert first != rest


def hash_free(task: str) -> int:
    return sum(map(ord, task))


# Curriculum ---------------------------------------------------------------------------------------------------------


def wanted(working: Selecting, task: str, epochs: int = 5) -> list[bool]:
    return [working.wants(Task(task), epoch) for epoch in range(epochs)]


@pytest.mark.parametrize(
    ("group", "rest", "expected"),
    [
        (NINE, 1, [True, True, False, True, True]),
        (NINE, 2, [True, True, False, False, True]),
        (NINE, 0, [True, True, False, False, False]),
        (EIGHT, 1, [True] * 5),
        (NONE, 1, [True] * 5),
    ],
)
def test_a_solved_task_rests_after_the_epoch_it_was_drawn_in(group, rest, expected) -> None:
    working = Curriculum(rest=rest).open(context())
    working.observe(played({"g": group}, task="t"), 1)
    assert wanted(working, "t") == expected
    assert wanted(working, "other") == [True] * 5


def test_what_is_solved_again_rests_again_and_what_is_not_comes_back() -> None:
    working = Curriculum(rest=0).open(context())
    working.observe(played({"g": ALL}, task="t"), 0)
    assert working.metrics() == {"solved_tasks": 1.0}
    working.observe(played({"g": NONE}, task="t"), 3)
    assert wanted(working, "t") == [True] * 5
    assert working.metrics() == {"solved_tasks": 0.0}


def test_infra_errors_are_neither_solved_nor_failed() -> None:
    broken = [(1.0, True, -1, 1)] * 9
    working = Curriculum().open(context())
    working.observe(played({"g": broken}, task="t"), 0)
    assert wanted(working, "t") == [True] * 5
    working.observe(played({"g": [*broken, (1.0, True, 1, 1)]}, task="t"), 0)  # The one that counts succeeded.
    assert wanted(working, "t")[1] is False
    working.observe(played({"g": broken}, task="t"), 1)
    assert wanted(working, "t")[1] is False


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([ALL, NINE, NONE]), st.integers(0, 4)), max_size=8))
def test_a_checkpoint_changes_nothing(visits) -> None:
    working, again = Curriculum().open(context()), Curriculum().open(context())
    for task, group, epoch in visits:
        for one in (working, again):
            one.observe(played({"g": group}, task=task), epoch)
        again = saved_and_loaded(again, Curriculum().open(context()))
        assert [wanted(again, name) for name in "abc"] == [wanted(working, name) for name in "abc"]


def test_a_damaged_state_is_refused() -> None:
    state = json.loads(json.dumps(Curriculum().open(context()).state()))
    with pytest.raises(StoreError, match="no epochs by task"):
        Curriculum().open(context()).load_state({**state, "epochs": {"t": "often"}})
    with pytest.raises(StoreError, match="continue with the recipe"):
        Curriculum(rest=3).open(context()).load_state(state)


def test_the_position_is_in_the_checkpoint(session: Session, tmp_path: Path) -> None:
    tiny = {"model": {"ref": "scratch:tiny?hidden=32&layers=1"}}
    recipe = Recipe.model_validate(session.recipe.model_dump(mode="json") | tiny)
    with RunFolder.create("y", root=tmp_path) as run, Session(recipe, run, Silent()) as one:
        one.skipped = 7
        one.save(1)
        found = checkpoint.load_latest(run.checkpoints)
        assert found is not None
        assert found.meta["skipped"] == 7
        one.skipped = 0
        assert one.restore() == 1
        assert one.skipped == 7
