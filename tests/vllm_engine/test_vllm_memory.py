"""Memory that runs out at the sampler: the message names the settings to lower."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import pytest
import torch
from vllm_cases import REF, ask, options, prompt, request
from vllm_marks import needs_vllm, slow

from agentgym import models
from agentgym.errors import PolicyError, UsageError
from agentgym_policies import vllm_weights
from agentgym_policies.vllm import VllmPolicy
from agentgym_policies.vllm_server import Server, memory_hint, scratch


@needs_vllm
@slow
def test_more_keys_and_values_than_there_is_memory() -> None:
    loaded = models.load(REF, seed=1)
    policy = VllmPolicy(loaded=loaded, **options(kv_gib=100_000))
    try:
        with pytest.raises(UsageError, match=r"did not start: .*lower sampler\.kv_gib, rollout\.slots"):
            ask(policy, request("t", prompt(loaded, "hello")))
    finally:
        policy.close()


def test_which_setting_is_named() -> None:
    said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    assert "gpu-memory-utilization" in memory_hint(said, "cuda")
    assert "sampler.kv_gib" in memory_hint("ValueError: on kv cache allocation is less than requested", "cpu")
    assert memory_hint("ValueError: the model has no such layer", "cpu") == ""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", r"was killed.*out of memory\? lower sampler"),
        ("raise MemoryError('no room')", r"MemoryError: no room.*out of memory: lower sampler"),
        ("print('INFO KV cache of 100 blocks')\nraise ValueError('bad flag')", r"ValueError: bad flag$"),
    ],
)
def test_why_a_server_has_ended(tmp_path: Path, program: str, said: str) -> None:
    # What runs in vLLM's place is a module of its name that ends in that way.
    module = tmp_path / "plugin/vllm/entrypoints/openai"
    server = Server(sys.executable, tmp_path, tmp_path / "log", {}, {})
    module.mkdir(parents=True)
    (module / "api_server.py").write_text(program, encoding="utf-8")
    server.start()
    assert server._process is not None
    server._process.wait(timeout=60)
    for _ in range(2):  # Before it is tidied away and after.
        with pytest.raises(UsageError, match=said):
            raise UsageError(server.reason())
        server.stop()


def test_no_room_for_weights(tmp_path: Path) -> None:
    loaded = models.load(REF, seed=1)
    vllm_weights.export(loaded.model, loaded.chat.tokenizer, tmp_path / "model")
    tensors = vllm_weights.named_tensors(loaded.model)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(PolicyError, match=r"must have room for 0 MiB.*TMPDIR|must have room for \d+ MiB"):
            vllm_weights.pack(tensors, 1, tmp_path, tmp_path / "model" / vllm_weights.MANIFEST, torch.float32)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("weights-*"))


def test_a_model_that_shared_memory_cannot_hold_goes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert scratch(2**60).parent == tmp_path
