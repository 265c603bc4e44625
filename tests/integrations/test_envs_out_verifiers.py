"""verifiers for real: its own harness plays our key-and-door against a scripted model server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentgym import make, registry

vf = pytest.importorskip("verifiers.v1", reason="verifiers is not installed: pip install verifiers")


def walkthrough(index: int) -> list[str]:
    env, moves, over = make("keydoor-v0"), list[str](), False
    env.reset(options={"task": registry.tasks("keydoor-v0")[index]})
    while not over:
        moves.append(str(env.oracle()))
        over = env.step(moves[-1]).terminated
    return moves


@pytest.fixture
def server() -> Iterator[Any]:
    """A chat server in OpenAI's streaming form that says `moves[turn]`; with no moves, it has a fault."""

    class Scripted(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.seen.append(body["messages"])
            turn = sum(m["role"] == "assistant" for m in body["messages"])
            if turn >= len(made.moves):
                self.send_error(400, "no more moves")
                return
            common = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            delta = {"role": "assistant", "content": made.moves[turn]}
            chunks = [
                {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            ]
            lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(lines)))
            self.end_headers()
            self.wfile.write(lines.encode())

    made: Any = HTTPServer(("127.0.0.1", 0), Scripted)
    made.moves, made.seen = [], []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(10)


@pytest.fixture
def play(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "worlds_of_this_test.py").write_text(
        "from agentgym.integrations.env_verifiers import AgentgymEnv, AgentgymTaskset\n"
        "__all__ = ['AgentgymEnv', 'AgentgymTaskset']\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("KEY_OF_THIS_TEST", "none")
    from verifiers.v1.runtimes import SubprocessConfig

    from agentgym.integrations import env_verifiers as ours

    def run(index: int, moves: list[str], **settings: Any) -> Any:
        server.moves = moves
        taskset = ours.AgentgymConfig(id="worlds_of_this_test", **settings)
        player = vf.AgentConfig(harness={"id": "null"}, runtime=SubprocessConfig())
        env = ours.AgentgymEnv(ours.AgentgymEnvConfig(taskset=taskset, player=player))
        url = f"http://127.0.0.1:{server.server_port}/v1"
        client = vf.EvalClientConfig(base_url=url, api_key_var="KEY_OF_THIS_TEST")
        context = vf.ModelContext(model="m", client=client, sampling=vf.SamplingConfig())

        async def episode() -> Any:
            async with env.serving():
                return await env.run_episode(list(env.taskset)[index], context)

        return asyncio.run(episode())

    return run


def test_a_walkthrough_is_scored_1_and_the_model_saw_prompt_and_rooms(play: Any, server: Any) -> None:
    episode = play(3, ["fly", *walkthrough(3)], size=5)
    assert episode.ok, episode
    trace = episode.traces[0]
    assert trace.rewards["outcome"].score == 1.0
    first = server.seen[0]
    assert first[0]["content"].startswith("find the key")
    assert server.seen[1][-1]["content"].startswith("you can not.")


def test_a_limit_ends_the_episode_without_a_reward_for_nothing(play: Any) -> None:
    episode = play(0, ["fly", "\n", "fly"], max_turns=3)
    assert episode.ok, episode
    assert episode.traces[0].rewards["outcome"].score == 0.0


def test_a_fault_of_the_provider_is_no_zero(play: Any) -> None:
    episode = play(0, ["fly"])
    assert not episode.ok
    assert "outcome" not in episode.traces[0].rewards


def test_tasks_of_the_other_split_and_wrong_names(play: Any) -> None:
    from agentgym.errors import UsageError
    from agentgym.integrations.env_verifiers import AgentgymConfig, AgentgymTaskset

    held = list(AgentgymTaskset(AgentgymConfig(split="heldout", size=2)))
    assert [task.data.id for task in held] == [t.id for t in registry.tasks("keydoor-v0", "heldout")[:2]]
    assert "answer" not in held[0].data.model_dump()
    assert held[0].data.menu == {"env": "keydoor-v0", "max_turns": None, "options": {}}
    for wrong in ({"env": "keydor-v0"}, {"split": "test"}, {"dialect": "jsn"}):
        with pytest.raises(UsageError):
            list(AgentgymTaskset(AgentgymConfig(**wrong)))
