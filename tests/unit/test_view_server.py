"""The server of `agentgym view` over real sockets: who may ask, what comes back, and who goes away in the middle."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from view_cases import HOSTILE, made, one, played

from agentgym.errors import MissingExtraError, UsageError
from agentgym.registry import missing_module
from agentgym.store import RunFolder
from agentgym.view.data import open_runs
from agentgym.view.rows import Query

server = pytest.importorskip("agentgym.view.server", reason="needs the extra 'view' (starlette, uvicorn)")


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("server")
    runs = open_runs([made(root, "a", 0), made(root, "b", 1)])
    with server.Viewer(runs) as opened:
        yield opened


def client(viewer: Any, token: str | None = "", **more: Any) -> httpx.Client:
    given = viewer.token if token == "" else token
    headers = {} if given is None else {"Authorization": f"Bearer {given}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{viewer.port}", headers=headers, timeout=60, **more)


def test_every_answer_is_what_the_data_says(viewer: Any) -> None:
    run = viewer.watch.runs[1]
    with client(viewer) as ask:
        deadline = time.monotonic() + 30
        while ask.get("/api/runs").json()["runs"][1]["total"] < 6 + 2 * len(played()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ask.get("/api/runs/1/trajectories/7")  # Its prompt has the tasks listed: from then on rows have their kind.
        for path, right in (
            ("rows?sort=score&desc=1&limit=5", run.rows(Query(sort="score", desc=True, limit=5))),
            ("rows", run.rows()),
            ("metrics?since=2", run.metrics(2)),
            ("trajectories/7", run.trajectory(7)),
            ("trajectories/7?full=1", run.trajectory(7, full=True)),
            ("trajectories/7/credit", run.credit(7)),
        ):
            assert ask.get(f"/api/runs/1/{path}").json() == json.loads(json.dumps(right)), path
        group = run.index.group.of(7)
        found = ask.get(f"/api/runs/1/groups/{group.replace(':', '%3A')}", params={"phase": "train", "iteration": 0})
        assert found.json() == json.loads(json.dumps(run.groups(group, "train", 0)))
        names = {one["label"] for one in ask.get("/api/curves").json()["series"]}
        assert names == {"keydoor-v0 (2 seeds)"}


def test_only_who_has_the_token_sees_data(viewer: Any) -> None:
    paths = ("/api/runs", "/api/curves", "/api/version", "/api/runs/0/rows", "/api/runs/0/trajectories/0")
    for token in (None, "x", viewer.token[:-1], viewer.token + "x", viewer.token.upper(), "é"):
        headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
        with httpx.Client(base_url=f"http://127.0.0.1:{viewer.port}", headers=headers) as ask:
            for path in paths:
                found = ask.get(path)
                assert found.status_code == 401, (token, path)
                assert list(found.json()) == ["error"]
            assert ask.get(f"/api/runs?token={viewer.token}").status_code == 401, (
                "no token in an address that is logged"
            )
    with client(viewer) as ask:
        assert {ask.get(path).status_code for path in paths} == {200}
        basic = ask.get("/api/runs", headers={"Authorization": f"Basic {viewer.token}"})
        assert basic.status_code == 401


def test_another_name_for_this_machine_is_refused(viewer: Any) -> None:
    with client(viewer) as ask:
        for host in ("evil.example", f"evil.example:{viewer.port}", "127.0.0.1.evil.example", "", "10.1.2.3"):
            for path in ("/", "/api/runs", "/page/main.js", "/api/version"):
                assert ask.get(path, headers={"Host": host}).status_code == 421, (host, path)
        for host in (f"localhost:{viewer.port}", f"127.0.0.1:{viewer.port}", "[::1]:80"):
            assert ask.get("/api/runs", headers={"Host": host}).status_code == 200


def test_at_every_address_it_answers_to_addresses_and_to_no_names(tmp_path: Path) -> None:
    with server.Viewer(open_runs([made(tmp_path)]), host="0.0.0.0") as everywhere, client(everywhere) as ask:
        for host, status in (("10.1.2.3", 200), ("[fe80::1]:80", 200), ("localhost", 200), ("evil.example", 421)):
            for path in ("/", "/api/runs", "/page/main.js", "/api/version"):
                assert ask.get(path, headers={"Host": host}).status_code == status, (host, path)


def test_only_the_page_and_its_files_need_no_token(viewer: Any) -> None:
    with client(viewer, token=None) as ask:
        for path in ("/", "/page/main.js"):
            assert ask.get(path).status_code == 200
            assert ask.get(path, headers={"Origin": "http://evil.example"}).status_code == 403
            assert ask.get(path, headers={"Origin": f"http://127.0.0.1:{viewer.port}"}).status_code == 200
        for path in ("/api/runs", "/api/version", "/api", "/nothing", "/page"):
            found = ask.get(path)
            assert found.status_code == 401, path
            assert "open the address" in found.json()["error"]
            assert found.headers["x-content-type-options"] == "nosniff"
        assert ask.get("/page/..%2fapi%2fruns").status_code == 404


def test_nothing_can_be_written_and_no_file_can_be_reached(viewer: Any) -> None:
    with client(viewer) as ask:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert ask.request(method, "/api/runs").status_code == 405
        for name in ("../server.py", "..%2fserver.py", "%2e%2e%2fserver.py", "/etc/passwd", ".", "x" * 200, "a%00.js"):
            assert ask.get(f"/page/{name}").status_code == 404
        for path in (
            "/api/runs/9/rows",
            "/api/runs/0/trajectories/99999",
            "/api/runs/0/groups/none",
            "/nothing",
        ):
            assert ask.get(path).status_code == 404, path
        for path in (
            "/api/runs/x/rows",
            "/api/runs/-1/rows",
            "/api/runs/0/trajectories/1e3",
            "/api/runs/0/rows?limit=99999999999999999999",
            "/api/runs/0/rows?sort=;",
            "/api/runs/0/metrics?since=-1",
            "/api/version?wait=x",
            "/api/runs/0/trajectories/0/tokens?by=x",
            "/api/runs/0/trajectories/0/tokens?by=ratio",
        ):
            found = ask.get(path)
            assert found.status_code == 400, path
            assert len(found.json()["error"]) > 10
        assert ask.get("/api/runs/0/rows?q=" + "x" * 9000).status_code in (400, 414)
        for path in ("/", "/page/x.js", "/api/version", "/api/runs", "/nothing"):
            assert ask.get(f"{path}?q={'x' * 9000}").status_code == 414, path
        assert ask.head("/api/runs").status_code == 200


def test_the_page_may_run_its_own_scripts_only(viewer: Any) -> None:
    with client(viewer, token=None) as ask:
        found = ask.get("/")
        assert found.status_code == 200
        policy = found.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in policy
        for name, value in server.HEADERS.items():
            assert found.headers[name] == value
        for name in [part.split('"')[0] for part in found.text.split('="page/')[1:]]:
            file = ask.get(f"/page/{name}")
            assert file.status_code == 200, name
            assert file.headers["x-content-type-options"] == "nosniff"
        assert found.headers.get("content-encoding") == "gzip" or len(found.text) < 2000


def test_hostile_text_comes_back_as_it_was(tmp_path: Path) -> None:
    with RunFolder.create("a", tmp_path) as run:
        run.trajectories.append(one(HOSTILE, HOSTILE))
    with server.Viewer(open_runs([tmp_path / "a"])) as viewer, client(viewer) as ask:
        wait_for(ask, 1)
        found = ask.get("/api/runs/0/trajectories/0")
        assert found.headers["content-type"] == "application/json"
        assert json.loads(found.content)["turns"][0]["observation"]["text"] == HOSTILE
        assert found.content.isascii()


def wait_for(ask: httpx.Client, count: int) -> None:
    deadline = time.monotonic() + 30
    while ask.get("/api/runs").json()["runs"][0]["total"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_written_comes_at_once(tmp_path: Path) -> None:
    with RunFolder.create("a", tmp_path) as run:  # noqa: SIM117
        with server.Viewer(open_runs([tmp_path / "a"])) as viewer, client(viewer) as ask:
            run.trajectories.append(one("first"))
            wait_for(ask, 1)
            time.sleep(1.0)  # What comes after the first look (tasks, the lock) is over.
            version = ask.get("/api/version").json()["version"]
            began = time.monotonic()
            assert ask.get(f"/api/version?since={version}&wait=1").json()["version"] == version
            assert time.monotonic() - began > 0.9
            threading.Timer(0.5, run.trajectories.append, (one("second"),)).start()
            began = time.monotonic()
            assert ask.get(f"/api/version?since={version}&wait=25").json()["version"] > version
            assert 0.4 < time.monotonic() - began < 15
            assert [row["id"] for row in ask.get("/api/runs/0/rows").json()["rows"]] == ["first", "second"]
            assert ask.get("/api/runs").json()["runs"][0]["live"] is True


def test_a_browser_that_goes_away_costs_nothing(tmp_path: Path) -> None:
    with RunFolder.create("a", tmp_path) as run:
        run.trajectories.append(one("small"))
        run.trajectories.append(one("huge", "z" * 6_000_000))  # Five texts of a turn, two turns: 50 MB and more.
        assert run.trajectories.path.stat().st_size > 50_000_000
    with server.Viewer(open_runs([tmp_path / "a"])) as viewer, client(viewer) as ask:
        wait_for(ask, 2)
        process = os.getpid()
        whole = ask.get("/api/runs/0/trajectories/1?full=1", timeout=120)
        assert 1_000_000 < len(whole.content) < 6_000_000
        assert len(ask.get("/api/runs/0/trajectories/1").content) < 1_000_000
        descriptors = len(os.listdir(f"/proc/{process}/fd"))
        waits = [("/api/version?since=1&wait=25", 0)] * 6
        for path, read in (*waits, ("/api/runs/0/trajectories/1?full=1", 1000), ("/api/runs/0/trajectories/1", 0)):
            with socket.create_connection(("127.0.0.1", viewer.port)) as raw:
                head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {viewer.token}\r\n\r\n"
                raw.sendall(head.encode())
                if read:
                    raw.recv(read)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # Away with a reset.
        for junk in (b"\x16\x03\x01", b"GET / HTTP/9.9\r\n\r\n", b"A" * 200_000):
            with socket.create_connection(("127.0.0.1", viewer.port)) as raw:
                raw.settimeout(10)
                try:
                    raw.sendall(junk)
                    raw.recv(100)
                except OSError:
                    pass  # It hung up on us: that is an answer.
        assert ask.get("/api/runs/0/trajectories/0").json()["id"] == "small"
        deadline = time.monotonic() + 20
        while viewer._waiting or len(os.listdir(f"/proc/{process}/fd")) > descriptors + 3:
            assert time.monotonic() < deadline, "requests of those who went away are still held"
            time.sleep(0.1)


def test_half_written_runs_are_shown(tmp_path: Path) -> None:
    path = made(tmp_path, iterations=1)
    log = path / "trajectories.jsonl"
    log.write_bytes(log.read_bytes()[:-100])
    with server.Viewer(open_runs([path])) as viewer, client(viewer) as ask:
        wait_for(ask, 6 + len(played()) - 1)
        (about,) = ask.get("/api/runs").json()["runs"]
        assert "half written" in about["warnings"][0]
        assert "indexing" not in about
        log.unlink()
        time.sleep(0.1)
        assert ask.get("/api/runs/0/trajectories/0").status_code == 404
        assert ask.get("/api/curves").status_code == 200


def test_an_address_that_is_taken_is_said(viewer: Any, tmp_path: Path) -> None:
    runs = open_runs([made(tmp_path)])
    with pytest.raises(UsageError, match="cannot listen"):
        server.Viewer(runs, port=viewer.port)
    with pytest.raises(UsageError, match="cannot listen"):
        server.Viewer(runs, host="no-such-host.invalid")


def test_what_is_not_installed_is_named() -> None:
    for name in ("starlette", "uvicorn", "textual"):
        error = missing_module("agentgym view", ModuleNotFoundError(f"No module named {name!r}", name=name))
        assert isinstance(error, MissingExtraError)
        assert "agentgym-suite[view]" in str(error)


def test_the_command_prints_an_address_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    path, token = made(tmp_path), tmp_path / "token"
    command = [sys.executable, "-m", "agentgym.cli", "view", str(path), "--token-file", str(token)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address, _, given = process.stdout.readline().strip().partition("/#token=")
        assert given == token.read_text().strip()
        assert token.stat().st_mode & 0o777 == 0o600
        assert address.startswith("http://127.0.0.1:")
        while True:
            found = httpx.get(f"{address}/api/runs/0/rows", headers={"Authorization": f"Bearer {given}"}).json()
            if found["total"]:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        said = process.stderr.read()
    assert "stopped" in said
    assert "Traceback" not in said
    token.write_text("short")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, "16 or more" in ended.stderr) == (2, True)
