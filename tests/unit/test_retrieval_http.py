"""The retriever server and its client, over real sockets: answers, refusals, servers that hang or talk nonsense."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from agentgym.errors import InfraError, UsageError
from agentgym.retrieval import Bm25, Corpus, Hit, HttpRetriever, Passage, RetrieverError, write_corpus
from agentgym.retrieval.server import MAX_BODY, RetrieverServer
from agentgym.retrieval.wire import read_answer, read_request, write_answer
from agentgym.secrets import find

TOWNS = [
    Passage("p0", "Ostrel", "Ostrel is a town by the sea.\nIts lighthouse is old."),
    Passage("p1", "Venn Arlo", "A poet who lived in Ostrel and loved its lighthouse."),
    Passage("p2", "", "Untitled words about a theatre."),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("agentgym.retrieval.http.PAUSE", 0.01)


@pytest.fixture
def client():
    """Makes clients, and closes them in the end."""
    made = []

    def make(*args, **options):
        made.append(HttpRetriever(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@contextmanager
def running(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def url():
    with running(RetrieverServer(Bm25(Corpus.of(TOWNS)))) as address:
        yield address


def scripted(*answers, seen=None):
    """A server that gives one answer after another, the last for ever: (status, text) or a function of the handler."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if seen is not None:
                seen.append(json.loads(body))
            answer = left.pop(0) if len(left) > 1 else left[0]
            if callable(answer):
                answer(self)
                return
            status, text = answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server


GOOD = (200, json.dumps(write_answer([[Hit(TOWNS[0], 1.5)]], True)))


# Server and client --------------------------------------------------------------------------------------------------


def test_what_is_served_is_what_the_index_finds(url, client):
    queries = ["lighthouse", "theatre", "nothing known", "", "\ud800 lighthouse"]
    asked = client(url)
    assert asked.search(queries, 2) == Bm25(Corpus.of(TOWNS)).search(queries, 2)
    assert asked.search([], 2) == []
    assert asked.requests == 1
    asked.close()
    assert asked.search(["poet"], 1)[0][0].passage == TOWNS[1]


def test_the_form_on_the_wire(url):
    found = httpx.post(f"{url}/retrieve", json={"queries": ["poet"], "topk": 1, "return_scores": True}).json()
    document = found["result"][0][0]["document"]
    assert document["contents"] == '"Venn Arlo"\nA poet who lived in Ostrel and loved its lighthouse.'
    assert found["result"][0][0]["score"] > 0
    bare = httpx.post(f"{url}/retrieve", json={"queries": ["poet", "sea"]}).json()
    assert bare["result"][0][0] == document
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        ("{", 400, "Expecting"),
        ("[]", 400, "JSON object"),
        ("{}", 400, '"queries"'),
        ('{"queries": "x"}', 400, '"queries"'),
        ('{"queries": [1]}', 400, '"queries"'),
        ('{"queries": ["x"], "topk": 0}', 400, '"topk"'),
        ('{"queries": ["x"], "topk": true}', 400, '"topk"'),
        ('{"queries": ["x"], "topk": 1e9}', 400, '"topk"'),
        ('{"queries": ["x"], "return_scores": 1}', 400, '"return_scores"'),
        (json.dumps({"queries": ["x"] * 2000}), 400, "more than"),
        ("[" * 100_000, 400, ""),
        (b"\xff\xfe", 400, ""),
    ],
)
def test_requests_that_are_none(url, content, status, said):
    reply = httpx.post(f"{url}/retrieve", content=content)
    assert reply.status_code == status
    assert said in reply.json()["error"]
    assert httpx.get(f"{url}/health").status_code == 200


def test_requests_to_nowhere_and_too_large(url):
    assert httpx.get(f"{url}/etc/passwd").status_code == 404
    assert httpx.post(f"{url}/other", json={}).status_code == 404
    host, port = httpx.URL(url).host, httpx.URL(url).port
    for length in (MAX_BODY + 1, "x", "-5", ""):
        with socket.create_connection((host, port)) as connection:
            connection.sendall(
                f"POST /retrieve HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            assert connection.recv(100).split()[1] in (b"413", b"411")


def test_many_at_once(url, client):
    asked = client(url, cache=0)
    found, expected = [], Bm25(Corpus.of(TOWNS)).search(["lighthouse"], 3)
    threads = [threading.Thread(target=lambda: found.append(asked.search(["lighthouse"], 3))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 16


@pytest.mark.parametrize(("raised", "status"), [(RetrieverError("gone"), 503), (KeyError("secret"), 500)])
def test_a_retriever_that_fails_behind_the_server(raised, status, client):
    class Broken:
        def search(self, queries, most):
            raise raised

    with running(RetrieverServer(Broken())) as address:
        reply = httpx.post(f"{address}/retrieve", json={"queries": ["x"]})
        assert reply.status_code == status
        assert "secret" not in reply.text
        with pytest.raises(RetrieverError, match=f"HTTP {status}"):
            client(address, retries=0).search(["x"], 1)


# The client among bad servers ---------------------------------------------------------------------------------------


def test_what_was_asked_is_remembered(client):
    seen = []
    with running(scripted(GOOD, seen=seen)) as address:
        asked = client(address)
        first = asked.search(["a"], 3)
        assert asked.search(["a"], 3) == first
        asked.search(["a", "a"], 3)
        asked.search(["a"], 2)
        assert [(body["queries"], body["topk"]) for body in seen] == [(["a"], 3), (["a"], 2)]
        forgetful = client(address, cache=1)
        for query in ("a", "b", "a"):
            forgetful.search([query], 3)
        assert len(seen) == 5


def test_a_busy_server_is_asked_again(client):
    with running(scripted((503, "later"), (429, "later"), GOOD)) as address:
        asked = client(address, retries=2)
        assert asked.search(["x"], 1) == [[Hit(TOWNS[0], 1.5)]]
        assert asked.requests == 3


def test_a_refusal_is_not_asked_again(client):
    with running(scripted((400, "topk is odd"))) as address:
        asked = client(address, retries=5)
        with pytest.raises(RetrieverError, match="HTTP 400: topk is odd"):
            asked.search(["x"], 1)
        assert asked.requests == 1


GARBAGE = [
    "", "null", "[]", "{}", '{"result": 3}', '{"result": []}', '{"result": [[], []]}', '{"result": [3]}',
    '{"result": [[3]]}', '{"result": [[{"document": {}}]]}', '{"result": [[{"document": {"text": 3}}]]}',
    '{"result": [[{"document": {"text": "x"}, "score": "high"}]]}',
    '{"result": [[{"document": {"text": "x"}, "score": NaN}]]}',
    '{"result": [[{"document": {"text": "x"}, "score": true}]]}', "[" * 100_000, "<html>", '{"result": [[',
]  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: text[:40] or "empty")
def test_garbage_is_an_infra_error(text, client):
    with running(scripted((200, text))) as address:
        asked = client(address, retries=1)
        with pytest.raises(InfraError, match=r"the answer is not in the form of /retrieve"):
            asked.search(["x"], 3)
        assert asked.requests == 2


def hang(handler):
    time.sleep(2)


def drip(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(40):
        handler.wfile.write(b"X-Slow: 1\r\n")
        handler.wfile.flush()
        time.sleep(0.05)


def cut(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nabc")


def flood(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        for _ in range(10_000):
            handler.wfile.write(b" " * 100_000)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("behaviour", "said"), [(hang, "no whole answer|Timeout"), (drip, "no whole answer"), (cut, "Protocol|peer")]
)
def test_servers_that_hang_or_break_off(behaviour, said, client):
    with running(scripted(behaviour)) as address:
        began = time.monotonic()
        with pytest.raises(RetrieverError, match=said):
            client(address, timeout=0.3, retries=1).search(["x"], 1)
        assert time.monotonic() - began < 10  # Not a speed: that the deadline holds at all.


def test_an_answer_without_end_is_cut_off(monkeypatch, client):
    monkeypatch.setattr("agentgym.retrieval.http.MAX_ANSWER", 1 << 20)
    with running(scripted(flood)) as address, pytest.raises(RetrieverError, match="longer than 1 MB"):
        client(address, retries=0).search(["x"], 1)


def test_a_server_that_is_gone(client):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RetrieverError, match="ConnectError"):
        client(f"http://127.0.0.1:{port}", retries=1).search(["x"], 1)


@pytest.mark.parametrize(
    "given",
    [
        {"url": "wiki"}, {"url": "file:///etc/passwd"}, {"url": "http://"}, {"url": "http://x:y:z"},
        {"url": "http://x", "timeout": 0}, {"url": "http://x", "timeout": float("nan")},
        {"url": "http://x", "retries": -1},
    ],
)  # fmt: skip
def test_wrong_addresses_and_numbers(given):
    with pytest.raises(UsageError, match="retriever"):
        HttpRetriever(**given)


def test_forms_of_other_servers():
    documents = [
        {"id": "3", "contents": '"T"\nwords'},
        {"document": {"title": "T", "text": "other words"}, "score": 2},
        "only words",
    ]
    hits = read_answer({"result": [documents]}, 1, 9)[0]
    assert [hit.passage.title for hit in hits] == ["T", "T", ""]
    assert [hit.score for hit in hits] == [-1.0, 2.0, -3.0]
    assert len({hit.passage.id for hit in hits}) == 3
    assert len(read_answer({"result": [documents]}, 1, 2)[0]) == 2
    assert read_request({"queries": ["a"], "topk": None}, 7) == (["a"], 7, False)


# The command --------------------------------------------------------------------------------------------------------


def test_the_command_serves_a_corpus(tmp_path, client):
    write_corpus(tmp_path / "towns.jsonl", TOWNS)
    words = [sys.executable, "-m", "agentgym.cli", "serve", "retriever", "--corpus", "towns.jsonl", "--port", "0",
             "--token-file", "token"]  # fmt: skip
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "AGENTGYM_CACHE": str(tmp_path / "c")})  # fmt: skip
    try:
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/retrieve", address)
        token = find(file=tmp_path / "token")
        assert client(address, token=token).search(["poet"], 1)[0][0].passage == TOWNS[1]
        with pytest.raises(RetrieverError, match="401"):
            client(address).search(["poet"], 1)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--corpus", "none.jsonl"], "none.jsonl: cannot be read"),
        (["--corpus", "t.jsonl", "--topk", "0"], "--topk"),
        (["--corpus", "t.jsonl", "--port", "70000"], "--port"),
        (["--corpus", "t.jsonl", "--index", "dense"], "needs an encoder"),
        (["--corpus", "t.jsonl", "--host", "256.1.1.1"], "cannot listen at"),
        (["--corpus", "t.jsonl", "--host", "0.0.0.0", "--no-token"], "listens on this machine only"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path, monkeypatch, capsys, words, said):
    from agentgym.cli import main

    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "t.jsonl", TOWNS)
    assert main(["serve", "retriever", *words]) == 2
    assert said in capsys.readouterr().err
