"""RAPO: where a stored success goes, what it keeps of itself, and what the advantages are multiplied by."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from select_cases import BATCHES, context, played, saved_and_loaded

from agentgym.credit import TurnTable
from agentgym.errors import StoreError
from agentgym.select import Selecting
from agentgym.select.rapo import MARK, Rapo, inverse_share
from agentgym.types import Task, Trajectory

GOOD, BAD, BROKEN = (1.0, True, 2, 3), (0.0, False, 4, 2), (0.0, False, -2, 2)


def never(todo: object) -> list[Trajectory]:
    raise AssertionError("RAPO plays nothing")


def with_success(config: Rapo | None = None) -> tuple[Selecting, Trajectory]:
    """A module that has seen task `t` solved in epoch 0, and the success it has stored."""
    working = (config or Rapo()).open(context())
    batch = played({"0:t": [BAD, GOOD]})
    working.observe(batch, 0)
    return working, batch[1]


def test_a_failed_group_receives_the_stored_success_in_place_of_one_attempt() -> None:
    working, success = with_success()
    batch = played({"1:t": [BAD] * 4, "1:u": [BAD] * 4})
    found = working.extend(batch, never, 3)
    (place,) = [k for k, t in enumerate(found) if t != batch[k]]
    victim, replay = batch[place], found[place]
    assert place < 4
    assert replay == replace(success, id=victim.id + MARK, group="1:t", attempt=victim.attempt)
    assert replay.samples == success.samples
    assert len({t.id for t in found}) == len(found) == len(batch)
    assert working.metrics()["replayed"] == 1


def test_which_attempt_goes_is_drawn_by_seed_and_iteration_alone() -> None:
    working, _ = with_success()
    batch = played({"1:t": [BAD] * 8})
    places = [[t.id.endswith(MARK) for t in working.extend(batch, never, i)].index(True) for i in range(20)]
    assert places == [[t.id.endswith(MARK) for t in working.extend(batch, never, i)].index(True) for i in range(20)]
    assert len(set(places)) > 3


@pytest.mark.parametrize("members", [[BAD, GOOD], [BAD], [BAD, BROKEN], [BROKEN, BROKEN]])
def test_groups_that_are_left_alone(members) -> None:
    """One success, a single member, one that is left after infra errors, none that is."""
    working, _ = with_success()
    batch = played({"1:t": members})
    assert working.extend(batch, never, 0) == batch


def test_an_attempt_that_met_an_infra_error_keeps_its_place() -> None:
    working, _ = with_success()
    batch = played({"1:t": [BROKEN, BAD, BROKEN, BAD]})
    for i in range(8):
        found = working.extend(batch, never, i)
        assert [found[0], found[2]] == [batch[0], batch[2]]
        assert sum(t.success for t in found) == 1


def test_the_newest_success_counts_and_neither_failures_nor_tokenless_ones_do() -> None:
    working, _ = with_success()
    newer = played({"1:t": [(1.0, True, 3, 1), (1.0, True, 1, 1), BAD]})
    working.observe(newer, 0)
    working.observe([replace(t, samples=()) for t in played({"2:t": [GOOD, GOOD]})], 0)
    working.observe(played({"3:t": [BAD, BROKEN]}), 0)
    (replay,) = [t for t in working.extend(played({"4:t": [BAD, BAD]}), never, 0) if t.success]
    assert replay.turns == newer[1].turns


def test_capacity_drops_what_was_stored_longest_ago() -> None:
    working = Rapo(capacity=2).open(context())
    for task in ("a", "b", "a", "c"):
        working.observe(played({f"0:{task}": [GOOD, BAD]}), 0)
    batch = played({f"1:{task}": [BAD, BAD] for task in "abc"})
    assert {t.task_id for t in working.extend(batch, never, 0) if t.success} == {"a", "c"}
    assert working.metrics()["stored"] == 2


@given(BATCHES, BATCHES)
def test_extending_and_checkpoints(first: list[Trajectory], second: list[Trajectory]) -> None:
    """Whatever the groups: nothing but failed groups changes, ids stay unique, a checkpoint changes nothing."""
    first = [replace(t, id="f" + t.id, group="f" + t.group) for t in first]
    working = Rapo().open(context())
    working.observe(first, 0)
    again = saved_and_loaded(working, Rapo().open(context()))
    found = working.extend(second, never, 5)
    assert found == again.extend(second, never, 5)
    assert working.state() == again.state()
    assert len({t.id for t in found}) == len(found) == len(second)
    solved = {t.task_id for t in first if t.trainable and t.success and t.samples}
    for group in {t.group for t in second}:
        before = [t for t in second if t.group == group]
        after = [t for t in found if t.group == group]
        counted = [t for t in before if t.trainable]
        wins = sum(t.success for t in counted)
        replayed = len(counted) > 1 and not wins and before[0].task_id in solved
        assert sum(t.success for t in after if t.trainable) == wins + replayed
        assert sum(a != b for a, b in zip(before, after, strict=True)) == replayed


@given(BATCHES)
def test_scale_is_groups_over_informative_groups(batch: list[Trajectory]) -> None:
    scores: dict[str, set[float]] = {}
    for t in batch:
        if t.trainable:
            scores.setdefault(t.group, set()).add(t.score)
    good = sum(len(seen) > 1 for seen in scores.values())
    table = TurnTable.from_trajectories(batch)
    expected = len(scores) / good if good else 1.0
    assert inverse_share(table) == expected
    assert math.isfinite(expected)
    assert Rapo(scaling="none").open(context()).scale(table, table) == 1.0


def test_pruning_is_that_of_the_curriculum_and_can_be_left_out() -> None:
    for prune in (True, False):
        working = Rapo(prune=prune).open(context())
        working.observe(played({"0:t": [GOOD] * 9 + [BAD]}), 2)
        assert [working.wants(Task("t"), epoch) for epoch in range(5)] == [True, True, True, not prune, True]


def test_a_damaged_state_is_refused() -> None:
    working, _ = with_success()
    state = json.loads(json.dumps(working.state()))
    with pytest.raises(StoreError, match="no texts by task"):
        Rapo().open(context()).load_state({**state, "stored": [1]})
    with pytest.raises(StoreError, match="state of Rapo"):
        Rapo(prune=False).open(context()).load_state(state)
