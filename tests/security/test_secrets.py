"""Canaries in every place that a key can be in, and a search for them in everything that real runs leave behind."""

from __future__ import annotations

import base64
import contextlib
import copy
import importlib.util
import json
import logging
import os
import pickle
import random
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentgym import records, secrets
from agentgym.cli import main
from agentgym.errors import ConfigError, UsageError
from agentgym.host.process import Worker, WorkerSettings
from agentgym.recipe import load_recipe
from agentgym.secrets import SHOWN, Secret, find, hide, redact, redact_words, refuse_literals, scrubbed

HERE = Path(__file__).parent
LEAKY = f"{HERE / 'leaky.py'}:SPEC"
KEYS = {
    "OPENAI_API_KEY": "CANARY-openai-5up3r",
    "HF_TOKEN": "CANARY-hf-0v3n",
    "WANDB_API_KEY": "CANARY-wandb-1mp0rt4nt",
    "JUDGE_KEY": 'CANARY-judge-"quoted"-\\back',
    "DB_PASSWORD": "CANARY db with spaces",
}
URL_PASSWORD = "CANARY-url-pa55"
OPTION = "CANARY-option-0pt10n"


def forms(value: str) -> set[bytes]:
    """What a value may look like in a file; backwards, where something had it that should not."""
    plain = {value, value[::-1], json.dumps(value)[1:-1], json.dumps(value[::-1])[1:-1], repr(value)[1:-1]}
    # In the middle of something longer base64 begins at one of three places.
    encoded = {base64.b64encode(b"x" * shift + value.encode())[4:-4].decode() for shift in range(3)}
    return {form.encode() for form in plain | encoded}


def found_in(*places: Path, said: str = "", also: tuple[str, ...] = ()) -> list[str]:
    """Where a canary is."""
    wanted = [(value, forms(value)) for value in (*KEYS.values(), URL_PASSWORD, OPTION, *also)]
    texts = {"what was printed": said.encode("utf-8", "surrogateescape")}
    for place in places:
        texts |= {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert len(texts) > len(places)
    return [
        f"{value} in {name}" for name, text in texts.items() for value, ways in wanted if any(w in text for w in ways)
    ]


class Echo(BaseHTTPRequestHandler):
    """A server that answers with everything it was sent, in answers of every kind, one after the other."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        echo = f"{dict(self.headers)} {self.headers.get('Authorization')}"
        number = self.server.count = self.server.count + 1  # type: ignore[attr-defined]
        if "echo-judge" in self.path:
            status, content = 200, {"choices": [{"message": {"content": verdict(body) + (echo if number % 2 else "")}}]}
        else:
            # So long that what is cut off after some hundred characters is cut within a key.
            padded = "p" * (number * 7 % 300) + echo
            status, content = [
                (500, {"error": {"message": padded}}),
                (200, {"choices": [{"message": {"content": f"go {echo}"}, "finish_reason": "stop"}], "usage": {}}),
                (429, {"error": padded}),
                (200, {"choices": [{"message": {"content": 7, "x": echo}}]}),
                (503, [padded]),
                (200, {"choices": [{"message": {"content": f"{echo}"}, "finish_reason": "stop"}]}),
            ][number % 6]
        sent = json.dumps(content).encode()
        self.send_response(status, "CANARY" if status == 200 else "no")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the test's output."""


def verdict(body: bytes) -> str:
    path = HERE.parent / "learning" / "judge_server.py"
    spec = importlib.util.spec_from_file_location("judge_of_secrets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return json.dumps(module.verdict(json.loads(body)["messages"]))


@contextlib.contextmanager
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.count = 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own, with canaries in its variables."""
    environ = {**os.environ, **KEYS, "AGENTGYM_CACHE": str(folder / "cache"), "HOME": str(folder)}
    environ["SOME_PROXY"] = f"http://ann:{URL_PASSWORD}@proxy.example:3128"
    return subprocess.run(
        [sys.executable, "-m", "agentgym.cli", *words],
        cwd=folder, env=environ, text=True, capture_output=True, timeout=240, errors="surrogateescape",
    )  # fmt: skip


# Whole runs ---------------------------------------------------------------------------------------------------------


def test_an_evaluation_keeps_them(tmp_path: Path) -> None:
    """A server that shows what it was sent, environments that tell what they can find, raise and die."""
    with echo() as address:
        done = run(
            "eval", LEAKY, "--policy", "openai", "--model", "m", "--tasks", "6", "--attempts", "2", "--slots", "2",
            "-p", "retries=2", "-p", "backoff=0.01", "-p", f"base_url=http://{address}/v1", "-o", f"note={OPTION}",
            "--save", "saved", folder=tmp_path,
        )  # fmt: skip
        with_password = run(
            "eval", LEAKY, "--policy", "openai", "--model", "m", "--tasks", "3",
            "-p", "retries=1", "-p", "backoff=0.01", "-p", f"base_url=http://ann:{URL_PASSWORD}@{address}/v1",
            "--save", "second", folder=tmp_path,
        )  # fmt: skip
    reported = run("report", "saved", folder=tmp_path)
    said = "".join(each.stdout + each.stderr for each in (done, with_password, reported))
    log = (tmp_path / "saved" / "trajectories.jsonl").read_text()
    assert "infra_error" in log, said
    assert "success" in log, said
    assert "no room" in log
    assert SHOWN in log
    assert SHOWN in (tmp_path / "second" / "run.json").read_text()
    assert (tmp_path / "saved" / "report.html").exists(), said
    leaks = [
        leak for leak in found_in(tmp_path, said=said) if OPTION not in leak
    ]  # An option with a plain name is data.
    assert leaks == []


def test_a_training_run_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A judge that shows what it was sent, checkpoints, trackers, the report and the cache of verdicts."""
    to = [name for name in ("tensorboard", "wandb") if importlib.util.find_spec(name)]
    with echo() as address:
        (tmp_path / "recipe.toml").write_text(
            f"""
            name = "told"
            env = {{ id = "{LEAKY}", options = {{ quiet = true }} }}
            model = {{ ref = "scratch:tiny?hidden=32&layers=1" }}
            sampling = {{ max_tokens = 4 }}
            rollout = {{ processes = 1 }}
            trainer = {{ iterations = 1, tasks = 2, group = 2 }}
            eval = {{ tasks = 1 }}
            track = {{ to = {json.dumps(to)} }}
            [[scorers]]
            use = "judge"
            model = "judge"
            api_key_env = "JUDGE_KEY"
            base_url = "http://{address}/echo-judge"
            retries = 1
            backoff = 0.01
            neutral = 0.5
            [[credit]]
            use = "renorm"
            [[credit]]
            use = "grpo"
            """
        )
        for name, value in {**KEYS, "AGENTGYM_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        code = main(["train", "recipe.toml"])
    said = capfd.readouterr()
    assert code == 0, said.err
    folder = tmp_path / "runs" / "told"
    assert list((folder / "checkpoints").glob("*/meta.json"))
    assert (folder / "report.html").exists()
    assert list(tmp_path.glob("cache/**/*.json")), "the judge's replies are not kept"
    assert list(folder.glob("wandb/*/*.wandb")) or "wandb" not in to
    assert "you see" in (folder / "trajectories.jsonl").read_text()
    assert found_in(tmp_path, said=said.out + said.err) == []


def test_an_error_that_nobody_expected_keeps_them(tmp_path: Path) -> None:
    """The traceback of a bug, and a log line, in the command's own process."""
    key = KEYS["OPENAI_API_KEY"]
    script = (
        "import logging, sys\n"
        "from agentgym import cli\n"
        "from agentgym.cli import machine\n"
        "def bug(*a, **k):\n"
        f"    logging.getLogger('x').warning('with %s', {key!r})\n"
        f"    raise KeyError({key!r})\n"
        "cli.app.command(bug, name='bug')\n"
        "sys.argv = ['agentgym', 'bug']\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **KEYS}, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 1
    assert "KeyError" in done.stderr
    assert f"with {SHOWN}" in done.stderr
    # The source line is quoted, and it has the key only because this test wrote it there: it goes, too.
    assert key not in done.stderr


# Recipes and command lines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scorers.0.api_key", "CANARY-in-a-file"),
        ("scorers.0.extra.authorization", "Bearer CANARY-in-a-file"),
        ("scorers.0.api_key_env", "sk-CANARYCANARYCANARY"),
        ("scorers.0.base_url", "http://ann:CANARY-in-a-file@host/v1"),
        ("sampler.token", "CANARY-in-a-file"),
        ("env.options.password", "CANARY-in-a-file"),
        ("env.options.note", "hf_CANARYCANARYCANARYCANARY"),
    ],
)
def test_a_key_in_a_recipe_is_refused_and_not_repeated(
    key: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(HERE.parents[1] / "recipes" / "credit" / "renorm.toml")
    assert main(["train", recipe, f"--{key}", value, "--dry-run"]) == 2
    said = capsys.readouterr()
    assert key in said.err
    assert "CANARY" not in said.err + said.out


def test_what_is_no_key_is_no_key() -> None:
    recipe = HERE.parents[1] / "recipes" / "credit" / "renorm.toml"
    assert (
        load_recipe(recipe, {"scorers.0.api_key_env": "MY_KEY", "scorers.0.max_tokens": 64}).scorers[0]["max_tokens"]
        == 64
    )
    for found in sorted((HERE.parents[1] / "recipes").rglob("*.toml")):
        text = found.read_text()
        assert redact(text) == text, found
    with pytest.raises(ConfigError, match="scorers"):
        load_recipe(recipe, {"scorers.0.retries": "CANARY"})


def test_a_command_line_is_written_down_without_them() -> None:
    words = ["eval", "x", "-p", f"api_key={OPTION}", "--judge.token", OPTION, f"--a.password={OPTION}",
             "-p", f"base_url=https://ann:{OPTION}@host/v1", "--max-tokens", "64", "--seed", "3",
             "recipes/a.toml"]  # fmt: skip
    shown = redact_words(words)
    assert OPTION not in " ".join(shown)
    assert shown[-5:] == ["--max-tokens", "64", "--seed", "3", "recipes/a.toml"]


# Clients ------------------------------------------------------------------------------------------------------------


def test_a_retriever_that_tells_what_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentgym.retrieval import HttpRetriever, RetrieverError

    monkeypatch.setenv("RETRIEVER_TOKEN", OPTION)
    monkeypatch.setattr("agentgym.retrieval.http.PAUSE", 0.0)
    with echo() as address:
        for number in range(20):
            client = HttpRetriever(
                f"http://ann:{URL_PASSWORD}@{address}", retries=number % 2, token=find("RETRIEVER_TOKEN")
            )
            with pytest.raises(RetrieverError) as caught:
                client.search(["q"], 1)
            client.close()
            assert not any(
                form in str(caught.value).encode() for value in (OPTION, URL_PASSWORD) for form in forms(value)
            )
            assert "CANARY" not in str(caught.value).replace("200 CANARY", "")


def test_an_mcp_server_that_tells_what_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'agentgym-suite[mcp]'")
    from agentgym import registry
    from agentgym_envs.tools.mcp.tasks import tasks  # noqa: F401 - that there is such a module

    monkeypatch.setenv("MCP_KEY", OPTION)
    server = tmp_path / "server.py"
    server.write_text(
        "import os\n"
        "from mcp.server.mcpserver import MCPServer\n"
        "server = MCPServer('told')\n"
        "@server.tool()\n"
        "def tell() -> str:\n"
        "    return repr(dict(os.environ)) + os.environ.get('MCP_KEY', 'none')[::-1]\n"
        "server.run()\n"
    )
    for names, had in (((), False), (("MCP_KEY",), True)):
        env = registry.make("mcp-v0", server=f"{sys.executable} {server}", pass_env=names)
        try:
            task = registry.tasks("mcp-v0", "train")[0]
            env.reset(seed=0, options={"task": task})
            text = env.step('{"name": "tell", "arguments": {}}').observation.text
        finally:
            env.close()
        assert (OPTION[::-1] in text) == had, text
        assert OPTION not in text


# The parts ----------------------------------------------------------------------------------------------------------


def test_a_secret_does_not_show() -> None:
    secret = Secret(OPTION)
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>20}",
        json.dumps([secret], default=str),
    ]
    assert not any(OPTION in text for text in shown)
    assert copy.deepcopy({"a": secret})["a"] is secret
    assert secret.same(OPTION)
    assert not secret.same(OPTION[:-1])
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_a_key_comes_from_a_variable_or_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("A_KEY", " abc-def-ghi \n")
    monkeypatch.delenv("NO_KEY", raising=False)
    (tmp_path / "key").write_text("from-a-file\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    found = find("A_KEY")
    assert found is not None
    assert found.reveal() == "abc-def-ghi"
    assert find("NO_KEY") is None
    assert find() is None
    from_file = find("A_KEY", tmp_path / "key")
    assert from_file is not None
    assert from_file.reveal() == "from-a-file"
    for bad in ("empty", "bytes", "absent"):
        with pytest.raises(UsageError, match=bad):
            find(file=tmp_path / bad)
    for key in ("sk-0123456789abcdef0123", "hf_0123456789abcdef0123", "with space", "a-b"):
        with pytest.raises(UsageError, match="name of the environment variable") as caught:
            find(key)
        assert key not in str(caught.value)
    monkeypatch.setenv("A_KEY", "line\nbreak")
    with pytest.raises(UsageError, match="no header can carry"):
        find("A_KEY")


@pytest.mark.parametrize(
    "text",
    [
        "https://ann:{}@host/v1", "Authorization: Bearer {}", "{{'authorization': 'Bearer {}'}}", "x-api-key: {}",
        'api_key="{}"', "password={}", '"access_token": "{}"', "Cookie: session={}", "Basic {}==", "?token={}&x=1",
    ],
)  # fmt: skip
def test_what_stands_where_keys_stand_goes(text: str) -> None:
    key = "4bcd3fgh1jkl"
    assert key not in redact(f"before {text.format(key)} after")
    assert redact(f"before {text.format(key)} after").startswith("before ")
    assert "after" in redact(f"before {text.format(key)} after")


@pytest.mark.parametrize(
    "text",
    [
        "the password is unknown", "a basic understanding of tokens", "max_tokens=512", "unexpected token: foo",
        "http://127.0.0.1:8000/v1: HTTP 503: busy", "mail ann@example.org", "key: 'state'", "sk-short",
        "scorers.0.api_key_env: must be the name", "git@host:repo",
    ],
)  # fmt: skip
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


def test_hiding_takes_little_and_leaves_numbers_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "12345678")
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    line = records.dumps({"score": 0.12345678, "ids": [12345678], "text": "box 12345678 is EMPTY"})
    assert json.loads(line) == {"score": 0.12345678, "ids": [12345678], "text": f"box {SHOWN} is EMPTY"}
    for value in KEYS.values():
        monkeypatch.setenv("OTHER_SECRET", value)
        assert json.loads(records.dumps({"t": f"a {value} b", "n": {"d": [value]}})) == {
            "t": f"a {SHOWN} b",
            "n": {"d": [SHOWN]},
        }
    text = json.dumps({"turns": ["word " * 2000] * 10})
    began = time.process_time()
    for _ in range(20):
        hide(text)
    each = (time.process_time() - began) / 20
    assert each < 0.02, f"{each * 1e3:.2f} ms for {len(text) >> 10} KB"


def test_redaction_of_long_hostile_text_is_quick() -> None:
    for text in ("a-" * 50_000, "eyJ" * 30_000, "://" * 30_000, "http://" + "a" * 90_000, "token=" * 20_000,
                 "-----BEGIN PRIVATE KEY-----" * 4_000, "authorization" * 8_000, "bearer " * 15_000):  # fmt: skip
        began = time.process_time()
        redact(text)
        assert time.process_time() - began < 3.0, text[:20]


def test_no_text_makes_redaction_fail() -> None:
    rng = random.Random(0)
    pieces = [
        "://",
        "@",
        ":",
        "token=",
        "Bearer ",
        "eyJ",
        ".",
        "'",
        '"',
        "\x00",
        "\ud800",
        "sk-",
        *string.ascii_letters,
    ]
    for _ in range(500):
        text = "".join(rng.choices(pieces, k=rng.randrange(40)))
        assert redact(redact(text)) == redact(text) or SHOWN in redact(text)


def test_the_process_of_an_environment_gets_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SOME_PROXY", f"http://ann:{URL_PASSWORD}@proxy:3128")
    monkeypatch.setenv("PLAIN", "stays")
    monkeypatch.setenv("HIDDEN_IN", f"--key={KEYS['HF_TOKEN']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/agent")
    monkeypatch.setenv(secrets.PASS, "HF_TOKEN, NOT_SET")

    def given(options: dict[str, Any]) -> set[str]:
        worker = Worker(WorkerSettings(spec="keydoor-v0", options=options))
        try:
            raw, until = b"", time.monotonic() + 20
            while not raw and time.monotonic() < until:  # A moment after it has begun there is nothing to read yet.
                raw = Path(f"/proc/{worker.pid}/environ").read_bytes()
        finally:
            worker.kill("test")
        return {entry.partition(b"=")[0].decode() for entry in raw.split(b"\0") if entry}

    names = given({})
    assert {"PLAIN", "PATH", "HF_TOKEN"} <= names  # One was let through by name.
    assert not names & {"OPENAI_API_KEY", "WANDB_API_KEY", "JUDGE_KEY", "DB_PASSWORD", "SOME_PROXY", "SSH_AUTH_SOCK"}
    assert "OPENAI_API_KEY" in given({"token_env": "OPENAI_API_KEY"})
    assert "JUDGE_KEY" in given({"pass_env": ["JUDGE_KEY"]})


def test_scrubbing_knows_names_and_values() -> None:
    given = {"A": "1", "MY_API_KEY": "x", "TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "5", "U": "s3://a:b@c/d",
             "KEYBOARD": "us", "PGPASSWORD": "x", "AWS_SECRET_ACCESS_KEY": "x", "GITHUB_PAT": "x"}  # fmt: skip
    assert set(scrubbed(given)) == {"A", "TOKENIZERS_PARALLELISM", "MAX_TOKENS", "KEYBOARD"}
    assert "GITHUB_PAT" in scrubbed({**given, secrets.PASS: "GITHUB_PAT"})


def test_logs_of_other_packages_are_redacted() -> None:
    record = logging.LogRecord("httpx", logging.INFO, "", 0, "HTTP Request: POST %s", ("http://a:hunter22@h/v1",), None)
    assert "hunter22" not in secrets.RedactingFormatter().format(record)
    try:
        httpx.Headers({"authorization": "Bearer 4bcd3fgh1jkl"})["absent"]
    except KeyError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "password=4bcd3fgh1jkl", (), sys.exc_info())
        assert "4bcd3fgh1jkl" not in secrets.RedactingFormatter().format(record)


def test_a_literal_is_found_wherever_it_is() -> None:
    assert refuse_literals({"a": [{"b": {"c": ["x", {"secret": "y"}]}}]}) is not None
    assert refuse_literals({"a": {"token": ""}, "tokens": "abc", "keys": ["k"], "key": "red", "secretary": "x"}) is None
