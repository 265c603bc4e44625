"""`agentgym view`: the page and its data over HTTP, to the one who has the address.

Everything is read only. The server listens on the loopback interface unless told otherwise. Its door is the one of all
servers: it answers to its own names only (a page elsewhere cannot reach it under another one), and gives data only to
requests that bring the token. The page itself has no data and needs none. The token stands in the address behind `#`,
which browsers send to nobody.
"""

# starlette is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agentgym.errors import AgentgymError, StoreError, UsageError
from agentgym.secrets import Secret, redact
from agentgym.serving.asgi import configured
from agentgym.serving.door import PageDoor, fresh_token
from agentgym.view import pages
from agentgym.view.curves import curves
from agentgym.view.data import RunData
from agentgym.view.rows import Query
from agentgym.view.watching import Watch

LOG = logging.getLogger(__name__)
WAIT = 25.0
"""Seconds that a request for the version may wait."""
WAITING = 64
"""Requests that may wait at once; others are answered at once."""
LONGEST = 8192
"""Characters of an address, and bytes of a body, which nothing here wants."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Viewer:
    """The application and the socket it listens at.

    Attributes:
        token: what requests for data must bring.
        url: what a person opens, the token included.
    """

    def __init__(
        self, runs: Sequence[RunData], host: str = "127.0.0.1", port: int = 0, token: str | None = None
    ) -> None:
        """Args:
            runs: what is shown.
            host: address to listen at.
            port: 0 for any free one.
            token: a random one if not given.

        Raises:
            UsageError: the address cannot be had.
        """
        own = Secret(token) if token else fresh_token()
        self.token = own.reveal()
        self.watch = Watch(runs)
        self._socket = _listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/#token={self.token}"
        self._waiting = 0
        config = configured(
            self._app(),
            PageDoor(own, host),
            self.port,
            max_body=LONGEST,
            free=_of_the_page,
            ws="none",
            lifespan="off",
            log_config=None,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def _app(self) -> Starlette:
        """The application behind the door."""
        routes = [
            Route("/", self._page),
            Route("/page/{name}", self._file),
            Route("/api/runs", self._answer(self._runs)),
            Route("/api/curves", self._answer(lambda r: curves(self.watch.runs))),
            Route("/api/runs/{run}/metrics", self._answer(self._metrics)),
            Route("/api/runs/{run}/rows", self._answer(self._rows)),
            Route("/api/runs/{run}/trajectories/{n}", self._answer(self._trajectory)),
            Route("/api/runs/{run}/trajectories/{n}/credit", self._answer(self._credit)),
            Route("/api/runs/{run}/trajectories/{n}/tokens", self._answer(self._tokens)),
            Route("/api/runs/{run}/groups/{group:path}", self._answer(self._groups)),
            Route("/api/version", self._version),
        ]
        middleware = [Middleware(_Short), Middleware(GZipMiddleware, minimum_size=2000, compresslevel=4)]
        handlers: dict[Any, Any] = {404: _not_found, 405: _not_allowed, 500: _failed}
        return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)

    # Running --------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Serve until Ctrl-C."""
        self.watch.start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.watch.close()
            self._socket.close()

    def __enter__(self) -> Viewer:
        """Serve in a thread."""
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self.watch.close()
        if self._thread is not None:
            self._thread.join(timeout=15)

    # Answers --------------------------------------------------------------------------------------------------------

    def _answer(self, give: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            self.watch.ask()
            return await run_in_threadpool(lambda: _json(give, request))

        return answer

    async def _page(self, request: Request) -> Response:
        try:
            html, policy = await run_in_threadpool(pages.live)
        except StoreError as error:
            return _error(503, str(error))
        return Response(html, media_type="text/html; charset=utf-8", headers={**HEADERS, **policy})

    async def _file(self, request: Request) -> Response:
        found = await run_in_threadpool(pages.file, request.path_params["name"])
        if found is None:
            return _error(404, "the page has no such file")
        content, kind = found
        return Response(content, media_type=kind, headers={**HEADERS, "Content-Security-Policy": "default-src 'none'"})

    async def _version(self, request: Request) -> Response:
        """Waits without a thread of its own, and ends when the browser goes away."""
        self.watch.ask()
        try:
            wait = min(WAIT, float(request.query_params.get("wait", "0")[:20]))
            since = int(request.query_params.get("since", str(self.watch.version))[:20])
        except ValueError:
            return _error(400, "wait and since must be numbers")
        until = time.monotonic() + (wait if self._waiting < WAITING and wait > 0 else 0)
        self._waiting += 1
        self.watch.hold(+1)
        try:
            while self.watch.version == since and time.monotonic() < until and not self._server.should_exit:
                if await request.is_disconnected():
                    break
                await asyncio.sleep(0.1)
        finally:
            self._waiting -= 1
            self.watch.hold(-1)
        return _plain({"version": self.watch.version})

    def _runs(self, request: Request) -> Any:
        return {"runs": [run.about() for run in self.watch.runs], "version": self.watch.version}

    def _metrics(self, request: Request) -> Any:
        return self._run(request).metrics(_number(request.query_params.get("since", "0"), "since"))

    def _rows(self, request: Request) -> Any:
        return self._run(request).rows(Query.read(dict(request.query_params)))

    def _trajectory(self, request: Request) -> Any:
        return self._run(request).trajectory(_n(request), request.query_params.get("full") == "1")

    def _credit(self, request: Request) -> Any:
        return self._run(request).credit(_n(request))

    def _tokens(self, request: Request) -> Any:
        return self._run(request).tokens(_n(request), request.query_params.get("by", "logprob")[:40])

    def _groups(self, request: Request) -> Any:
        iteration = request.query_params.get("iteration") or None
        number = None if iteration is None else _number(iteration, "iteration")
        return self._run(request).groups(
            request.path_params["group"], request.query_params.get("phase") or None, number
        )

    def _run(self, request: Request) -> RunData:
        number = _number(request.path_params["run"], "the run")
        if number >= len(self.watch.runs):
            raise StoreError(f"there is no run {number}: there are {len(self.watch.runs)}")
        return self.watch.runs[number]


def _listen(host: str, port: int) -> socket.socket:
    made: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
        return made
    except (OSError, OverflowError, UnicodeError) as error:
        if made is not None:
            made.close()
        raise UsageError(f"cannot listen at {host}:{port}: {getattr(error, 'strerror', None) or error}") from error


class _Short:
    """Answers no address that is too long, whatever its path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if len(str(URL(scope=scope))) > LONGEST:
            app = _error(414, f"the address is longer than {LONGEST} characters")
        await app(scope, receive, send)


def _of_the_page(path: str) -> bool:
    """Whether a path is the page's, which has no data: it asks for that with the token from its address."""
    return path == "/" or path.startswith("/page/")


def _json(give: Callable[[Request], Any], request: Request) -> Response:
    try:
        return _plain(give(request))
    except UsageError as error:
        return _error(400, str(error))
    except StoreError as error:
        return _error(404, str(error))
    except AgentgymError as error:
        return _error(500, str(error))
    except FileNotFoundError:
        return _error(404, "the run's files are gone")
    except MemoryError:
        return _error(500, "there is not enough memory to show this")
    except Exception as error:
        LOG.exception("an answer failed")
        return _error(500, f"the answer failed: {type(error).__name__}; the server's log says how")


def _plain(value: Any) -> Response:
    # ASCII: lone surrogates, which models and environments may write, have no other encoding.
    content = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Response(content, media_type="application/json", headers=HEADERS)


def _error(status: int, said: str) -> Response:
    content = json.dumps({"error": redact(" ".join(said.split())[:2000])}).encode("ascii")
    return Response(content, status_code=status, media_type="application/json", headers=HEADERS)


async def _not_found(request: Request, error: Exception) -> Response:
    return _error(404, "there is nothing at this address")


async def _not_allowed(request: Request, error: Exception) -> Response:
    return _error(405, "everything here is read only: GET")


async def _failed(request: Request, error: Exception) -> Response:
    return _error(500, "the answer failed; the server's log says how")


def _n(request: Request) -> int:
    return _number(request.path_params["n"], "the trajectory")


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise UsageError(f"{what} must be a whole number, not {text[:40]!r}")
    return int(text)
