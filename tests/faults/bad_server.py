"""A chat-completions server over a real socket that misbehaves in every way a client must survive.

What it does is chosen by `plan`, from the body of a request and how often that very request came before. A good answer
is `go` and the request's seed, so that an answer that reached another request is seen.
"""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any

Plan = Callable[[dict[str, Any], int], str]
"""From a request's body and its number of tries before to the name of a trouble, or `good`."""
RESET = struct.pack("ii", 1, 0)
BOMB = gzip.compress(bytes(1 << 24), 1)


class BadServer:
    """A context manager; `url` is what a client wants, `asked` counts requests by seed, `did` what was done."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.asked, self.did = Counter[int](), Counter[str]()
        self._answers = itertools.count(1)  # Of all connections' threads: no two answers have one number.
        self._over = threading.Event()

    def __enter__(self) -> BadServer:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *why: object) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.2)
        with connection, suppress(OSError):
            data = b""
            while not self._over.is_set():
                try:
                    more = connection.recv(1 << 16)
                except TimeoutError:
                    continue
                if not more:
                    return
                data += more
                head, found, rest = data.partition(b"\r\n\r\n")
                if not found:
                    continue
                length = next(int(li[15:]) for li in head.lower().split(b"\r\n") if li.startswith(b"content-length:"))
                if len(rest) < length:
                    continue
                data = rest[length:]
                body = json.loads(rest[:length])
                tries = self.asked[body["seed"]]
                self.asked[body["seed"]] += 1
                trouble = self.plan(body, tries)
                self.did[trouble] += 1
                if not self._do(connection, trouble, good(body, next(self._answers))):
                    return

    def _do(self, connection: socket.socket, trouble: str, answer: dict[str, Any]) -> bool:
        """One answer; whether the connection stays."""
        send, text = connection.sendall, json.dumps(answer).encode()
        match trouble:
            case "good":
                send(http(text))
            case "hang":
                self._wait(connection)
                return False
            case "drop":
                return False
            case "cut":
                send(http(text)[:-20])
                return False
            case "reset":
                send(http(text)[:-20])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return False
            case "close":
                send(http(text))
                return False
            case "throttle":
                send(http(b'{"error": {"message": "slow down"}}', 429, "retry-after: 0.02"))
            case "throttle bare":
                send(http(b"slow down", 429))
            case "throttle dated":
                now = formatdate(usegmt=True)
                send(http(b"slow down", 429, f"retry-after: {now}", f"date: {now}"))
            case "overloaded":
                send(http(b"<html>overloaded", 503))
            case "late":
                self._over.wait(0.6)
                send(http(text))
            case "twice":
                send(http(text) * 2)
            case "twice later":
                send(http(text))
                time.sleep(0.005)
                send(http(text))
            case "drip":
                send(http(b" " * 100_000 + text)[:200])
                while not self._over.wait(0.02):
                    send(b" ")
            case "garbage":
                send(b"\x00\xff\x1b[2J" * 1000)
                return False
            case "endless head":
                send(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000)
                return False
            case "html":
                send(http(b"<html>good morning", 200, "content-type: text/html"))
            case "redirect":
                send(http(b"", 302, "location: http://127.0.0.1:9/"))
                return False
            case "empty" | "null" | "list" | "deep" | "not utf-8":
                wrong = {"empty": b"", "null": b"null", "list": b"[]", "deep": b"[" * 100_000, "not utf-8": b'{"\xff'}
                send(http(wrong[trouble]))
            case "no choices":
                send(http(b'{"choices": []}'))
            case "nan" | "infinite":
                number = float("nan") if trouble == "nan" else float("-inf")
                answer["choices"][0]["logprobs"] = {"content": [{"logprob": number}]}
                send(http(json.dumps(answer).encode()))
            case "odd usage":
                send(http(text.replace(b'"prompt_tokens": 7', b'"prompt_tokens": 1e999')))
            case "negative ids":
                answer["choices"][0]["token_ids"] = [-4]
                send(http(json.dumps(answer).encode()))
            case "huge":
                send(http(b" " * (1 << 20) * 16 + text))
            case "bomb":
                send(http(BOMB, 200, "content-encoding: gzip"))
            case "wrong packing":
                send(http(text, 200, "content-encoding: gzip"))
            case "odd charset":
                send(http(b"slow down", 503, "content-type: text/plain; charset=zlib"))
            case _:
                raise AssertionError(trouble)
        return True

    def _wait(self, connection: socket.socket) -> None:
        """Until the client has gone away."""
        while not self._over.is_set():
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return


PASSING = (
    "hang", "drop", "cut", "reset", "close", "throttle", "throttle bare", "throttle dated", "overloaded", "late",
    "twice", "twice later", "drip", "garbage", "endless head", "html", "empty", "null", "list", "deep",
    "not utf-8", "no choices", "nan", "infinite", "odd usage", "negative ids", "huge", "bomb", "wrong packing",
    "odd charset",
)  # fmt: skip
"""Troubles after which asking again is right."""
HARMLESS = frozenset({"close", "twice", "twice later"})
"""Of those, what does not spoil the answer itself, but perhaps the next one."""


def good(body: dict[str, Any], number: int) -> dict[str, Any]:
    """The right answer to a request, with an id of its own."""
    message = {"role": "assistant", "content": f"go {body['seed']}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": f"chatcmpl-{number}", "choices": [choice], "usage": {"prompt_tokens": 7}}


def http(body: bytes, status: int = 200, *headers: str) -> bytes:
    """An HTTP/1.1 response on a connection that stays open."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers]
    if not any(line.startswith("content-type") for line in lines):
        lines.append("content-type: application/json")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
