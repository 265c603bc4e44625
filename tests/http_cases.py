"""What tests of clients share: a small server over a real socket, and a handler that answers as a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """A context manager: serves on the loopback address until it is left, and keeps what it is told and asked."""

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.script: list[Any] = []
        """What to answer, the next first."""
        self.asked: list[Any] = []
        self.released = threading.Event()
        """Set at the end, for handlers that hang."""
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Reads and sends whole bodies; what it does with them is a test's own."""

    server: Any  # Tests give theirs attributes.

    def body(self) -> Any:
        """The request's JSON."""
        return json.loads(self.rfile.read(int(self.headers["content-length"])) or b"null")

    def send(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        """Answer with bytes as they are, or with anything else as JSON."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the test's output."""
