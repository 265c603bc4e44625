"""A door in front of an ASGI application, and uvicorn with the bounds that it lacks."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from agentgym.serving import door as doors
from agentgym.serving.door import Door, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Guarded:
    """An application that only requests reach which came in by the door; their bodies are bounded."""

    def __init__(
        self,
        app: Any,
        door: Door,
        *,
        max_body: int = doors.MAX_BODY,
        body_seconds: float = doors.BODY_SECONDS,
        free: Callable[[str], bool] | None = None,
    ) -> None:
        """Args:
        app: the application.
        door: who comes in.
        max_body: most bytes of a body.
        body_seconds: for a body.
        free: the paths that need no token; none if not given.
        """
        self.app, self.door, self.max_body, self.body_seconds = app, door, max_body, body_seconds
        self.free = free

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        free = scope["type"] == "http" and self.free is not None and self.free(scope["path"])
        refused = self.door.refusal(headers, free)
        if refused is None:
            length = dict(headers).get("content-length", "0")
            if not length.isascii() or not length.isdigit() or len(length) > 12 or int(length) > self.max_body:
                refused = Refusal(413, f"a body has at most {self.max_body} bytes")
        if refused is not None:
            if scope["type"] == "websocket":
                await receive()
                return await send({"type": "websocket.close", "code": 1008, "reason": refused.text})
            return await _refuse(send, refused)
        if scope["type"] == "websocket":
            return await self.app(scope, receive, send)
        await self._bounded(scope, receive, send)

    async def _bounded(self, scope: Message, receive: Receive, send: Send) -> None:
        """The application, once the whole body is there: it is not the application that is kept waiting."""
        body = bytearray()
        until, more = time.monotonic() + self.body_seconds, True
        while more:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                return await _refuse(send, Refusal(408, f"a body comes within {self.body_seconds:g} s"))
            if message["type"] != "http.request":
                return  # The client has left.
            body += message.get("body", b"")
            if len(body) > self.max_body:
                return await _refuse(send, Refusal(413, f"a body has at most {self.max_body} bytes"))
            more = message.get("more_body", False)
        given = False

        async def taken() -> Message:
            nonlocal given
            if given:
                return await receive()  # The client's leaving, which may take as long as the answer does.
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, taken, send)


async def _refuse(send: Send, refused: Refusal) -> None:
    content = json.dumps({"error": refused.text}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def configured(
    app: Any,
    door: Door,
    port: int,
    *,
    max_body: int = doors.MAX_BODY,
    head_seconds: float = doors.HEAD_SECONDS,
    body_seconds: float = doors.BODY_SECONDS,
    connections: int = doors.MAX_CONNECTIONS,
    free: Callable[[str], bool] | None = None,
    **more: Any,
) -> Any:
    """A `uvicorn.Config` that serves an application behind a door.

    Args:
        app: the application.
        door: who comes in, and the address.
        port: to listen at.
        max_body: most bytes of a request's body.
        head_seconds: for a request's head.
        body_seconds: for its body.
        connections: at once.
        free: the paths that need no token; none if not given.
        more: settings of `uvicorn.Config` that concern nobody's safety.

    Raises:
        ImportError: uvicorn is not installed.
    """
    uvicorn = cast(Any, importlib.import_module("uvicorn"))
    return uvicorn.Config(
        Guarded(app, door, max_body=max_body, body_seconds=body_seconds, free=free),
        host=door.host.strip("[]"),
        port=port,
        http=timely(head_seconds, connections, max_body),
        log_level="warning",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=doors.MAX_HEAD,
        timeout_keep_alive=int(doors.IDLE_SECONDS),
        ws_max_size=max_body,
        **more,
    )


def timely(
    head_seconds: float = doors.HEAD_SECONDS,
    connections: int = doors.MAX_CONNECTIONS,
    max_body: int = doors.MAX_BODY,
) -> Any:
    """Uvicorn's protocol in plain Python (its `http`), which by itself waits for a request's head for ever."""
    idle = cast(Any, importlib.import_module("h11")).IDLE
    base = cast(Any, importlib.import_module("uvicorn.protocols.http.h11_impl")).H11Protocol

    class Timely(base):  # pyright: ignore[reportUntypedBaseClass]
        _due: asyncio.TimerHandle | None = None
        _taken = 0

        def connection_made(self, transport: Any) -> None:
            base.connection_made(self, transport)
            if len(self.connections) > connections:
                transport.abort()
            else:
                self._due = self.loop.call_later(head_seconds, transport.abort)

        def data_received(self, data: bytes) -> None:
            if self.conn.their_state is idle:
                self._taken = 0  # Of this request: the bound is not one of the connection.
            self._taken += len(data)
            if self._taken > max_body + 2 * doors.MAX_HEAD:
                # Refused or not: what is sent all the same is not read to its end.
                self.transport.abort()
                return
            base.data_received(self, data)
            waiting = self.conn.their_state is idle
            if waiting and self._due is None:
                self._due = self.loop.call_later(head_seconds, self.transport.abort)
            elif not waiting:
                self._forget()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            base.connection_lost(self, exc)

        def _forget(self) -> None:
            due, self._due = self._due, None
            if due is not None:
                due.cancel()

    return Timely
