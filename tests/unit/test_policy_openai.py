"""The OpenAI-compatible client against a real server on the loopback address, which misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from http_cases import Handler, Server

from agentgym import dialects
from agentgym.errors import PolicyError, UnknownNameError, UsageError
from agentgym.policy import Request, Sampling
from agentgym.types import Completion, Message, Observation
from agentgym_policies import openai_tools
from agentgym_policies.openai import OpenAIPolicy

KEY = "sk-very-secret-canary"


def answer(text: str = "go north", **more: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}).encode()


class Scripted(Handler):
    """Gives the replies of `script` (status, body, headers) in order, then good answers; keeps the keys it saw."""

    def do_POST(self) -> None:
        self.server.asked.append(self.body())
        self.server.keys.append(self.headers.get("authorization"))
        reply = self.server.script.pop(0) if self.server.script else (200, answer(), {})
        if reply == "drop":
            self.connection.close()
        elif reply == "hang":
            self.server.released.wait(10)
        else:
            self.send(*reply)


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any
    with Server(Scripted) as made:
        made.keys = []
        yield made


def ask(server: Any, count: int = 1, **options: Any) -> tuple[list[Completion], OpenAIPolicy]:
    policy = OpenAIPolicy("m", f"{server.url}/v1", backoff=0.01, **options)
    requests = [
        Request(
            f"t{i}",
            0,
            (Message("system", "Play."), Message("user", "A room \ud800.")),
            Observation("A room."),
            i,
            Sampling(temperature=0.5, max_tokens=9, stop=("\n",)),
        )
        for i in range(count)
    ]

    async def run() -> list[Completion]:
        try:
            return await policy.complete(requests)
        finally:
            policy.close()
            await asyncio.sleep(0)

    return asyncio.run(run()), policy


def test_an_answer_and_what_was_asked(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    more = {"logprobs": {"content": [{"logprob": -0.5}, {"logprob": -1.5}]}, "token_ids": [4, 5]}
    server.script = [(200, answer("go east", **more), {})]
    (got,), _ = ask(server)
    assert (got.text, got.tokens, got.logprobs, got.prompt_tokens) == ("go east", (4, 5), (-0.5, -1.5), 7)
    asked = server.asked[0]
    assert asked["messages"][1]["content"] == "A room \ufffd."
    assert (asked["temperature"], asked["max_tokens"], asked["stop"], asked["model"]) == (0.5, 9, ["\n"], "m")
    assert server.keys == [f"Bearer {KEY}"]


def test_a_server_without_token_ids_gives_text(server: Any) -> None:
    (got,), _ = ask(server)
    assert got.text == "go north"
    assert got.tokens is None
    assert got.written == 2  # What the server counted.
    assert server.keys == [None]


@pytest.mark.parametrize(
    "trouble",
    [
        (429, b'{"error": {"message": "slow down"}}', {"retry-after": "0"}),
        (500, b"oops", {}),
        (200, b"<html>not json", {}),
        (200, b'{"choices": []}', {}),
        (200, b'{"choices": [{"message": {"content": 7}}]}', {}),
        (200, b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": [1]}}', {}),
        (200, b"[" * 100_000, {}),
        "drop",
        "hang",
    ],
    ids=["429", "500", "garbage", "no choices", "no text", "odd usage", "deep", "drop", "hang"],
)
def test_what_may_pass_is_tried_again(server: Any, trouble: Any) -> None:
    server.script = [trouble, trouble]
    (got,), policy = ask(server, timeout=0.3)
    assert got.text == "go north"
    assert policy.retries_made == 2
    assert len({a["seed"] for a in server.asked}) == 1


def test_it_gives_up_and_says_why(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script = [(503, f"key {KEY} overloaded".encode(), {})] * 3
    with pytest.raises(PolicyError, match=r"503.*overloaded.*after 3 tries") as caught:
        ask(server, retries=2)
    assert KEY not in str(caught.value)


def test_a_refusal_is_final(server: Any) -> None:
    server.script = [(404, b'{"error": {"message": "no such model m"}}', {})]
    with pytest.raises(PolicyError, match="no such model m"):
        ask(server)
    assert len(server.asked) == 1


def test_a_server_that_does_not_know_a_field_is_asked_without_it(server: Any) -> None:
    server.script = [(400, b'{"error": {"message": "unknown field return_token_ids"}}', {})]
    (got,), _ = ask(server)
    assert got.text == "go north"
    assert ["return_token_ids" in a for a in server.asked] == [True, False]
    assert all(a["logprobs"] for a in server.asked)


def test_many_at_once(server: Any) -> None:
    got, _ = ask(server, count=40, concurrency=8)
    assert len(got) == 40
    assert {a["seed"] for a in server.asked} == set(range(40))


def test_a_wrong_address_is_said_before_anything_is_sent() -> None:
    with pytest.raises(UsageError, match="base_url"):
        OpenAIPolicy("m", "localhost:8000")


def test_nobody_there() -> None:
    policy = OpenAIPolicy("m", "http://127.0.0.1:9/v1", retries=1, backoff=0.01)
    request = Request("t", 0, (Message("user", "x"),), Observation("x"), 0, Sampling())
    with pytest.raises(PolicyError, match="ConnectError"):
        asyncio.run(policy.complete([request]))


# Tools that are the server's business ---------------------------------------------------------------------------------

TOOLS = ({"type": "function", "function": {"name": "pay", "parameters": {"type": "object", "properties": {}}}},)
CHAT = ("openai", "hermes-chat", "llama3", "pythonic", "react", "xml")


def calling(*entries: Any, content: str | None = None) -> bytes:
    message = {"role": "assistant", "content": content, "tool_calls": list(entries)}
    return json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()


def call(name: Any = "pay", arguments: Any = '{"to": "ann"}', **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def play(server: Any, dialect: str, told: list[str], **options: Any) -> list[str]:
    """A conversation: what the model says to the first observation, and to each of `told` in role `tool`."""
    policy = OpenAIPolicy("m", f"{server.url}/v1", backoff=0.01, dialect=dialect, **options)
    said: list[str] = []

    async def run() -> None:
        messages = [Message("system", "Help."), Message("user", "Pay ann.")]
        seen = Observation("Pay ann.", tools=TOOLS)
        try:
            for turn, text in enumerate([*told, None]):
                request = Request("t", turn, tuple(messages), seen, turn, Sampling())
                (got,) = await policy.complete([request])
                said.append(got.text)
                if text is not None:
                    messages += [Message("assistant", got.text), Message("tool", text)]
                    seen = Observation(text, role="tool")
        finally:
            policy.forget("t")
            policy.close()
            await asyncio.sleep(0)

    asyncio.run(run())
    return said


@pytest.mark.parametrize("dialect", CHAT)
def test_calls_go_to_the_environment_and_come_back_under_their_ids(server: Any, dialect: str) -> None:
    both = calling(call(id="x1"), call("look", "{}", id="x2"), content="One moment.")
    server.script = [(200, both, {}), (200, answer("Paid."), {})]
    results = '{"id":"call_1","name":"pay","result":true}\n{"id":"call_2","name":"look","result":"a \\u003c|im_end|>"}'
    said = play(server, dialect, [results], native_tools=True)
    parsed = [dialects.get(dialect).parse(text) for text in said]
    assert [(c.name, c.arguments) for c in parsed[0].calls] == [("pay", {"to": "ann"}), ("look", {})]
    assert (parsed[1].action, parsed[1].calls) == ("Paid.", ()) or dialect == "react"
    assert [asked["tools"] for asked in server.asked] == [list(TOOLS)] * 2
    sent = server.asked[1]["messages"][2:]
    assert [m["role"] for m in sent] == ["assistant", "tool", "tool"]
    ids = [c["id"] for c in sent[0]["tool_calls"]]
    assert [json.loads(c["function"]["arguments"]) for c in sent[0]["tool_calls"]] == [{"to": "ann"}, {}]
    assert [(m["tool_call_id"], m["content"]) for m in sent[1:]] == list(zip(ids, results.split("\n"), strict=True))
    assert len(set(ids)) == 2
    if dialect == "openai":
        assert ids == ["x1", "x2"]


def test_tools_are_the_servers_business_only_where_that_was_asked_for(server: Any) -> None:
    play(server, "openai", [])
    play(server, "openai", [], native_tools=False)
    play(server, "hermes", [])
    ask(server, dialect="openai")  # An environment without tools.
    assert ["tools" in asked for asked in server.asked] == [True, False, False, False]


@pytest.mark.parametrize("dialect", [*CHAT, "hermes", "json", "plain"])
@pytest.mark.parametrize(
    "entry",
    [call(arguments="{cut"), call(arguments="[1]"), call(name=""), call(name=None), {"function": 3}, 7, {}],
    ids=["cut", "list", "no name", "null", "no function", "number", "empty"],
)
def test_a_call_that_cannot_be_read_is_a_fault_and_no_call(server: Any, dialect: str, entry: Any) -> None:
    server.script = [(200, calling(entry), {}), (200, answer("Sorry."), {})]
    said = play(server, dialect, ["format: it could not be read"], native_tools=True)
    if dialect != "plain":  # Which reads anything as a command.
        parsed = dialects.get(dialect).parse(said[0])
        assert parsed.action is None
        assert parsed.fault
    back = server.asked[1]["messages"][2:]
    assert [(m["role"], "tool_calls" in m) for m in back] == [("assistant", False), ("user", False)]


def test_missing_and_double_ids(server: Any) -> None:
    server.script = [(200, calling(call(), call(id="a"), call(id="a"), call(id=5), call(id="y" * 99)), {})]
    play(server, "openai", ['{"id":"call_2","name":"pay","result":1}\nThe shop closes soon.'])
    sent = server.asked[1]["messages"][2:]
    ids = [c["id"] for c in sent[0]["tool_calls"]]
    assert ids[1] == "a"
    assert len(set(ids)) == 5
    assert all(0 < len(name) <= 64 for name in ids)
    assert [m.get("tool_call_id") for m in sent[1:]] == [*ids, None]
    assert sent[2]["content"] == '{"id":"call_2","name":"pay","result":1}'
    assert sent[-1] == {"role": "user", "content": "The shop closes soon."}


def test_words_that_look_like_a_call_stay_words(server: Any) -> None:
    text = '{"tool_calls": [{"function": {"name": "pay", "arguments": "{}"}}]}'
    server.script = [(200, answer(text), {})]
    (said,) = play(server, "openai", [])
    parsed = dialects.get("openai").parse(said)
    assert (parsed.action, parsed.calls) == (text, ())
    told = openai_tools.conversation([Message("assistant", said)], dialects.get("openai"))
    assert told == [{"role": "assistant", "content": text}]


def test_an_answer_in_words_answers_the_first_call() -> None:
    hermes = dialects.get("hermes")
    two = '<tool_call>{"name": "a"}</tool_call><tool_call>{"name": "b"}</tool_call>'
    told = openai_tools.conversation([Message("assistant", two), Message("user", "You are late.")], hermes)
    assert [m["role"] for m in told] == ["assistant", "tool", "tool"]
    assert told[1]["content"] == "You are late."
    assert told[2]["content"] == openai_tools.ELSEWHERE
    assert [m["role"] for m in openai_tools.conversation([Message("assistant", two)], hermes)] == [
        "assistant",
        "tool",
        "tool",
    ]


def test_a_result_can_not_answer_another_call() -> None:
    told = openai_tools.answers(["x"], '{"id":"call_2","result":1}\n{"id":"call_1","result":2}\n{"id":"call_1"}')
    assert told[0] == {"role": "tool", "tool_call_id": "x", "content": '{"id":"call_1","result":2}'}
    assert told[1]["role"] == "user"
    assert len(told) == 2


def test_an_unknown_dialect_is_said_at_once() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'hermes'"):
        OpenAIPolicy("m", dialect="herms")
