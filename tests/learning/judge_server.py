"""A judge that answers like any OpenAI-compatible server, over a real socket, by a rule instead of a model."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


def verdict(messages: list[dict[str, str]]) -> dict[str, object]:
    """An opinion on each field that the system message asks for; any will do that is the same each time."""
    system, user = messages[0]["content"], messages[1]["content"]
    opinion = hashlib.sha256(user.encode()).digest()
    statements = json.loads(user.split("\n")[1]).get("statements", [])
    found: dict[str, object] = {}
    for name, kind in re.findall(r'"(\w+)": (a number|true or false|a list)', system.rpartition("nothing else:")[2]):
        flags = [bool(byte & 1) for byte in opinion[: len(statements)]]
        found[name] = {"a number": opinion[0] / 255, "true or false": bool(opinion[0] & 1), "a list": flags}[kind]
    return found


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"choices": [{"message": {"role": "assistant", "content": json.dumps(verdict(body["messages"]))}}]}
        sent = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the test's output."""


class JudgeServer:
    """A context manager; `url` is what a recipe's `base_url` wants."""

    def __enter__(self) -> JudgeServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
