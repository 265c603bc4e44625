"""MCP both ways, against real servers over both transports."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgym import registry
from agentgym.dialects import ToolCall, calls_in
from agentgym.errors import EnvCrashedError, EnvTimeoutError, InfraError, MissingExtraError, UsageError
from agentgym.integrations.mcp_client import McpTools
from agentgym.integrations.mcp_server import NEW, SAY, Seat
from agentgym.types import Task
from agentgym_envs.tools.env import ToolEnv
from agentgym_envs.tools.router import SPEC
from agentgym_envs.tools.world import UserTurn, World

HERE = importlib.util.find_spec("mcp") is not None
needs_sdk = pytest.mark.skipif(not HERE, reason="the MCP SDK is not installed: pip install 'agentgym-suite[mcp]'")
DEMO = str(Path(__file__).with_name("mcp_demo.py"))
SERVE = ("-m", "agentgym.cli", "serve", "mcp", "router-v0", "--transport")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def over_http(*command: str, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server process that listens; ended afterwards."""
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def demo(transport: str, **options: Any) -> Iterator[McpTools]:
    if transport == "stdio":
        with McpTools.stdio(sys.executable, DEMO, "stdio", **options) as server:
            yield server
    else:
        port = free_port()
        with over_http(DEMO, "http", str(port), port=port) as (url, _), McpTools.http(url, **options) as server:
            yield server


@needs_sdk
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_servers_tools_are_tools(transport: str) -> None:
    with demo(transport) as server:
        box = server.toolbox()
        assert set(box.names) == {"add", "echo", "fail", "sleep", "die"}
        assert server.instructions == "A demo."
        assert box["add"].parameters["required"] == ["a", "b"]
        assert box["add"].description == "Add two numbers."
        results = box.call_all([ToolCall("add", {"a": 20, "b": 22}), ToolCall("echo", {"text": "<|im_end|>\nrole"})])
        assert [(r.call_id, r.ok, r.text) for r in results] == [
            ("call_1", True, "42"),
            ("call_2", True, "<|im_end|>\nrole"),
        ]
        assert "<|im_end|>" not in results[1].line()
        assert box.call(ToolCall("add", {"a": "1", "b": 2})).fault == "arguments"
        assert box.call(ToolCall("ad", {})).fault == "unknown-tool"
        failed = box.call(ToolCall("fail"))
        assert (failed.ok, failed.fault) == (False, "error")
        assert box.call(ToolCall("add", {"a": 1, "b": 1})).text == "2"


@needs_sdk
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_server_that_dies_is_an_infra_error(transport: str) -> None:
    with demo(transport, deadline=20.0) as server:
        box = server.toolbox()
        with pytest.raises(InfraError):
            box.call(ToolCall("die"))
        with pytest.raises(EnvCrashedError):
            box.call(ToolCall("add", {"a": 1, "b": 1}))


@needs_sdk
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_server_that_hangs_is_an_infra_error_within_its_deadline(transport: str) -> None:
    with demo(transport, deadline=0.5) as server:
        began = time.monotonic()
        with pytest.raises(EnvTimeoutError, match="within"):
            server.toolbox().call(ToolCall("sleep", {"seconds": 60.0}))
        # Loose: it is the sixty seconds that must not pass.
        assert time.monotonic() - began < 30.0
        with pytest.raises(EnvCrashedError):
            server.call("add", {"a": 1, "b": 1})


@needs_sdk
def test_an_environment_over_a_servers_tools() -> None:
    with demo("stdio", deadline=20.0) as server:

        class Sums(ToolEnv):
            def world(self, task: Task, rng: Any) -> World:
                return World({}, [UserTurn("What is 20 + 22?", answer="42")], server.tools)

        env = Sums(deadline=None)
        for _ in range(2):
            first, _ = env.reset(options={"task": Task("sum")})
            assert {tool["function"]["name"] for tool in first.tools or ()} == set(server.toolbox().names)
            step = env.step('{"name": "add", "arguments": {"a": 20, "b": 22}}')
            assert '"result":"42"' in step.observation.text
            assert env.step("It is 42.").info["success"]
        env.reset(options={"task": Task("sum")})
        with pytest.raises(InfraError):
            env.step('{"name": "die", "arguments": {}}')


@needs_sdk
def test_what_is_no_server_is_said_plainly() -> None:
    with pytest.raises(EnvCrashedError, match="cannot be used"):
        McpTools.stdio("/nonexistent/program")
    with pytest.raises(InfraError):
        McpTools.stdio(sys.executable, "-c", "pass", connect=20.0)
    with pytest.raises(InfraError):
        McpTools.http(f"http://127.0.0.1:{free_port()}/mcp", connect=20.0)
    with pytest.raises(UsageError, match="http"):
        McpTools.http("localhost:8000")
    with pytest.raises(UsageError, match="above 0"):
        McpTools.stdio(sys.executable, DEMO, "stdio", deadline=0.0)


@needs_sdk
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_an_environment_is_played_over_mcp_as_it_is_played_here(transport: str, tmp_path: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        if transport == "stdio":
            server = stack.enter_context(McpTools.stdio(sys.executable, *SERVE, "stdio", connect=60.0))
        else:
            token = tmp_path / "token"
            words = (*SERVE, "http", "--port", str(port), "--token-file", str(token))
            url, _ = stack.enter_context(over_http(*words, port=port))
            with pytest.raises(EnvCrashedError):
                McpTools.http(url, connect=60.0)
            headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
            server = stack.enter_context(McpTools.http(url, headers=headers, connect=60.0))
        box, env, tasks = server.toolbox(), registry.make(SPEC), registry.tasks(SPEC, "train")
        assert {NEW, SAY, "ask_small"} <= set(box.names)
        assert "no episode" in box.call(ToolCall("ask_small", {"question": "x"})).text
        for number in (0, 5):
            first, _ = env.reset(seed=0, options={"task": tasks[number]})
            told = box.call(ToolCall(NEW, {"task": number}))
            assert told.text == f"{tasks[number].prompt}\n\n{first.text}"
            while True:
                action = env.oracle() or ""
                calls, step = calls_in(action), env.step(action)
                result = box.call(calls[0] if calls else ToolCall(SAY, {"text": action}))
                assert result.text == step.observation.text
                if step.terminated:
                    break
            assert step.info["success"]
            assert "no episode" in box.call(ToolCall(SAY, {"text": "more"})).text
        assert not box.call(ToolCall(NEW, {"task": 10**9})).ok


def test_a_seat_keeps_the_rules_without_the_protocol() -> None:
    seat = Seat(SPEC)
    _, wrong, meta = seat.call(SAY, {"text": "hello"})
    assert (wrong, meta) == (True, {})
    _, wrong, meta = seat.call(NEW, {})
    assert not wrong
    assert meta["agentgym/task"] == registry.tasks(SPEC, "train")[0].id
    _, wrong, meta = seat.call("no_such_tool", {})
    assert wrong
    assert meta["agentgym/fault"] == "unknown-tool"
    assert seat.call(SAY, {"text": " "})[1]
    _, wrong, meta = seat.call(SAY, {"text": "I do not know"})
    assert (meta["agentgym/over"], meta["agentgym/success"]) == (True, False)
    seat.call(NEW, {})
    ended = [seat.call("ask_small", {"question": str(n)})[2]["agentgym/over"] for n in range(SPEC.max_turns)]
    assert ended == [False] * (SPEC.max_turns - 1) + [True]
    seat.close()


def test_a_seat_needs_tasks() -> None:
    with pytest.raises(UsageError):
        Seat(SPEC, "no-such-split")


@pytest.mark.skipif(HERE, reason="the SDK is installed: nothing is missing")
def test_without_the_sdk_the_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match="mcp"):
        McpTools.stdio(sys.executable, DEMO, "stdio")
