"""Scorers that remember: tests' difficulty, visits, and the iteration; and that they go on as if never stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scorer_cases import attempt, context, table_of, turn

from agentgym import checkpoint
from agentgym.errors import CreditError, StoreError
from agentgym.scorers.schedule import Schedule
from agentgym.scorers.test_difficulty import TestDifficulty
from agentgym.scorers.visits import Visits


def results(**tests):
    return attempt(turn(tests={**dict.fromkeys(tests, False)}), turn(tests=tests))


def step(working, played):
    table = table_of(played)
    columns = working.score(played, table)
    return {name: values.tolist() for name, values in columns.items()}, working.learn(played, table)


def resumed(config, working, tmp_path):
    """A fresh one, continued by way of a checkpoint on disk."""
    tensors, meta = working.state()
    checkpoint.save(tmp_path, 1, tensors, {"state": meta})
    found = checkpoint.load_latest(tmp_path)
    other = config.open(context())
    other.load_state(found.tensors, found.meta["state"])
    return other


def test_new_tests_weigh_the_same_and_hard_ones_come_to_weigh_more():
    working = TestDifficulty().open(context())
    played = [results(easy=True, hard=False), results(easy=False, hard=True)]
    assert step(working, played)[0] == {"partial": [0.5] * 4}
    for _ in range(10):
        step(working, [results(easy=True, hard=False)])
    partial = step(working, played)[0]["partial"]
    easy, hard = partial[0], partial[2]
    assert easy < 0.2 < 0.8 < hard
    assert easy + hard == pytest.approx(1.0)


def test_the_weights_are_what_the_docstring_says():
    working = TestDifficulty(prior=2.0, power=2.0).open(context())
    _, metrics = step(working, [results(a=True, b=False)] * 3)
    assert metrics == {"pass_rate": 0.5, "results": 6.0}
    a, b = (2 / 7) ** 2, (5 / 7) ** 2
    assert step(working, [results(a=True, b=False)])[0]["partial"] == pytest.approx([a / (a + b)] * 2)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.booleans(), min_size=1), min_size=1, max_size=6))
def test_partial_is_a_share_and_whole_only_where_all_pass(batches):
    working = TestDifficulty().open(context())
    for tests in batches:
        partial = step(working, [results(**tests)])[0]["partial"][0]
        assert 0.0 <= partial <= 1.0
        assert (partial == 1.0) == all(tests.values())
        assert (partial == 0.0) == (not any(tests.values()))


def test_the_last_turn_that_reports_counts_and_tasks_are_apart():
    working = TestDifficulty().open(context())
    played = [
        attempt(turn(tests={"x": True}), turn("?", None)),
        attempt(turn("?", None), turn("?", None)),
        attempt(turn(tests={"x": False}), task="u"),
        attempt(turn(tests={"x": False}), broken=True),
    ]
    assert step(working, played)[0]["partial"] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert working.state()[1]["counts"] == {"t": {"x": [1, 1]}, "u": {"x": [0, 1]}}


@pytest.mark.parametrize("tests", [None, {}, [], "passed", {"x": 1}, {"x": None}])
def test_results_that_are_none_are_an_error(tests):
    working = TestDifficulty().open(context())
    played = [attempt(turn(tests=tests), name="bad")]
    with pytest.raises(CreditError, match="trajectory 'bad', turn 0: info\\['tests'\\]"):
        working.score(played, table_of(played))
    with pytest.raises(CreditError, match="trajectory 'a' has no test results"):
        working.score([attempt(turn())], table_of([attempt(turn())]))


def test_difficulty_goes_on_from_a_checkpoint(tmp_path):
    config = TestDifficulty(prior=0.3)
    working = config.open(context())
    step(working, [results(a=True, b=False, c=True)] * 3)
    other = resumed(config, working, tmp_path)
    played = [results(a=False, b=True, c=True), results(a=True, d=True)]
    assert step(other, played) == step(working, played)
    assert other.state() == working.state()


def test_the_state_of_other_parameters_is_refused():
    _, meta = TestDifficulty().open(context()).state()
    with pytest.raises(StoreError, match="test-difficulty"):
        TestDifficulty(power=2.0).open(context()).load_state({}, meta)
    with pytest.raises(StoreError, match="cannot be read"):
        TestDifficulty().open(context()).load_state({}, {**meta, "counts": {"t": {"x": 3}}})


def test_visits_are_those_of_earlier_iterations(tmp_path):
    working = Visits().open(context())
    played = [attempt(turn(seen="hall"), turn(seen="attic"), turn(seen="hall")), attempt(turn(seen="hall"))]
    first, metrics = step(working, played)
    assert first == {"visits": [0.0] * 4}
    assert metrics == {"states": 2.0, "new_states": 2.0}
    other = resumed(Visits(), working, tmp_path)
    more = [attempt(turn(seen="attic"), turn(seen="cellar"), turn(seen="hall")), attempt(turn(), broken=True)]
    for there in (working, other):
        found, metrics = step(there, more)
        assert found == {"visits": [1.0, 0.0, 3.0]}
        assert metrics == {"states": 3.0, "new_states": 1.0}
        assert step(there, more)[0] == {"visits": [2.0, 1.0, 4.0]}
    assert [t.tolist() for t in other.state()[0].values()] == [t.tolist() for t in working.state()[0].values()]


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8), max_size=6))
def test_visits_equal_a_plain_count(iterations):
    working, seen = Visits().open(context()), dict.fromkeys("abcdefgh", 0)
    for places in iterations:
        found, _ = step(working, [attempt(*(turn(seen=place) for place in places))])
        assert found["visits"] == [float(seen[place]) for place in places]
        for place in places:
            seen[place] += 1


def test_visits_without_turns(tmp_path):
    working = Visits().open(context())
    assert step(working, []) == ({"visits": []}, {"states": 0.0, "new_states": 0.0})
    assert step(resumed(Visits(), working, tmp_path), [attempt(turn())])[0] == {"visits": [0.0]}


def test_a_state_that_is_no_visits_is_refused():
    working = Visits().open(context())
    tensors, meta = working.state()
    with pytest.raises(StoreError, match="another scorer"):
        working.load_state(tensors, {})
    step(working, [attempt(turn(seen="a"), turn(seen="b"))])
    tensors, meta = working.state()
    with pytest.raises(StoreError, match="do not fit"):
        working.load_state({**tensors, "counts": tensors["counts"][:1]}, meta)
    with pytest.raises(StoreError, match="do not fit"):
        Visits().open(context()).load_state({**tensors, "states": tensors["states"].flip(0)}, meta)


def test_the_schedule_counts_iterations_and_goes_on(tmp_path):
    working = Schedule().open(context())
    played = [attempt(turn(), turn())]
    assert step(working, played) == ({"iteration": [0.0, 0.0]}, {"iteration": 1.0})
    assert step(working, [])[0] == {"iteration": []}
    other = resumed(Schedule(), working, tmp_path)
    assert step(other, played)[0] == step(working, played)[0] == {"iteration": [2.0, 2.0]}
    assert json.dumps(working.state()[1]) == '{"iteration": 3}'
    for wrong in ({}, {"iteration": -1}, {"iteration": "3"}, {"iteration": True}):
        with pytest.raises(StoreError, match="schedule"):
            working.load_state({}, wrong)


def test_columns_are_float64():
    played = [results(a=True)]
    for config in (TestDifficulty(), Visits(), Schedule()):
        working = config.open(context())
        for name, values in working.score(played, table_of(played)).items():
            assert name in config.written()
            assert values.dtype == np.float64
        working.close()


@pytest.mark.parametrize("parameters", [{"prior": 0.0}, {"power": -1.0}, {"power": 100.0}])
def test_senseless_parameters_are_refused(parameters):
    with pytest.raises(ValidationError):
        TestDifficulty(**parameters)
