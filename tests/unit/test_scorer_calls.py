"""Scorers of tool calls: what a turn called, how right it was, and whether it was of any use."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scorer_cases import attempt, context, table_of, turn

from agentgym import registry
from agentgym.errors import CreditError
from agentgym.scorers.behaviour import Behaviour
from agentgym.scorers.calls import as_call, calls_of, words_of
from agentgym.scorers.tool_calls import ToolCalls


def call(name="open", **arguments):
    return {"name": name, "arguments": arguments}


def scored(played, calls, **options):
    working = ToolCalls(**options).open(context({"t": {} if calls is None else {"calls": calls}}))
    columns = working.score(played, table_of(played))
    assert set(columns) == ToolCalls.writes
    return columns["tool_correctness"].round(4).tolist(), columns["tool_format"].tolist()


def labelled(played, **options):
    columns = Behaviour(**options).open(context()).score(played, table_of(played))
    return columns["useful"].tolist(), columns["redundant"].tolist()


def test_calls_are_those_that_the_environment_reports():
    found = calls_of(turn('{"name": "lie", "arguments": {}}', calls=[call(drawer="a")]), "here")
    assert found == ([("open", {"drawer": "a"})], True)
    assert calls_of(turn(calls=[]), "here") == ([], True)


@pytest.mark.parametrize(
    ("text", "action", "calls", "readable"),
    [
        ('<tool_call>{"name": "open", "arguments": {"drawer": "a"}}</tool_call>', "x", 1, True),
        ('a <tool_call>{"name": "a"}</tool_call> b <tool_call>{"name": "b"}</tool_call>', "x", 2, True),
        ('I call {"name": "open", "arguments": {"drawer": "a"}}', "x", 1, True),
        ("<tool_call>{broken</tool_call>", "x", 0, False),
        ("the answer is 7", "the answer is 7", 0, True),
        ("the answer is 7", None, 0, False),
        ('{"action": "look"}', "look", 0, True),
        ("<tool_call>" * 50, None, 0, False),
    ],
)
def test_calls_are_read_from_the_text_where_the_environment_reports_none(text, action, calls, readable):
    found = calls_of(turn(text, action), "here")
    assert (len(found.calls), found.readable) == (calls, readable)


def test_entries_that_are_no_calls_are_left_out_and_make_the_turn_unreadable():
    found = calls_of(turn(calls=[call(drawer="a"), {"name": 7}, "open", {"name": "x", "arguments": []}]), "here")
    assert found == ([("open", {"drawer": "a"})], False)
    many = calls_of(turn(calls=[call()] * 100), "here")
    assert (len(many.calls), many.readable) == (32, False)
    with pytest.raises(CreditError, match="turn 3: info\\['calls'\\] must be a list"):
        calls_of(turn(calls="open"), "turn 3")


@given(st.text())
def test_any_text_can_be_read(text):
    found = calls_of(turn(text, None), "here")
    assert all(as_call({"name": name, "arguments": arguments}) for name, arguments in found.calls)


def test_a_flat_reference_is_ticked_off_call_by_call():
    reference = [call(drawer="a"), call(drawer="b"), call("answer", word="bim")]
    right = [turn(calls=[c]) for c in reference]
    assert scored([attempt(*right)], reference) == ([3.0] * 3, [1.0] * 3)
    # A wrong call is compared with what should have come, and leaves it to be made.
    astray = [right[0], turn(calls=[call(drawer="z")]), right[1], right[2]]
    assert scored([attempt(*astray)], reference)[0] == [3.0, 1.0, 3.0, 3.0]
    # Calls after all was done are too many; a turn that calls nothing while something is left misses it.
    assert scored([attempt(*right, turn(calls=[call(drawer="a")]), turn(calls=[]))], reference)[0][3:] == [-3.0, 3.0]
    assert scored([attempt(turn(calls=[]))], reference)[0] == [-3.0]
    # Several calls in one turn are compared with as many.
    assert scored([attempt(turn(calls=reference[:2]), right[2])], reference)[0] == [3.0, 3.0]


def test_a_flat_reference_for_the_episode_gives_all_turns_one_score():
    reference = [call(drawer="a"), call(drawer="b")]
    turns = [turn(calls=[c]) for c in reference]
    assert scored([attempt(*turns)], reference, flat="episode")[0] == [3.0, 3.0]
    assert scored([attempt(turns[0])], reference, flat="episode")[0] == pytest.approx([0.0])


def test_a_nested_reference_is_by_turn():
    reference = [[call(drawer="a")], []]
    played = [attempt(turn(calls=[call(drawer="a")]), turn(calls=[]), turn(calls=[call()])), attempt(broken=True)]
    assert scored(played, reference) == ([3.0, 3.0, -3.0], [1.0, 1.0, 1.0])
    assert scored([attempt(turn(calls=[]))], [])[0] == [3.0]


@pytest.mark.parametrize("calls", [None, "open", 7, [1], [call(), []], [{"arguments": {}}], {"name": "open"}])
def test_a_task_without_reference_calls_is_an_error_that_names_it(calls):
    with pytest.raises(CreditError, match=r"trajectory 'a': task 't'.*calls"):
        scored([attempt(turn(calls=[]))], calls)


def test_the_oracle_of_a_real_environment_calls_what_is_right():
    spec = registry.spec("cabinet-v0")
    tasks = registry.tasks("cabinet-v0", "train")
    env = registry.make("cabinet-v0")
    task = tasks[0]
    observation, _ = env.reset(options={"task": task}, seed=0)
    turns = []
    done = False
    while not done:
        action = env.oracle()
        step = env.step(action)
        turns.append(turn(action, action, seen=observation.text, **step.info))
        observation, done = step.observation, step.terminated or step.truncated
    env.close()
    played = [attempt(*turns, task=task.id)]
    found = ToolCalls().open(context({task.id: task.data})).score(played, table_of(played))
    assert found["tool_correctness"].tolist() == [3.0] * len(turns)
    assert labelled(played) == ([1.0] * len(turns), [0.0] * len(turns))
    assert spec.id == "cabinet-v0"


def test_a_repeated_call_is_redundant():
    queries = ["capital of France", "Capital of  france?", "capital of Spain", "capital of france"]
    played = [
        attempt(*(turn(calls=[call("search", q=q)]) for q in queries)),
        attempt(turn(calls=[call("search", q="x")])),
    ]
    assert labelled(played) == ([1.0, 0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0, 0.0])


def test_nearly_equal_is_a_parameter():
    queries = ["a b c d e f g h i j", "a b c d e f g h i k"]
    played = [attempt(*(turn(calls=[call("search", q=q)]) for q in queries))]
    assert labelled(played)[1] == [0.0, 0.0]
    assert labelled(played, similar=0.8)[1] == [0.0, 1.0]


def test_exploration_and_verification_have_limits_and_new_searches_none():
    def turns(name):
        return [turn(calls=[call(name, what=str(n))]) for n in range(6)]

    assert labelled([attempt(*turns("open"))], explorations=4)[1] == [0.0] * 4 + [1.0] * 2
    assert labelled([attempt(*turns("verify"))], verifications=2)[1] == [0.0] * 2 + [1.0] * 4
    assert labelled([attempt(*turns("search"))], explorations=0, verifications=0)[0] == [1.0] * 6


def test_turns_with_several_calls_and_with_none():
    a, b = call(drawer="a"), call(drawer="b")
    played = [attempt(turn(calls=[a]), turn(calls=[a, b]), turn(calls=[a, b]), turn(calls=[]), turn("?", None))]
    assert labelled(played) == ([1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0])


def test_text_actions_count_as_calls():
    played = [attempt(turn("open a", "open a"), turn("open b", "open b"), turn("open a", "open A"))]
    assert labelled(played) == ([1.0, 1.0, 0.0], [0.0, 0.0, 1.0])


@given(st.recursive(st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_words_of_any_arguments(value):
    name, words = words_of(("search", {"q": value}))
    assert name == "search"
    assert all(word == word.lower() and word.isalnum() for word in words)
    json.dumps(sorted(words))


@pytest.mark.parametrize("parameters", [{"similar": 0.0}, {"similar": 1.5}, {"explorations": -1}])
def test_senseless_parameters_are_refused(parameters):
    with pytest.raises(ValidationError):
        Behaviour(**parameters)
