"""What the tests of the vLLM sampler share: where its environment is, a small model, and questions to ask it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import torch

from agentgym import models
from agentgym.ledger import Ledger
from agentgym.policy import Request, Sampling
from agentgym.types import Completion, Message, Observation

REF = "scratch:tiny?hidden=64&layers=2&heads=2&context=1024"
"""Heads of 32: vLLM's attention on a CPU knows no smaller ones."""


def interpreter() -> str | None:
    """The interpreter with vLLM, if there is one here."""
    named = os.environ.get("AGENTGYM_VLLM_PYTHON")
    beside = Path(__file__).parents[2] / ".venv-vllm/bin/python"
    return named or (str(beside) if beside.exists() else None)


def options(**more: Any) -> dict[str, Any]:
    """How the policy is made here: little memory, one thread, patience."""
    return {"mode": "server", "python": interpreter(), "kv_gib": 1, "threads": 1, "start_timeout": 900.0, **more}


def prompt(loaded: models.Loaded, text: str) -> tuple[int, ...]:
    return Ledger(loaded.chat, [Message("user", text)]).prompt


def request(name: str, tokens: tuple[int, ...], turn: int = 0, deadline: float | None = None, **how: Any) -> Request:
    sampling = Sampling(**{"max_tokens": 8, **how})
    seed = sum(name.encode()) * 100 + turn
    return Request(name, turn, (), Observation(""), seed, sampling, tokens, deadline=deadline)


def ask(policy: Any, *requests: Request) -> list[Completion]:
    async def each() -> list[Completion]:
        answers = await asyncio.gather(*(policy.complete([r]) for r in requests))
        return [answer for (answer,) in answers]

    return asyncio.run(each())


def gap(model: Any, tokens: tuple[int, ...], answer: Completion) -> float:
    """Largest difference of an answer's log-probabilities from a plain forward pass of the learner's module."""
    ids = [*tokens, *(answer.tokens or ())]
    with torch.no_grad():
        logprobs = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    places = range(len(tokens), len(ids))
    return max(abs(float(logprobs[i - 1, ids[i]]) - (answer.logprobs or ())[i - len(tokens)]) for i in places)


def perturb(model: Any, seed: int, scale: float = 0.1, only: str = "") -> None:
    """Change the module's weights in place, as a learner does; `only` parameters whose name has it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if only in name:
                parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
