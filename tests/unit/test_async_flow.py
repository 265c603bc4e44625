"""What is played ahead, what comes too late, and that nothing is lost or learnt from twice."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from async_cases import Sleeper, drawn, flow, setter
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.asynchrony import Batch, Drawn, Flow
from agentgym.asynchrony.staleness import Versions, token_versions
from agentgym.errors import StoreError
from agentgym.types import Completion, Ending, Observation, Task, Trajectory, Turn


def learn(f: Flow, policy: Sleeper, version: int) -> None:
    f.player.swap(setter(policy, version))
    f.published(version)


def run(f: Flow, policy: Sleeper, iterations: int, tasks: int, first: int = 0) -> list[Batch]:
    found: list[Batch] = []
    for i in range(first, iterations):
        found.append(f.batch(drawn, (iterations - i) * tasks))
        learn(f, policy, i + 1)
        f.order(drawn, (iterations - i - 1) * tasks)
    return found


def places(batches: list[Batch]) -> list[int]:
    return sorted(order.place for batch in batches for order, _ in batch.seen)


@settings(max_examples=25, deadline=None)
@given(
    staleness=st.integers(1, 3),
    queue=st.integers(0, 5),
    tasks=st.integers(1, 3),
    iterations=st.integers(1, 5),
    slow=st.lists(st.integers(0, 4), min_size=1, max_size=6),
)
def test_every_group_is_learnt_from_once_and_in_time(
    staleness: int, queue: int, tasks: int, iterations: int, slow: list[int]
) -> None:
    policy = Sleeper(lambda r: 0.002 * slow[int(r.trajectory.split(".")[0]) % len(slow)])
    f = flow(policy, staleness, queue, tasks)
    try:
        batches = run(f, policy, iterations, tasks)
    finally:
        f.player.close()
    assert places(batches) == list(range(iterations * tasks))
    assert all(len(batch.groups) == tasks for batch in batches)
    assert all(batch.metrics["async/staleness_max"] <= staleness for batch in batches)
    assert policy.torn == 0
    ids = [t.id for batch in batches for group in batch.groups for t in group]
    assert len(set(ids)) == len(ids)


def test_no_more_is_ordered_than_can_be_in_time_or_than_the_queue_holds() -> None:
    policy = Sleeper(lambda _: 0.0)
    for staleness, queue, expected in ((1, 0, 4), (2, 0, 6), (2, 3, 3), (1, 9, 4)):
        f = flow(policy, staleness, queue, tasks=2)
        f.order(drawn, 100)
        assert len(f.state()["orders"]) == expected
        f.player.pause()
        f.order(drawn, 100)
        assert len(f.state()["orders"]) == expected, "finished groups that nobody takes hold back the others"
        f.batch(drawn, 100)
        # Two are taken and not learnt from yet: they count, so nothing can get older than the bound.
        assert len(f.state()["orders"]) == min(queue or 99, (staleness + 1) * 2 - 2)
        f.player.close()


def test_a_run_plays_no_more_than_it_needs() -> None:
    f = flow(Sleeper(), staleness=3, tasks=2)
    f.order(drawn, 3)
    assert [order["place"] for order in f.state()["orders"]] == [0, 1, 2]
    f.player.close()


def test_a_group_that_comes_too_late_is_dropped_counted_and_played_anew() -> None:
    policy, held = Sleeper(), threading.Event()

    def draw(place: int) -> Drawn:
        return Drawn(Task("slow", data={"held": held, "turns": 2}), 0, True) if place == 1 else drawn(place)

    f = flow(policy, staleness=1, tasks=1)
    batches = list[Batch]()
    for i in range(8):
        batches.append(f.batch(draw, 100))  # Place 1 is overtaken again and again.
        learn(f, policy, i + 1)
        if i == 3:
            held.set()
        if i >= 3:
            f.player.pause()
    f.player.close()
    dropped = sum(batch.metrics["async/dropped_groups"] for batch in batches)
    assert dropped == 1
    again = [(order, group) for batch in batches for order, group in batch.seen if order.place == 1]
    assert [order.again for order, _ in again] == [1]
    assert all(t.id.startswith("1.1:slow#") for t in again[0][1]), "the same task, with ids and seeds of its own"
    assert all(batch.metrics["async/staleness_max"] <= 1 for batch in batches)


def test_flat_groups_are_replaced_as_often_as_asked() -> None:
    f = flow(Sleeper(), tasks=3)
    batch = f.batch(drawn, 100, replace_flat=2, flat=lambda _: True)
    f.player.close()
    assert len(batch.groups) == 3
    assert len(batch.seen) == 5


def test_what_was_in_flight_is_played_again_after_a_kill() -> None:
    policy = Sleeper(lambda _: 0.001)
    f = flow(policy, staleness=2, tasks=2)
    before = run(f, policy, 6, 2)[:3]
    f.player.close()

    f = flow(policy, staleness=2, tasks=2)
    first = [f.batch(drawn, (6 - i) * 2) for i in range(1)]
    learn(f, policy, 1)
    f.order(drawn, 10)
    state = json.loads(json.dumps(f.state()))
    f.player.close()  # Killed here: four groups are on their way.

    policy.version = 1
    g = flow(policy, staleness=2, tasks=2)
    g.load_state(state, [drawn(p).task for p in range(20)])
    learn(g, policy, 1)
    rest = run(g, policy, 6, 2, first=1)
    g.player.close()
    assert places(first + rest) == list(range(12)), "nothing lost, nothing doubled"
    seeds = {t.id: t.seed for batch in first + rest for group in batch.groups for t in group}
    known = {t.id: t.seed for batch in before for group in batch.groups for t in group}
    assert {name: seeds[name] for name in known} == known


def test_a_state_that_does_not_fit_is_refused() -> None:
    f = flow(Sleeper())
    order = {"place": 0, "again": 0, "task": "gone", "epoch": 0, "wanted": True}
    with pytest.raises(StoreError, match="'gone' in flight"):
        f.load_state({"next": 1, "orders": [order]}, [drawn(0).task])
    with pytest.raises(StoreError, match="cannot be read"):
        f.load_state({"next": 1, "orders": [{"place": 0, "task": "t0"}]}, [drawn(0).task])
    with pytest.raises(StoreError, match="cannot be read"):
        f.load_state({"orders": []}, [])
    f.player.close()


# How old a token is ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.lists(st.integers(0, 11), max_size=12))
def test_age_is_the_number_of_newer_versions_that_were_published(steps: list[int], picked: list[int]) -> None:
    versions, known = Versions(), list[int]()
    for version in np.cumsum(steps):
        versions.publish(int(version))
        if int(version) not in known:
            known.append(int(version))
    asked = np.array([known[k % len(known)] for k in picked], dtype=np.int64)
    assert versions.behind(asked).tolist() == [sum(other > v for other in known) for v in asked]


def trajectory(*completions: Completion, ending: Ending = Ending.FAILURE) -> Trajectory:
    turns = tuple(Turn(Observation("o"), c, "a") for c in completions)
    return Trajectory("t", "e", "k", "g", 0, 0, turns, ending)


def test_every_token_has_its_own_version() -> None:
    mixed = Completion("ab", (1, 2, 3), version=4, versions=(4, 4, 6))
    plain = Completion("c", (9,), version=6)
    assert token_versions([trajectory(mixed, plain)]).tolist() == [4, 4, 6, 6]


def test_what_is_never_trained_on_has_no_age() -> None:
    lost = trajectory(Completion("a", (1,), version=0), ending=Ending.INFRA_ERROR)
    assert token_versions([lost, replace(lost, turns=()), trajectory(Completion("words"))]).tolist() == []
    assert Versions().behind(token_versions([lost])).tolist() == []
