"""What the vLLM sampler does with servers that answer garbage, are another's, or are none: no vLLM is needed here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from http_cases import Handler, Server
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from vllm_cases import ask, prompt, request

from agentgym import models
from agentgym.errors import PolicyError, UsageError
from agentgym_policies import vllm_guard, vllm_server, vllm_weights, vllm_wire
from agentgym_policies.vllm import VllmPolicy

LOADED = models.load("scratch:tiny?hidden=32&layers=1", seed=1)
TOKENS = prompt(LOADED, "hello")


def steps(tokens: Any, logprobs: Any) -> dict[str, Any]:
    return {"content": [{"token_id": t, "logprob": p} for t, p in zip(tokens, logprobs, strict=True)]}


def reply(**changes: Any) -> dict[str, Any]:
    """A good reply, but for `changes`."""
    choice = {
        "token_ids": [5, 6, 257],
        "logprobs": steps([5, 6, 257], [-1.0, -2.0, -0.5]),
        "finish_reason": "stop",
        "weight_versions": [{"version": "0", "start": 0, "end": 2}, {"version": "1", "start": 2, "end": 3}],
    }
    choice |= {k: v for k, v in changes.items() if k in choice}
    details = {"prompt_tokens_details": {"cached_tokens": 4}}
    top = {"model": "m", "choices": [choice], "prompt_token_ids": list(TOKENS), "usage": details}
    return top | {k: v for k, v in changes.items() if k in top}


class Scripted(Handler):
    """Serves the model `m`; gives the replies of `script` in order, then good ones."""

    def do_GET(self) -> None:
        self.send(200, {"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        self.server.asked.append(self.body())
        step = self.server.script.pop(0) if self.server.script else reply()
        if step == "hang":
            self.server.released.wait(10)
        elif isinstance(step, int):
            self.send(step, {"error": {"message": f"status {step}"}})
        else:
            self.send(200, step)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Scripted) as made:
        yield made


@pytest.fixture
def attach(server: Server) -> Iterator[Callable[..., VllmPolicy]]:
    made: list[VllmPolicy] = []

    def make(**more: Any) -> VllmPolicy:
        made.append(
            VllmPolicy(loaded=LOADED, **{"url": server.url, "name": "m", "retries": 1, "mode": "server", **more})
        )
        return made[-1]

    yield make
    for policy in made:
        policy.close()


def test_what_is_sent_and_what_is_read(server: Server, attach: Any) -> None:
    (answer,) = ask(attach(), request("t", TOKENS, temperature=0.5, top_p=0.9, stop=("x",)))
    assert (answer.tokens, answer.logprobs, answer.finish) == ((5, 6, 257), (-1.0, -2.0, -0.5), "stop")
    assert answer.text == LOADED.chat.decode((5, 6, 257))
    assert (answer.prompt_tokens, answer.cached_tokens) == (len(TOKENS), 4)
    (sent,) = server.asked
    assert (answer.version, answer.versions) == (0, (0, 0, 1))
    assert sent["token_ids"] == list(TOKENS)
    drawing = sent["sampling_params"]
    assert drawing["stop_token_ids"] == sorted(LOADED.chat.end_ids)
    assert [drawing[k] for k in ("temperature", "top_p", "stop", "max_tokens")] == [0.5, 0.9, ["x"], 8]


def test_a_server_that_does_not_say_its_version(server: Server, attach: Any) -> None:
    policy = attach()
    policy.version = 7
    unsaid = [{"version": "default", "start": 0, "end": 3}]
    server.script = [reply(weight_versions=None), reply(weight_versions=unsaid)]
    for answer in (ask(policy, request("t", TOKENS))[0], ask(policy, request("t", TOKENS))[0]):
        assert (answer.version, answer.versions) == (7, (7, 7, 7))


GARBAGE = {
    "JSON": b"<html>",
    "KeyError": {},
    "TypeError": reply(choices=None),
    "of the model": reply(model="another"),
    "another prompt": reply(prompt_token_ids=[1, 2]),
    "of the vocabulary": reply(token_ids=[5, 6, 258]),
    "come with": reply(logprobs=None),
    "with those of others": reply(logprobs=steps([5, 7, 257], [-1.0, -2.0, -0.5])),
    "of probabilities": reply(logprobs=steps([5, 6, 257], [-1.0, float("nan"), 0.0])),
    "not those of": reply(logprobs=steps([5, 6, 257], [-1.0, -9999.0, 0.0])),
    "were sampled": reply(token_ids=[], logprobs=steps([], [])),
    "one for each token": reply(weight_versions=[{"version": "0", "start": 1, "end": 3}]),
    "versions of the weights come": reply(weight_versions=[{"version": "0", "start": 0, "end": 2}]),
    "int()": reply(weight_versions=[{"version": "newest", "start": 0, "end": 3}]),
    "cut the answer short": reply(finish_reason="abort"),
    "status 500": 500,
    "no answer in": "hang",
}


@pytest.mark.parametrize(("match", "step"), GARBAGE.items(), ids=list(GARBAGE))
def test_garbage_is_asked_again_and_then_an_infra_error(server: Server, attach: Any, match: str, step: Any) -> None:
    policy = attach(timeout=0.3 if step == "hang" else 60.0)
    server.script = [step]
    assert ask(policy, request("t", TOKENS))[0].tokens == (5, 6, 257)
    assert policy.metrics()["vllm/retries"] == 1
    server.script = [step, step]
    said = match if match != "JSON" else "cannot be used"
    with pytest.raises(PolicyError, match=re.escape(said)):
        ask(policy, request("t", TOKENS))


def test_a_refusal_is_not_asked_again(server: Server, attach: Any) -> None:
    server.script = [400]
    with pytest.raises(PolicyError, match="HTTP 400: status 400"):
        ask(attach(), request("t", TOKENS))
    assert len(server.asked) == 1


def test_another_model_no_server_and_a_deadline(server: Server, attach: Any) -> None:
    with pytest.raises(UsageError, match="serves m, not 'n'"):
        ask(attach(name="n"), request("t", TOKENS))
    with pytest.raises(PolicyError, match="is no server"):
        ask(attach(url="http://127.0.0.1:9"), request("t", TOKENS))
    server.script = ["hang"]
    (late,) = ask(attach(), request("t", TOKENS, deadline=time.monotonic() + 0.3))
    assert (late.finish, late.tokens) == ("abort", ())


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "model",
                        "choices",
                        "token_ids",
                        "logprobs",
                        "content",
                        "usage",
                        "prompt_token_ids",
                        "prompt_logprobs",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_reply_is_anything_but_a_completion_or_a_value_error(content: Any) -> None:
    import httpx

    raw = httpx.Response(200, content=json.dumps(content).encode())
    with pytest.raises(ValueError):
        vllm_wire.read(raw, request("t", TOKENS), "m", LOADED.chat, 258, 0)
    for prompt_ids in (TOKENS, TOKENS * 10):  # Asked whole, and token by token.
        for question in vllm_wire.score_bodies(prompt_ids, (5,), "m"):
            raw = httpx.Response(200, content=json.dumps(content).encode())
            with pytest.raises(ValueError):
                vllm_wire.read_score(raw, question, prompt_ids, (5,), 258)


def test_numbers_modes_and_interpreters_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad, match in (
        ({"max_batch": 0}, "max_batch"),
        ({"mode": "cluster"}, "mode must be"),
        ({"mode": "inprocess", "url": "http://x"}, "url is of a server"),
        ({"mode": "server", "python": str(tmp_path / "none")}, "there is no interpreter"),
    ):
        with pytest.raises(UsageError, match=match):
            VllmPolicy(loaded=LOADED, **bad)
    monkeypatch.delenv("AGENTGYM_VLLM_PYTHON", raising=False)
    monkeypatch.chdir(tmp_path)
    if vllm_server.importlib.util.find_spec("vllm") is None:
        with pytest.raises(UsageError, match=r"setup_vllm\.sh"):
            vllm_server.find_python(None)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    # An interpreter without vLLM: this one.
    log = tmp_path / "server.log"
    policy = VllmPolicy(loaded=LOADED, mode="server", python=sys.executable, log=str(log), start_timeout=60)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"did not start.*vllm"):
            ask(policy, request("a", TOKENS), request("b", TOKENS))
    assert log.read_text().count("--- start") == 1
    policy.close()


def test_an_exported_model_is_never_tied_and_packs_are_checked(tmp_path: Path) -> None:
    tied = models.load("scratch:tiny?hidden=32&layers=1", seed=2)
    tied.model.config.tie_word_embeddings = True
    tied.model.lm_head.weight = tied.model.model.embed_tokens.weight
    vllm_weights.export(tied.model, tied.chat.tokenizer, tmp_path / "model")
    saved = load_file(tmp_path / "model/model.safetensors")
    assert torch.equal(saved["lm_head.weight"], saved["model.embed_tokens.weight"])
    assert json.loads((tmp_path / "model/config.json").read_text())["tie_word_embeddings"] is False
    assert tied.model.config.tie_word_embeddings is True
    again = models.load(str(tmp_path / "model"), dtype="float32")
    ids = torch.tensor([TOKENS])
    assert torch.equal(again.model(ids).logits, tied.model(ids).logits)
    tensors = vllm_weights.named_tensors(tied.model)
    manifest = tmp_path / "model" / vllm_weights.MANIFEST
    packed = vllm_weights.pack(tensors, 3, tmp_path, manifest, torch.float32)
    assert load_file(packed.path).keys() == tensors.keys()
    other = vllm_weights.pack({k: v + 1 for k, v in tensors.items()}, 4, tmp_path, manifest, torch.float32)
    assert packed.checksum != other.checksum


CHILD = (
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("how", ["trainer killed", "guardian killed", "asked"])
def test_the_guardian_leaves_nobody_behind(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    guard = [sys.executable, "-I", "-S", vllm_guard.__file__, str(folder), "1.0", sys.executable, "-c", CHILD]
    process = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    family: list[int] = []
    ends = time.monotonic() + 30
    while len(family) < 2 and time.monotonic() < ends:
        below = vllm_guard.children(process.pid)
        family = below + [pid for child in below for pid in vllm_guard.children(child)]
        time.sleep(0.02)
    assert len(family) == 2
    doomed = list(family)
    if how == "guardian killed":
        process.kill()
        doomed.pop()  # Nobody is left to end the grandchild: the server's own engine watches its front end.
    elif how == "asked":
        process.stdin.write(b"k")
    process.stdin.close()
    process.wait(timeout=20)
    ends = time.monotonic() + 20
    while any(map(running, doomed)) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not any(map(running, doomed))
    assert folder.exists() == (how != "trainer killed")
    for pid in set(family) - set(doomed):
        os.kill(pid, signal.SIGKILL)


def running(pid: int) -> bool:
    stat = read(Path(f"/proc/{pid}/stat"))
    return bool(stat) and stat.rpartition(b")")[2].split()[0] != b"Z"


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
