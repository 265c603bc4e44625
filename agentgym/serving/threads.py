"""A thread a connection, by the standard library, with bounds that hold whatever a client does."""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agentgym.serving import door as doors
from agentgym.serving.door import Door

LOG = logging.getLogger(__name__)


class Server(ThreadingHTTPServer):
    """Serves with a `Handler`; one connection more than there may be is closed at once."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        handler: type[Handler],
        door: Door,
        port: int = 0,
        *,
        max_body: int = doors.MAX_BODY,
        head_seconds: float = doors.HEAD_SECONDS,
        body_seconds: float = doors.BODY_SECONDS,
        idle_seconds: float = doors.IDLE_SECONDS,
        connections: int = doors.MAX_CONNECTIONS,
    ) -> None:
        """Listen; `serve_forever` answers.

        Args:
            handler: what answers.
            door: who comes in, and the address.
            port: 0 for any free one; `server_port` says which.
            max_body: most bytes of a request's body.
            head_seconds: for a request's head, from its first byte.
            body_seconds: for its body, and for its answer to be taken.
            idle_seconds: that a connection may wait for its next request.
            connections: at once.

        Raises:
            OSError: the address cannot be had.
        """
        self.door, self.max_body = door, max_body
        self.head_seconds, self.body_seconds, self.idle_seconds = head_seconds, body_seconds, idle_seconds
        self._free = threading.BoundedSemaphore(connections)
        if ":" in door.host:
            self.address_family = socket.AF_INET6
        super().__init__((door.host.strip("[]"), port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread, if there may be another."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What the thread does."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""
        LOG.debug("connection of %s", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """Answers requests that came in by the door. Methods are `do_GET` and so on; they use `body` and `answer`."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - the only one it serves
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "agentgym", ""
    # An answer's head and body leave in one piece, or the second waits for the first to be acknowledged (40 ms).
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Read through something that watches the clock and counts."""
        super().setup()
        self._bounded = _Bounded(self.connection)
        self.rfile = self._reader = io.BufferedReader(self._bounded, 8192)

    def handle_one_request(self) -> None:
        """One request, from its first byte within the time and size for a head."""
        server = self.server
        try:
            self._bounded.allow(server.idle_seconds, doors.MAX_HEAD)
            if not self._reader.peek(1):
                self.close_connection = True
                return
            self._bounded.allow(server.head_seconds, doors.MAX_HEAD)
            super().handle_one_request()
        except _TooMuchError:
            self.requestline, self.request_version, self.command = "", self.protocol_version, ""
            self.refuse(431, f"a request's head has at most {doors.MAX_HEAD} bytes")
            self.wfile.flush()
        except TimeoutError:
            self.close_connection = True

    def parse_request(self) -> bool:
        """As the base class, and then the door."""
        if not super().parse_request():
            return False
        refused = self.server.door.refusal(self.headers.items())
        if refused is not None:
            self.refuse(*refused)
            return False
        return True

    def handle_expect_100(self) -> bool:
        """Nobody is asked to go on before the door was passed."""
        self.refuse(417, "send the body at once")
        return False

    def body(self) -> bytes | None:
        """The request's body; `None` if it cannot be taken, which then has been answered."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not length.isascii() or not length.isdigit():
            self.refuse(411, "a body has a Content-Length")
            return None
        if len(length) > 12 or int(length) > self.server.max_body:
            self.refuse(413, f"a body has at most {self.server.max_body} bytes")
            return None
        # Some of what follows may have been read with the head.
        self._bounded.allow(self.server.body_seconds, int(length) + doors.MAX_HEAD)
        found = self.rfile.read(int(length))
        if len(found) < int(length):
            self.close_connection = True
            return None
        return found

    def refuse(self, status: int, text: str) -> None:
        """Answer, and close: what follows is unread, and would be taken for the next request."""
        self.close_connection = True
        self.answer(status, {"error": text})

    def answer(self, status: int, value: Any) -> None:
        """A JSON value as the answer."""
        # Half surrogate pairs, which a request may have put into an error, are escaped by ASCII JSON.
        content = json.dumps(value).encode()
        self.connection.settimeout(self.server.body_seconds)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong, in the form of everything else."""
        self.refuse(int(code), message or "the request cannot be read")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not news."""
        LOG.debug(format, *args)


class _TooMuchError(Exception):
    pass


class _Bounded(io.RawIOBase):
    """A socket to read from, until a time and up to a size."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._until, self._left = connection, 0.0, 0

    def allow(self, seconds: float, size: int) -> None:
        """From now on: so long, and so many bytes."""
        self._until, self._left = time.monotonic() + seconds, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come; waits no longer than is left.

        Raises:
            TimeoutError: the time is over.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for this request is over")
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise _TooMuchError
        return count
