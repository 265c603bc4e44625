"""Every server of the suite against every rule, over real sockets: who comes in, how much, how long, how many.

A line in `SERVERS` is a server with small bounds; a function `rule_*` is something that is done to it. After each, a
proper request must still be answered.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentgym.errors import UsageError
from agentgym.retrieval import Bm25, Corpus, Passage
from agentgym.secrets import Secret
from agentgym.serving import Door, open_door
from agentgym.serving.door import MAX_HEAD, PageDoor, kept_token

TOKEN = "token-of-a-test-0123456789"
PASSWD = b"root:"
SECONDS = 0.6
"""For a head, and for a body, in these tests."""
SLACK = 4.0
"""What a busy machine may add."""
CONNECTIONS = 6


@dataclass
class Served:
    """A server that runs, and a request that it answers with 200."""

    port: int
    method: str
    path: str
    body: bytes = b""
    extra: str = ""
    head_seconds: float = SECONDS
    connections: int = CONNECTIONS
    takes_bodies: bool = True
    chunked: bool = False
    """Whether bodies may come without a length."""

    def head(
        self, *, token: str | None = TOKEN, host: str | None = None, more: str = "", length: int | str = -1
    ) -> bytes:
        """A request's head; keywords change what is wrong with it."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host if host is not None else self.address}"]
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        if self.body or length != -1:
            lines.append(f"Content-Length: {len(self.body) if length == -1 else length}")
        return ("\r\n".join(lines) + "\r\n" + self.extra + more + "\r\n").encode("latin-1")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as found:
            yield found

    def send(self, *pieces: bytes) -> tuple[int, bytes]:
        """The status of the answer to these bytes (0: closed without one), and all that was said."""
        with self.connected() as found:
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    found.sendall(piece)
            return answer(found)

    def alive(self) -> None:
        status, said = self.send(self.head(), self.body)
        assert status == 200, said


def answer(found: socket.socket) -> tuple[int, bytes]:
    """One answer, as far as its length says, or until the other end closes."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in said:
            block = found.recv(65536)
            if not block:
                return status_of(said), said
            said += block
        head, _, rest = said.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        while not rest.endswith(b"0\r\n\r\n") if length is None else len(rest) < int(length[1]):
            block = found.recv(65536)
            if not block:
                break
            said, rest = said + block, rest + block
    return status_of(said), said


def status_of(said: bytes) -> int:
    return int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/") else 0


# The servers --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def retriever(folder: Path) -> Iterator[Served]:
    from agentgym.retrieval.server import RetrieverServer

    index = Bm25(Corpus.of([Passage("p", "Ostrel", "Ostrel is a town by the sea.")]))
    bounds = {"head_seconds": SECONDS, "body_seconds": SECONDS, "idle_seconds": 5.0, "connections": CONNECTIONS}
    server = RetrieverServer(index, token=Secret(TOKEN), **bounds)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Served(server.server_port, "POST", "/retrieve", json.dumps({"queries": ["town"], "topk": 1}).encode())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def mcp(folder: Path) -> Iterator[Served]:
    pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'agentgym-suite[mcp]'")
    import uvicorn

    from agentgym.integrations import mcp_server
    from agentgym.serving import asgi

    seat = mcp_server.Seat("router-v0")
    door = Door(Secret(TOKEN), "127.0.0.1")
    app = mcp_server.server(seat).streamable_http_app(host=door.host)
    config = asgi.configured(app, door, 0, head_seconds=SECONDS, body_seconds=SECONDS, connections=CONNECTIONS)
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }
    extra = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
    with running(uvicorn.Server(config)) as port:
        yield Served(port, "POST", "/mcp", json.dumps(hello).encode(), extra, chunked=True)
    seat.close()


@contextlib.contextmanager
def view(folder: Path) -> Iterator[Served]:
    if importlib.util.find_spec("agentgym.view.server") is None:
        pytest.fail("agentgym.view.server is gone: name the viewer's server here")
    from agentgym.store import RunFolder
    from agentgym.view.data import RunData
    from agentgym.view.server import Viewer

    RunFolder.create("seen", root=folder).close()
    with Viewer([RunData(folder / "seen")], token=TOKEN) as viewer:
        yield Served(
            viewer.port, "GET", "/api/runs", head_seconds=10.0, connections=64, takes_bodies=False, chunked=True
        )


@contextlib.contextmanager
def running(server) -> Iterator[int]:
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended"
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


SERVERS = {"retriever": retriever, "mcp": mcp, "view": view}


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
        with SERVERS[request.param](tmp_path_factory.mktemp("served")) as found:
            yield found


# The rules ----------------------------------------------------------------------------------------------------------


def rule_a_token_is_needed(s: Served) -> None:
    for token in (None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xe9" * 20, f"{TOKEN} {TOKEN}"):
        status, said = s.send(s.head(token=token), s.body)
        assert status == 401, (token, said)
        assert TOKEN.encode() not in said
    for more in (f"Authorization: Basic {TOKEN}\r\n", f"Cookie: token={TOKEN}\r\n", f"Authorization: {TOKEN}\r\n"):
        assert s.send(s.head(token=None, more=more), s.body)[0] == 401
    status, said = s.send(s.head(token=None).replace(s.path.encode(), s.path.encode() + b"?token=" + TOKEN.encode(), 1))
    assert status in (401, 404, 405), said


def rule_a_body_without_a_token_is_not_waited_for(s: Served) -> None:
    began = time.monotonic()
    assert s.send(s.head(token=None, length=1 << 20))[0] in (401, 413)
    assert time.monotonic() - began < SLACK


def rule_another_name_is_refused(s: Served) -> None:
    for host in (
        "evil.example",
        f"evil.example:{s.port}",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "localhost.evil",
        "a b",
    ):
        status, said = s.send(s.head(host=host), s.body)
        assert status in (400, 403, 421), (host, said)
    assert s.send(s.head(host=f"localhost:{s.port}"), s.body)[0] == 200
    assert s.send(s.head().replace(b"Host: ", b"X-Host: "), s.body)[0] in (400, 403, 421)
    twice = s.send(s.head(more="Host: evil.example\r\n"), s.body)
    assert twice[0] in (400, 403, 421), twice


def rule_a_page_of_another_origin_is_refused(s: Served) -> None:
    for origin in ("http://evil.example", f"http://evil.example:{s.port}", "null"):
        status, said = s.send(s.head(more=f"Origin: {origin}\r\n"), s.body)
        assert status == 403, (origin, said)
    assert s.send(s.head(more=f"Origin: http://{s.address}\r\n"), s.body)[0] == 200


def rule_two_tokens_are_refused(s: Served) -> None:
    assert s.send(s.head(more=f"Authorization: Bearer {TOKEN}\r\n"), s.body)[0] == 400


def rule_a_huge_head_is_cut_off(s: Served) -> None:
    for more in ("X: " + "a" * (8 * MAX_HEAD) + "\r\n", "".join(f"X-{i}: {'b' * 4000}\r\n" for i in range(80))):
        status, said = s.send(s.head(more=more), s.body)
        assert status in (0, 400, 414, 431), said[:200]
    long = s.head().replace(s.path.encode(), s.path.encode() + b"?" + b"q" * (8 * MAX_HEAD), 1)
    assert s.send(long)[0] in (0, 400, 414, 431)


def rule_a_huge_body_is_refused_by_its_length(s: Served) -> None:
    if not s.takes_bodies:
        return
    for length in (1 << 40, "9" * 30):
        status, said = s.send(s.head(length=length))
        assert status in (400, 413), said
    assert s.send(s.head(length="-5"))[0] in (400, 411, 413)
    assert s.send(s.head(length="1_0"))[0] in (400, 411, 413)


def rule_a_huge_body_without_a_length_is_cut_off(s: Served) -> None:
    head = s.head().replace(b"Content-Length: %d\r\n" % len(s.body), b"")
    head = head[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + b"a" * (1 << 20) + b"\r\n"
    sent = 0
    with s.connected() as found, contextlib.suppress(ConnectionError):
        found.settimeout(SLACK)
        with contextlib.suppress(TimeoutError):
            found.sendall(head)
            for _ in range(64):
                found.sendall(chunk)
                sent += len(chunk)
    assert sent < 48 << 20  # It is neither read to its end nor kept.


def rule_two_lengths_are_refused(s: Served) -> None:
    both = s.head(more="Transfer-Encoding: chunked\r\n", length=5)
    _, said = s.send(both, b"0\r\n\r\n" + s.head(token=None))
    assert said.count(b"HTTP/1.1 200") <= (1 if not s.takes_bodies else 0), said
    twice = s.head(more="Content-Length: 3\r\n", length=5)
    assert s.send(twice, b"abcde")[0] in (400, 411)


def rule_a_slow_head_is_cut_off(s: Served) -> None:
    """One byte at a time: each is in time, and the whole never ends."""
    if s.head_seconds > 2 * SECONDS:
        began, slow = time.monotonic(), 0.5
    else:
        began, slow = time.monotonic(), 0.05
    with s.connected() as found, contextlib.suppress(ConnectionError):
        found.settimeout(slow)
        for byte in s.head()[:-2] + b"X: " + b"y" * 10_000:
            found.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                if not found.recv(100):
                    break
            assert time.monotonic() - began < s.head_seconds + SLACK
    assert time.monotonic() - began < s.head_seconds + SLACK


def rule_a_slow_body_is_cut_off(s: Served) -> None:
    if not s.takes_bodies:
        return
    began = time.monotonic()
    with s.connected() as found, contextlib.suppress(ConnectionError):
        found.sendall(s.head(length=100_000))
        found.settimeout(0.05)
        while True:
            found.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                if not (said := found.recv(100)) or status_of(said) in (400, 408, 413):
                    break
            assert time.monotonic() - began < SECONDS + SLACK


def rule_connections_are_counted(s: Served) -> None:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(s.connected()) for _ in range(s.connections + 4)]
        time.sleep(0.2)
        closed = 0
        for one in held:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                try:
                    closed += not one.recv(10)
                except ConnectionError:
                    closed += 1
        assert closed >= 4
    wait(lambda: s.send(s.head(), s.body)[0] == 200)


def rule_no_path_leads_out(s: Served) -> None:
    paths = ["/../../../../etc/passwd", "//etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/%00",
             "/..%2f..%2f..%2fetc%2fpasswd",
             "/page/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "/page/%2fetc%2fpasswd", "/....//....//etc/passwd",
             "/page/..\\..\\etc\\passwd", "/api/runs/..%2f..%2fetc/rows", "http://evil.example/etc/passwd"]  # fmt: skip
    for path in paths:
        for method in (b"GET", b"POST", b"PUT", b"DELETE"):
            line = s.head().split(b"\r\n", 1)[1]
            status, said = s.send(method + b" " + path.encode() + b" HTTP/1.1\r\n" + line, s.body)
            assert status != 200, (method, path, said)
            assert PASSWD not in said


def rule_requests_in_one_piece_are_each_looked_at(s: Served) -> None:
    whole = s.head() + s.body
    with s.connected() as found:
        found.sendall(whole + s.head(token=None) + s.body)
        found.settimeout(10)
        said = b""
        with contextlib.suppress(ConnectionError):
            while said.count(b"HTTP/1.1 ") < 2 and (block := found.recv(65536)):
                said += block
    assert [status_of(b"HTTP/1.1 " + part) for part in said.split(b"HTTP/1.1 ")[1:]] == [200, 401], said


def rule_bytes_that_are_no_text(s: Served) -> None:
    assert s.send(b"\xff\xfe\x00\x01" * 50 + b"\r\n\r\n")[0] in (0, 400)
    assert s.send(b"\r\n" * 100)[0] in (0, 400, 408)
    assert s.send(s.head().replace(s.path.encode(), b"/\xff\xfe", 1), s.body)[0] in (0, 400, 404)
    assert s.send(s.head(more="X-\xff: \xfe\xff\r\n"), s.body)[0] in (200, 400)
    if s.takes_bodies:
        for body in (b"\xff\xfe{", b'{"queries": ["\xff"]}', b"[" * 200_000, b"\x00" * 10):
            assert s.send(s.head(length=len(body)), body)[0] in (400, 422)


def rule_a_method_that_is_none(s: Served) -> None:
    for method in (b"TRACE", b"CONNECT", b"OPTIONS", b"X" * 300):
        status, said = s.send(s.head().replace(s.method.encode(), method, 1), s.body)
        assert status not in (200, 204), (method, said)


RULES = {name.removeprefix("rule_"): rule for name, rule in list(globals().items()) if name.startswith("rule_")}


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("rule", RULES)
def test_a_server_keeps_a_rule(served: Served, rule: str) -> None:
    served.alive()
    RULES[rule](served)
    wait(lambda: served.send(served.head(), served.body)[0] == 200)


# The door -----------------------------------------------------------------------------------------------------------


def test_a_page_of_another_origin_is_refused() -> None:
    door = Door(None, "127.0.0.1")
    here = [("Host", "127.0.0.1:8000")]
    assert door.refusal(here) is None
    assert door.refusal([*here, ("Origin", "http://127.0.0.1:8000")]) is None
    for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example", "http://[", ""):
        refused = door.refusal([*here, ("Origin", origin)])
        assert (refused is None) == (origin == ""), origin


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.org", ""])
def test_without_a_token_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(UsageError, match="this machine only"):
        open_door(host, no_token=True)
    assert Door(Secret(TOKEN), host).refusal([("Host", "any.name"), ("Authorization", f"Bearer {TOKEN}")]) is None


def test_a_server_of_pages_has_no_name_but_its_own() -> None:
    """Another name, which its owner can point here, brings that owner's page; a literal address brings nobody's."""
    ours = ["localhost:80", "127.0.0.1:80", "[::1]"]
    cases = {
        "127.0.0.1": ([], ["10.0.0.7", "any.name", "0.0.0.0"]),
        "10.0.0.7": (["10.0.0.7:8000"], ["10.0.0.8", "any.name", "10.0.0.7.evil.example", "[fe80::1]"]),
        "a.name": (["A.name:8000"], ["any.name", "10.0.0.7", "a.name.evil.example"]),
        "0.0.0.0": (["10.0.0.7:1", "[fe80::1]:8000", "0.0.0.0"], ["any.name", "10.0.0.7.evil.example", "", "a b"]),
        "::": (["10.0.0.7:1", "[fe80::1]:8000", "[::]"], ["any.name", "localhost.evil", "10.0.0.7@evil.example"]),
    }
    for host, (known, others) in cases.items():
        door = PageDoor(Secret(TOKEN), host)
        for name in (*ours, *known):
            assert door.refusal([("Host", name)], free=True) is None, (host, name)
            assert door.refusal([("Host", name), ("Authorization", f"Bearer {TOKEN}")]) is None, (host, name)
            refused = door.refusal([("Host", name)])
            assert refused is not None
            assert refused.status == 401
        for name in others:
            refused = door.refusal([("Host", name), ("Authorization", f"Bearer {TOKEN}")])
            assert refused is not None
            assert refused.status == 421, (host, name)
            assert door.refusal([("Host", name)], free=True) == refused


def test_a_server_of_pages_is_asked_by_its_own_pages_alone() -> None:
    door = PageDoor(Secret(TOKEN), "0.0.0.0")
    for origin in ("http://6.6.6.6", "http://6.6.6.6:8000", "http://10.0.0.7:8001", "http://any.name:8000", "null"):
        refused = door.refusal([("Host", "10.0.0.7:8000"), ("Origin", origin)], free=True)
        assert refused is not None
        assert refused.status == 403, origin
    assert door.refusal([("Host", "10.0.0.7:8000"), ("Origin", "http://10.0.0.7:8000")], free=True) is None


def test_a_connection_lasts_however_much_its_requests_are_together() -> None:
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'agentgym-suite[view]'")
    import httpx

    from agentgym.serving import asgi

    async def app(scope, receive, send) -> None:
        size = len((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"%6d" % size})

    config = asgi.configured(app, Door(None, "127.0.0.1"), 0, max_body=50_000, lifespan="off")
    with running(uvicorn.Server(config)) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as ask:
        for _ in range(12):
            assert int(ask.post("/", content=b"x" * 50_000).text) == 50_000


@pytest.mark.parametrize("there", ["short", "", "word and word and word", "token/of/a/test/0123456789", "é" * 20])
def test_a_token_that_stands_in_an_address_is_plain(tmp_path: Path, there: str) -> None:
    made = kept_token(tmp_path / "made", in_address=True)
    assert kept_token(tmp_path / "made", in_address=True).same(made.reveal())
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
    (tmp_path / "token").write_text(there + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match="token"):
        kept_token(tmp_path / "token", in_address=True)
    for path, said in ((tmp_path, "cannot be read"), (tmp_path / "none" / "token", "cannot be written")):
        with pytest.raises(UsageError, match=said):
            kept_token(path, in_address=True)


def test_a_token_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    door, said = open_door("127.0.0.1", path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() not in said
    again, _ = open_door("127.0.0.1", path)
    assert door.token is not None
    assert again.token is not None
    assert again.token.same(door.token.reveal())
    path.write_text("short\n")
    with pytest.raises(UsageError, match="at least 16"):
        open_door("127.0.0.1", path)
    with pytest.raises(UsageError, match="not both"):
        open_door("127.0.0.1", path, no_token=True)


def test_servers_that_start_together_share_one_whole_token(tmp_path: Path) -> None:
    for round in range(20):
        path = tmp_path / f"token-{round}"
        with ThreadPoolExecutor(8) as pool:
            found = {token.reveal() for token in pool.map(kept_token, [path] * 8)}
        assert len(found) == 1
    assert len(list(tmp_path.iterdir())) == 20


def test_every_command_that_serves_is_local_and_asks_for_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    from agentgym.cli import serving

    names = [name for name in serving.app if not name.startswith("-")]
    assert set(names) == {"retriever", "mcp"}  # Another server belongs in SERVERS.
    import inspect

    for function in (serving.retriever, serving.mcp):
        defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
        assert (defaults["host"], defaults["no_token"], defaults["token_file"]) == ("127.0.0.1", False, None)
