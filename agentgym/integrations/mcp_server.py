"""Any tool environment as an MCP server, by the official SDK: a client of any kind plays an episode by calling tools.

    serve("tools-stateful-v0", transport="stdio")                 # or transport="http", port=8000

The server has the environment's tools and two of its own: `new_episode` begins a task and gives what the user says, and
`say` writes to the user. Every call is one turn, played exactly as in training; its reward, and at the end the success,
are in the result's metadata (`_meta`), which clients do not show to models. One server plays one episode at a time, for
the protocol has no sessions to tell clients apart: start one for each.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, Literal, cast

from agentgym import registry
from agentgym.dialects import ToolCall
from agentgym.env import EnvSpec, TextEnv
from agentgym.errors import AgentgymError, UsageError
from agentgym.integrations.mcp_client import sdk
from agentgym.serving import Door, asgi
from agentgym.tools import guard
from agentgym.types import Observation, Step

NEW, SAY = "new_episode", "say"
"""The server's own tools."""
META = "agentgym/"
"""What keys of the metadata begin with."""
OWN: dict[str, dict[str, Any]] = {
    NEW: {
        "description": "Begin a new episode and read what the user wants.",
        "inputSchema": {
            "type": "object",
            "properties": {"task": {"type": "integer", "minimum": 0, "description": "which task; by default the next"}},
        },
    },
    SAY: {
        "description": "Write a message to the user. It ends your turn.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
}


class Seat:
    """One environment and the episode that is played in it; what the server does, without the protocol."""

    def __init__(self, env: str | EnvSpec, split: str = "train", options: Mapping[str, Any] | None = None) -> None:
        """Args: `env` an id or a spec; `split` of its tasks; `options` of the environment.

        Raises:
            UsageError: there is no such environment, or it has no tasks.
        """
        found = registry.spec(env)
        self.name = found.id
        self.env: TextEnv = registry.make(found, **(options or {}))
        self.tasks = registry.tasks(found, split, **(options or {}))
        if not len(self.tasks):
            raise UsageError(f"{found.id} has no {split} tasks")
        self._most, self._next, self._turns = found.max_turns, 0, 0
        self._over = True
        self._tools: dict[str, Mapping[str, Any]] = {}
        self._lock = threading.Lock()
        self._look(self.env.reset(seed=0, options={"task": self.tasks[0]})[0])

    def tools(self) -> dict[str, Mapping[str, Any]]:
        """Schemas `{description, inputSchema}` by name: the environment's, as they are now, and the server's own.

        Raises:
            UsageError: the environment has a tool of the name of one of the server's.
        """
        twice = set(OWN) & set(self._tools)
        if twice:
            raise UsageError(f"{self.name} has a tool {min(twice)!r}, which is the server's own")
        return {**OWN, **self._tools}

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool, dict[str, Any]]:
        """One call: the text to show, whether it is an error, and the metadata. Calls wait for each other."""
        with self._lock:
            if name == NEW:
                return self._begin(arguments.get("task"))
            if self._over:
                return f"There is no episode. Call {NEW}.", True, {}
            if name == SAY:
                text = arguments.get("text")
                if not isinstance(text, str) or not text.strip():
                    return "There is nothing in the text.", True, {}
                return self._played(self.env.step(text))
            return self._played(self.env.step(ToolCall(name, dict(arguments)).canonical()))

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def _begin(self, number: Any) -> tuple[str, bool, dict[str, Any]]:
        if number is None:
            number = self._next
        if type(number) is not int or not 0 <= number < len(self.tasks):
            return f"There are tasks 0 to {len(self.tasks) - 1}.", True, {}
        self._next = (number + 1) % len(self.tasks)
        task = self.tasks[number]
        observation = self.env.reset(seed=0, options={"task": task})[0]
        self._over, self._turns = False, 0
        self._look(observation)
        parts = [task.prompt, observation.text]
        return "\n\n".join(part for part in parts if part), False, {f"{META}task": task.id}

    def _played(self, step: Step) -> tuple[str, bool, dict[str, Any]]:
        self._turns += 1
        cut = self._turns >= self._most and not step.terminated
        self._over = step.terminated or step.truncated or cut
        self._look(step.observation)
        told: dict[str, Any] = {f"{META}reward": step.reward, f"{META}over": self._over}
        for key in ("success", "outcome", "progress", "fault"):
            if key in step.info:
                told[META + key] = step.info[key]
        text = step.observation.text + ("\n\nThe episode is over: it has no more turns." if cut else "")
        return text, "fault" in step.info, told

    def _look(self, observation: Observation) -> None:
        if observation.tools is not None:
            bodies = [cast(Mapping[str, Any], schema.get("function", schema)) for schema in observation.tools]
            self._tools = {
                str(body["name"]): {
                    "description": guard(str(body.get("description") or "")),
                    "inputSchema": body.get("parameters") or {"type": "object", "properties": {}},
                }
                for body in bodies
            }


def server(seat: Seat) -> Any:
    """The SDK's server around a seat, to be run by whatever transport one likes.

    Raises:
        MissingExtraError: the SDK is not installed.
    """
    types, kind = sdk("mcp_types"), sdk("mcp.server").Server

    async def listed(context: Any, parameters: Any) -> Any:
        return types.ListToolsResult(
            tools=[
                types.Tool(name=name, description=schema["description"], input_schema=dict(schema["inputSchema"]))
                for name, schema in seat.tools().items()
            ]
        )

    async def called(context: Any, parameters: Any) -> Any:
        try:
            # A thread of its own: an environment may take its time, and the connection must stay alive.
            text, wrong, meta = await asyncio.to_thread(seat.call, parameters.name, dict(parameters.arguments or {}))
        except AgentgymError as error:
            # The world broke; which file and line it was is nobody's business at the other end.
            return types.CallToolResult(
                content=[types.TextContent(type="text", text=f"The environment is broken: {type(error).__name__}.")],
                is_error=True,
                _meta={f"{META}broken": True},
            )
        content = [types.TextContent(type="text", text=text)]
        return types.CallToolResult(content=content, is_error=wrong, _meta=meta)

    instructions = f"The environment {seat.name}. Call {NEW} first, then the tools, then {SAY}."
    return kind(seat.name, instructions=instructions, on_list_tools=listed, on_call_tool=called)


def serve(
    env: str | EnvSpec,
    *,
    split: str = "train",
    options: Mapping[str, Any] | None = None,
    transport: Literal["stdio", "http"] = "stdio",
    host: str = "127.0.0.1",
    port: int = 8000,
    door: Door | None = None,
) -> None:
    """Serve an environment until the client goes (stdio) or the process is stopped (HTTP).

    Args:
        env: an id or a spec.
        split: of its tasks.
        options: of the environment.
        transport: `stdio`, or `http` for streamable HTTP at `/mcp`.
        host: to listen on.
        port: to listen on.
        door: who comes in over HTTP; without one there is no token, and `host` must be this machine's own.

    Raises:
        MissingExtraError: the SDK is not installed.
        UsageError: no such environment, split or transport, or others than this machine reach `host` without a token.
    """
    if transport not in ("stdio", "http"):
        raise UsageError(f"transport must be stdio or http, not {transport!r}")
    door = door or (Door(None, host) if transport == "http" else None)
    seat = Seat(env, split, options)
    try:
        made = server(seat)
        asyncio.run(_stdio(made) if door is None or transport == "stdio" else _http(made, door, port))
    finally:
        seat.close()


async def _stdio(made: Any) -> None:
    async with sdk("mcp.server.stdio").stdio_server() as (reading, writing):
        await made.run(reading, writing, made.create_initialization_options())


async def _http(made: Any, door: Door, port: int) -> None:
    app = made.streamable_http_app(host=door.host)
    await sdk("uvicorn").Server(asgi.configured(app, door, port)).serve()
