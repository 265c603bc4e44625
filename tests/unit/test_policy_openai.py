"""The OpenAI-compatible client against a real server on the loopback address, which misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentgym.errors import PolicyError, UsageError
from agentgym.policy import Request, Sampling
from agentgym.types import Completion, Message, Observation
from agentgym_policies.openai import OpenAIPolicy

KEY = "sk-very-secret-canary"


def answer(text: str = "go north", **more: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7}}).encode()


class Server(ThreadingHTTPServer):
    """Gives the replies of `script` in order, then good answers; keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[tuple[int, bytes, dict[str, str]] | str] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        server.asked.append(json.loads(body))
        server.keys.append(self.headers.get("authorization"))
        reply = server.script.pop(0) if server.script else (200, answer(), {})
        if reply == "drop":
            self.connection.close()
            return
        if reply == "hang":
            server.released.wait(10)
            return
        status, data, headers = reply
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = Server()
    made.released = threading.Event()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.released.set()
    made.shutdown()
    thread.join()
    made.server_close()


def ask(server: Any, count: int = 1, **options: Any) -> tuple[list[Completion], OpenAIPolicy]:
    host, port = server.server_address[:2]
    policy = OpenAIPolicy("m", f"http://{host}:{port}/v1", backoff=0.01, **options)
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
