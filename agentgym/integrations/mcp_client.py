"""Any MCP server as a source of tools, by the official SDK, for code that is not asynchronous.

    with McpTools.stdio("python", "-m", "some_server") as server:      # or McpTools.http("http://127.0.0.1:8000/mcp")
        toolbox = server.toolbox()
        toolbox.call(ToolCall("add", {"a": 1, "b": 2}))

The connection lives in a thread of its own, with its event loop; calls wait for it. What the tool says is wrong (a
result marked as an error, arguments that the server refuses) is an answer that a model can learn from. A server that
dies, hangs or talks nonsense is an `InfraError`: recorded, never scored.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import json
import os
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, cast

from agentgym.errors import EnvCrashedError, EnvTimeoutError, MissingExtraError, UsageError
from agentgym.secrets import hidden, hide, know, know_url, redact
from agentgym.tools import Tool, Toolbox, ToolError
from agentgym.tools.toolbox import CAP

CONNECT = 30.0
"""Most seconds to start a server and to list its tools."""
DEADLINE = 30.0
"""Most seconds of a call."""
GRACE = 10.0
"""Most seconds for a connection to close; a process that is still there then is killed by the SDK."""
PAGES = 100
"""Most pages of a list of tools: a server that always has another is refused."""
LONGEST = 1 << 20
"""Most characters of an answer that are kept; the toolbox cuts what it shows further."""
CLOSED, TIMED_OUT = -32000, -32001
"""Codes of the SDK for a connection that is gone and an answer that did not come (JSON-RPC, reserved for servers)."""


class McpTools:
    """A connection to one MCP server; its tools as `agentgym.tools.Tool`s. Closed by `close` or a `with` block.

    Safe for calls from several threads. Not picklable: made where it is used.
    """

    def __init__(self, transport: Any, name: str, *, connect: float = CONNECT, deadline: float = DEADLINE) -> None:
        """Connect and list the tools; `McpTools.stdio` and `McpTools.http` are the usual ways.

        Args:
            transport: what the SDK's `Client` takes: parameters of a process, an address, a transport, a server object.
            name: how errors call the server.
            connect: most seconds until the tools are listed.
            deadline: most seconds of a call, unless it says otherwise.

        Raises:
            MissingExtraError: the SDK is not installed.
            EnvCrashedError: the server could not be reached or is none.
            EnvTimeoutError: it did not answer in time.
        """
        if connect <= 0 or deadline <= 0:
            raise UsageError(f"an MCP connection needs deadlines above 0, not {connect} and {deadline}")
        client = sdk("mcp").Client
        self.name, self.deadline = name, deadline
        self.tools: tuple[Tool, ...] = ()
        """The tools of the server, in its order."""
        self.instructions = ""
        """What the server says about itself; text from outside."""
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._gone: BaseException | None = None
        ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        make = partial(client, transport, cache=None)
        self._thread = threading.Thread(target=self._run, args=(make, connect, ready), daemon=True, name="agentgym-mcp")
        self._thread.start()
        try:
            ready.result(connect + GRACE)
        except (TimeoutError, concurrent.futures.TimeoutError) as error:
            self.close()
            raise EnvTimeoutError(f"MCP server {name}: no list of tools within {connect:g} s") from error
        except Exception as error:
            self.close()
            raise EnvCrashedError(f"MCP server {name}: cannot be used: {_said(error)}") from error

    @classmethod
    def stdio(
        cls, command: str, *args: str, env: Mapping[str, str] | None = None, cwd: str | None = None, **options: Any
    ) -> McpTools:
        """A server that is started here and spoken to over its standard input and output; it ends with the connection.

        Args:
            command: the program.
            args: its arguments.
            env: more environment variables; by default it gets only those that the SDK thinks are safe. What these
                say is taken out of what the server says.
            cwd: folder to start it in.
            options: as in `__init__`. What the server writes to its standard error is dropped.
        """
        stdio = sdk("mcp.client.stdio")
        know(*(env or {}).values())
        parameters = stdio.StdioServerParameters(command=command, args=list(args), env=dict(env or {}), cwd=cwd)
        with open(os.devnull, "w") as nowhere:
            return cls(stdio.stdio_client(parameters, errlog=nowhere), os.path.basename(command), **options)

    @classmethod
    def http(cls, url: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> McpTools:
        """A server that is there already, over streamable HTTP.

        Args:
            url: its endpoint, usually ending in `/mcp`.
            headers: sent with every request (a key, for example); never shown.
            options: as in `__init__`.
        """
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"an MCP server's address begins with http:// or https://, not {redact(url)!r}")
        know(*(word for value in (headers or {}).values() for word in (value, *value.split())))
        return cls(_http(url, dict(headers or {})), know_url(url), **options)

    def toolbox(self, *, only: Sequence[str] | None = None, cap: int = CAP) -> Toolbox:
        """The tools in a toolbox. It has no deadline of its own: the connection's turns a hanging server into an infra
        error, where a toolbox's would turn it into an observation.

        Args:
            only: names of the tools to take; all where not given.
            cap: most characters of a result that are shown.
        """
        box = Toolbox(*self.tools, deadline=None, cap=cap)
        return box if only is None else box.only(only)

    def call(self, name: str, arguments: Mapping[str, Any], *, deadline: float | None = None) -> Any:
        """Call a tool.

        Args:
            name: the tool.
            arguments: JSON values by name.
            deadline: most seconds, instead of the connection's own.

        Returns:
            The text of the result; its structured content where there is no text.

        Raises:
            ToolError: the tool or the server says that this call is wrong.
            EnvTimeoutError: no answer within the deadline; the connection is given up, for its state is unknown.
            EnvCrashedError: the server is gone, or its answer is no answer.
        """
        seconds = self.deadline if deadline is None else deadline
        if self._gone is not None or not self._thread.is_alive():
            raise EnvCrashedError(f"MCP server {self.name}: the connection is gone")
        future = asyncio.run_coroutine_threadsafe(self._ask(name, dict(arguments), seconds), self._loop)
        try:
            result = future.result(seconds + 1.0)
        except (TimeoutError, concurrent.futures.TimeoutError, concurrent.futures.CancelledError) as error:
            future.cancel()
            self._gone = error
            raise EnvTimeoutError(f"MCP server {self.name}: {name!r} gave no answer within {seconds:g} s") from error
        except ToolError:
            raise
        except Exception as error:
            self._gone = error
            raise EnvCrashedError(f"MCP server {self.name}: {name!r} failed: {_said(error)}") from error
        text = _text(result)
        if result.is_error:
            raise ToolError(str(text) or "the tool says that something is wrong, and not what")
        return text

    def close(self) -> None:
        """Close the connection and end what was started; may be called twice."""
        if self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(GRACE)

    def __enter__(self) -> McpTools:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    # In the thread of the connection --------------------------------------------------------------------------------

    def _run(self, make: Any, connect: float, ready: concurrent.futures.Future[None]) -> None:
        try:
            self._loop.run_until_complete(self._live(make, connect, ready))
        except BaseException as error:  # Whatever ended the connection, the next call says so.
            self._gone = error
            if not ready.done():
                ready.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _live(self, make: Any, connect: float, ready: concurrent.futures.Future[None]) -> None:
        self._stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(connect):
                self._client: Any = await stack.enter_async_context(make())
                self.instructions = str(getattr(self._client, "instructions", None) or "")
                self.tools = tuple(await self._list())
            ready.set_result(None)
            await self._stop.wait()

    async def _list(self) -> list[Tool]:
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(PAGES):
            page = await self._client.list_tools(cursor=cursor)
            for made in page.tools:
                schema = {"name": made.name, "description": made.description or "", "inputSchema": made.input_schema}
                found.append(Tool.from_schema(schema, partial(self._called, made.name)))
            cursor = page.next_cursor
            if not cursor:
                return found
        raise ValueError(f"its list of tools has more than {PAGES} pages")

    def _called(self, tool_name: str, /, **arguments: Any) -> Any:
        return self.call(tool_name, arguments)

    async def _ask(self, name: str, arguments: dict[str, Any], seconds: float) -> Any:
        try:
            return await self._client.call_tool(name, arguments, read_timeout_seconds=seconds)
        except Exception as raised:
            if not isinstance(raised, sdk("mcp.shared.exceptions").MCPError):
                raise
            error: Any = raised
            if error.code == TIMED_OUT:
                raise TimeoutError from error
            if error.code == CLOSED:
                raise ConnectionError("the server is gone") from error
            raise ToolError(error.message) from error


@asynccontextmanager
async def _http(url: str, headers: dict[str, str]) -> AsyncGenerator[Any]:
    """A transport that closes its HTTP client, too."""
    http = sdk("mcp.client.streamable_http")
    async with (
        http.create_mcp_http_client(headers=headers) as client,
        http.streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


def _text(result: Any) -> Any:
    """The readable part of a result: its texts, one after the other; what is no text is named, not shown."""
    parts: list[str] = []
    for block in result.content:
        text = getattr(block, "text", None)
        resource = getattr(block, "resource", None)
        if isinstance(text, str):
            parts.append(text)
        elif isinstance(getattr(resource, "text", None), str):
            parts.append(cast(Any, resource).text)
        else:
            kind = getattr(block, "mime_type", None) or getattr(resource, "mime_type", None) or "unknown"
            parts.append(f"[{getattr(block, 'type', 'content')} of type {kind}, not shown]")
    if not parts and result.structured_content is not None:
        return hidden(result.structured_content)
    text = hide("\n".join(parts))
    return text if len(text) <= LONGEST else text[:LONGEST]


def sdk(name: str) -> Any:
    """A module of the SDK, imported when it is needed.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError("MCP", "mcp") from error


def _said(raised: BaseException) -> str:
    """The words of an error, those of the first one inside where several came together."""
    error: Any = raised
    while isinstance(error, BaseExceptionGroup):
        error = cast(Any, error).exceptions[0]
    message = getattr(error, "message", None)
    text = message if isinstance(message, str) else str(error)
    return json.dumps(redact(text)[:300])[1:-1] if text else type(error).__name__
