"""The game: a user asks, an MCP server has the tools; the answer, the calls, or both decide.

The server is somebody else's: what it remembers cannot be looked at, compared or taken back. So nothing is rehearsed on
it, the state of the episode is what was called and what came back, and an episode is right if

- the message that ends it has the task's answer (`contains`), or is it (`exact`), where the task has one;
- every call of the task's was made, with the same arguments, and succeeded, where the task has some.

A server that is started by a command is a new process for every episode, which ends with it; one at an address is
connected to for each. What tools there are is asked once; later episodes connect when they call the first one. A server
that dies, hangs or talks nonsense is an infra error.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.dialects import ToolCall
from agentgym.errors import UsageError
from agentgym.secrets import find
from agentgym.tools import Show, Tool, ToolError
from agentgym.tools.toolbox import CAP
from agentgym.types import Observation, Step, Task
from agentgym_envs.tools import rewards
from agentgym_envs.tools.env import ToolEnv, has
from agentgym_envs.tools.world import UserTurn, World

CONNECT = 60.0
"""Most seconds until a server is there, unless told otherwise."""
DEADLINE = 30.0
"""Most seconds of a call, unless told otherwise."""


class Record:
    """What was called and what came back: all that is known of the server's state."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any], Any]] = []


class Mcp(ToolEnv):
    """The tools of an MCP server; a message ends the episode."""

    def __init__(
        self,
        server: str = "",
        only: Sequence[str] | None = None,
        connect: float = CONNECT,
        deadline: float = DEADLINE,
        show: Show = "signatures",
        cap: int = CAP,
        token_env: str = "",
        token_file: str = "",
        pass_env: Sequence[str] = (),
    ) -> None:
        """Make one.

        Args:
            server: its address (`http://...`), or the command that starts it, in the words of a shell, though no shell
                is run; empty for the built-in library.
            only: names of the tools to offer; all where not given.
            connect: most seconds until the server is there.
            deadline: most seconds of a call; a server that takes longer is an infra error.
            show: as in `ToolEnv`.
            cap: as in `ToolEnv`.
            token_env: name of the environment variable that has the token of a server at an address.
            token_file: file that has it.
            pass_env: names of the environment variables that a server which is started here gets, its keys for example.

        Raises:
            UsageError: a command that cannot be split into words, a number that cannot be, a variable that is not set.
        """
        if connect <= 0 or deadline <= 0:
            raise UsageError(f"connect and deadline must be above 0, not {connect} and {deadline}")
        # The connection has its own deadline, which ends in an infra error.
        super().__init__(show=show, deadline=None, cap=cap)
        self._address = server if server.startswith(("http://", "https://")) else ""
        self._command = [] if self._address else command(server)
        self._only = None if only is None else tuple(only)
        self._limits: dict[str, Any] = {"connect": connect, "deadline": deadline}
        token = find(token_env, token_file, "MCP server's token")
        if self._address and token is not None:
            self._limits["headers"] = {"Authorization": f"Bearer {token.reveal()}"}
        unset = [name for name in pass_env if name not in os.environ]
        if unset:
            raise UsageError(f"pass_env: the environment variable {unset[0]} is not set")
        if pass_env and not self._address:
            self._limits["env"] = {name: os.environ[name] for name in pass_env}
        self._server: Any = None
        self._offered: tuple[Tool, ...] | None = None

    def world(self, task: Task, rng: np.random.Generator) -> World:
        """A connection of the episode's own. Task data: `prompt`, `answer`, `match`, `calls`; see `tasks`."""
        try:
            self._wanted_answer, self._exact = task.data["answer"], task.data["match"] == "exact"
            calls = [(ToolCall(str(c["name"]), dict(c["arguments"])),) for c in task.data["calls"]]
            prompt = str(task.data["prompt"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"task {task.id!r} is not of mcp: it needs prompt, answer, match and calls") from error
        self._disconnect()
        if self._offered is None:
            self._offered = tuple(self._connected().tools)
        self._record = Record()
        tools = [replace(made, function=partial(self._through, made.name)) for made in self._offered]
        says = str(self._wanted_answer) if self._wanted_answer is not None else "Done."
        world = World({"record": self._record}, [UserTurn(prompt, calls, says)], tools)
        if self._only is not None:
            world.tools = [world.toolbox(None, self._cap)[name] for name in self._only]
        return world

    def fulfilled(self, message: str) -> bool:
        """Whether the message has the answer, and the task's calls were made."""
        answer = self._wanted_answer
        if answer is not None and not (same_words(message, answer) if self._exact else has(message, answer)):
            return False
        return all(self._now.matched)

    def scores(self, won: bool) -> dict[str, float]:
        """As in `ToolEnv`; nothing is known of side effects."""
        reference = [(call.name, call.arguments) for turn in self._world.turns for call in turn.flat]
        return {
            "state": float(won),
            "calls": rewards.call_correctness(self._made, reference),
            "order": rewards.order(self._made, reference),
            "efficiency": won * rewards.efficiency(len(self._made), len(reference)) if reference else float(won),
            "side_effects": 0.0,
        }

    def snapshot(self) -> Any:
        """There is none.

        Raises:
            UsageError: always.
        """
        raise UsageError("mcp-v0 cannot take snapshots: what the server remembers is its own")

    def restore(self, snapshot: Any) -> Observation:
        """There is no way back.

        Raises:
            UsageError: always.
        """
        raise UsageError("mcp-v0 cannot restore snapshots: what the server remembers is its own")

    def close(self) -> None:
        """End the connection, and the server that was started for it."""
        self._disconnect()
        super().close()

    def _rehearse(self) -> None:
        """Nothing: whatever the reference did on the server could not be taken back."""
        self._before = self._goal = b""
        self._wanted = [""] * len(self._world.turns)
        self._fine = [[True] * len(turn.flat) for turn in self._world.turns]

    def _end(self) -> Step:
        step = super()._end()
        self._disconnect()
        return step

    def _connected(self) -> Any:
        """The episode's connection; made now, where there is none yet."""
        if self._server is None:
            from agentgym.integrations.mcp_client import McpTools

            start = McpTools.http if self._address else McpTools.stdio
            self._server = start(*([self._address] if self._address else self._command), **self._limits)
        return self._server

    def _disconnect(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _through(self, tool: str, /, **arguments: Any) -> Any:
        try:
            given = self._connected().call(tool, arguments)
        except ToolError as error:
            self._record.calls.append((tool, arguments, {"error": str(error)}))
            raise
        self._record.calls.append((tool, arguments, given))
        return given


def command(line: str) -> list[str]:
    """The words of a command; the built-in library's where there are none.

    Raises:
        UsageError: a quote that is not closed.

    >>> command("some-server --root 'my files'")
    ['some-server', '--root', 'my files']
    """
    try:
        found = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"server: {line!r} cannot be split into words: {error}") from error
    # The file and not the module: it needs nothing of this package, and starts in half the time.
    return found or [sys.executable, "-I", str(Path(__file__).with_name("library.py"))]


def same_words(message: str, answer: str) -> bool:
    """Whether a message is an answer and nothing else, whatever the case, spaces or full stops.

    >>> same_words(" The Ninth  Bell. ", "the ninth bell"), same_words("It is the ninth bell", "the ninth bell")
    (True, False)
    """
    return has(message, answer) and has(answer, message)
