"""Sampling and weight updates for `benchmarks/gpu.py`: the library's policies, and vLLM's own benchmark beside them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from gpu_chip import wait

from agentgym import models
from agentgym.errors import UsageError
from agentgym.policy import Request, Sampling
from agentgym.seeding import derive, generator
from agentgym.types import Observation
from agentgym_policies import vllm_weights
from agentgym_policies.transformers import TransformersPolicy
from agentgym_policies.vllm import VllmPolicy
from agentgym_policies.vllm_server import find_python

SHARE = 0.6
"""Of the GPU's memory, what vLLM may have: the learner's is beside it."""


OWN = """
from vllm.benchmarks import throughput
parser = throughput.FlexibleArgumentParser()
throughput.add_cli_args(parser)
throughput.main(parser.parse_args())
"""
"""`vllm bench throughput` without the command line around it, which builds of another distribution's name refuse."""


@dataclass(frozen=True)
class Shape:
    """`count` prompts of `prompt` random tokens, each answered by at most `answer` tokens."""

    count: int
    prompt: int
    answer: int


def requests(shape: Shape, vocabulary: int, seed: int) -> list[Request]:
    """Prompts that have nothing in common, so that no cache helps."""
    sampling = Sampling(max_tokens=shape.answer)
    return [
        Request(
            f"r{seed}.{i}", 0, (), Observation(""), derive(seed, "draw", i), sampling,
            tuple(generator(seed, "prompt", i).integers(0, vocabulary, shape.prompt).tolist()),
        )
        for i in range(shape.count)
    ]  # fmt: skip


def speed(policy: Any, shape: Shape, vocabulary: int, device: torch.device) -> float:
    """Tokens sampled per second, after a warm-up."""

    async def ask(asked: list[Request]) -> int:
        if policy.batching == "batch":
            found = await policy.complete(asked)
        else:
            found = [c for one in await asyncio.gather(*(policy.complete([r]) for r in asked)) for c in one]
        return sum(len(c.tokens) for c in found)

    asyncio.run(ask(requests(replace(shape, count=min(8, shape.count)), vocabulary, 1)))
    wait(device)
    began = time.perf_counter()
    made = asyncio.run(ask(requests(shape, vocabulary, 2)))
    return made / (time.perf_counter() - began)


def embedded(loaded: models.Loaded, shape: Shape, device: torch.device) -> float:
    """Tokens per second of the policy that samples from the learner's own module."""
    policy = TransformersPolicy(loaded=loaded, max_batch=shape.count, prefill_tokens=16384)
    try:
        return speed(policy, shape, loaded.model.config.vocab_size, device)
    finally:
        policy.close()


def with_vllm(loaded: models.Loaded, shape: Shape, device: torch.device) -> tuple[str, float, float]:
    """How vLLM runs (`inprocess` or `server`), its tokens per second as a policy, and seconds of a weight update.

    Raises:
        UsageError: vLLM is nowhere.
        PolicyError: it does not start.
    """
    options = {"gpu-memory-utilization": SHARE} if device.type == "cuda" else {}
    policy = VllmPolicy(loaded=loaded, max_batch=shape.count, options=options)
    try:
        rate = speed(policy, shape, loaded.model.config.vocab_size, device)
        began = time.perf_counter()
        policy.update(vllm_weights.named_tensors(loaded.model), 1)
        return policy.mode, rate, time.perf_counter() - began
    finally:
        policy.close()


def own_benchmark(loaded: models.Loaded, shape: Shape, device: torch.device, seconds: float) -> float:
    """Tokens per second that `vllm bench throughput` finds for the same shape and weights.

    Raises:
        UsageError: vLLM is nowhere, or its benchmark does not run here.
    """
    python = find_python(None)
    dtype = f"{loaded.model.dtype}".removeprefix("torch.")
    with tempfile.TemporaryDirectory(prefix="agentgym-gpu-") as folder:
        vllm_weights.export(loaded.model, loaded.chat.tokenizer, Path(folder) / "model")
        command = [
            python, "-c", OWN, "--model", f"{folder}/model",
            "--dataset-name", "random", "--random-input-len", f"{shape.prompt}",
            "--random-output-len", f"{shape.answer}", "--num-prompts", f"{shape.count}",
            "--max-num-seqs", f"{shape.count}", "--dtype", dtype,
            "--max-model-len", f"{2 * shape.prompt + shape.answer}",
        ]  # fmt: skip
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        if device.type == "cuda":
            command += ["--gpu-memory-utilization", f"{SHARE}"]
        else:
            command += ["--enforce-eager"]
            environment |= {"VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1"}
        status, out, err = bounded(command, seconds, env=environment, cwd=folder)
    if status is None:
        raise UsageError(f"vLLM's own benchmark took more than {seconds:.0f} s")
    found = re.search(r"([\d.]+) output tokens/s", out)
    if found is None:
        said = (err.strip() or out.strip() or "it said nothing").splitlines()
        why = next((line for line in reversed(said) if "Error" in line), said[-1])
        raise UsageError(f"vLLM's own benchmark gave no figure: {why.strip()}")
    return float(found[1])


def train(command: list[str], seconds: float) -> tuple[float, dict[str, Any] | None, str]:
    """A training run as a process: its seconds, what `agentgym train --json` said, and why it said nothing."""
    began = time.perf_counter()
    status, out, err = bounded(command, seconds)
    took = time.perf_counter() - began
    if status is None:
        return took, None, f"not done after {seconds:.0f} s"
    if status:
        return took, None, (err.strip() or "it said nothing").splitlines()[-1]
    return took, json.loads(out), ""


def bounded(command: list[str], seconds: float, **how: Any) -> tuple[int | None, str, str]:
    """Exit status (`None` if time ran out), output and errors of a command; its children end with it."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **how
    )
    try:
        out, err = process.communicate(timeout=seconds)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        return None, "", ""
    finally:
        # Also after a good end: engines that outlive their benchmark hold the GPU's memory.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            pipe.close()
