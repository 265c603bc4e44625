"""What a chip can do and what a training step needs of it, for `benchmarks/gpu.py`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agentgym import models
from agentgym.batch import Packed
from agentgym.ledger import ChatTokenizer
from agentgym.models.scratch import byte_tokenizer

PEAKS = {
    "GB200": 2500e12, "B200": 2250e12, "B100": 1800e12, "H200": 989e12, "GH200": 989e12, "H100 PCIe": 756e12,
    "H100 NVL": 835e12, "H100": 989e12, "H800": 989e12, "H20": 148e12, "A100": 312e12, "A800": 312e12,
    "L40S": 362e12, "L40": 181e12, "L4": 121e12, "A10G": 70e12, "A10": 125e12, "A30": 165e12, "A40": 150e12,
    "RTX 5090": 210e12, "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip
"""Dense bfloat16 operations per second by the makers' data sheets (for RTX with float32 accumulation), from memory of
those sheets and not checked against them; the longest name that fits the device's counts."""

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 2, "vocab_size": 512},
    "135 M": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
              "num_key_value_heads": 3, "vocab_size": 49152},
    "1.5 B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 20, "num_attention_heads": 32,
              "num_key_value_heads": 32, "vocab_size": 49152},
}  # fmt: skip
"""Random weights: speed does not depend on what a model knows. 135 M is SmolLM2's shape, with untied output."""


def random_model(shape: str, device: torch.device, dtype: torch.dtype) -> models.Loaded:
    """A Llama of random weights, with the tokenizer of bytes; torch's generators are put back."""
    config = LlamaConfig(
        **SHAPES[shape], max_position_embeddings=4096, tie_word_embeddings=False, bos_token_id=None, pad_token_id=None
    )
    tokenizer = byte_tokenizer()
    config.eos_token_id = tokenizer.eos_token_id
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), device:
        torch.manual_seed(0)
        model: Any = LlamaForCausalLM(config)
    return models.Loaded(model.to(dtype).eval(), ChatTokenizer(tokenizer), f"random:{shape}", "")


def data_sheet(name: str) -> float:
    """Operations per second that the maker of a chip of this name states; 0 if it is not known here."""
    fitting = [known for known in PEAKS if known in name]
    return PEAKS[max(fitting, key=len)] if fitting else 0.0


def matrix_rate(device: torch.device, dtype: torch.dtype, size: int, repeats: int = 5) -> float:
    """Operations per second of torch's own product of two square matrices, the best of a few."""
    a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 1):
        wait(device)
        began = time.perf_counter()
        a @ b
        wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def operations(model: Any, packs: Sequence[Packed]) -> float:
    """Operations that a full step on `packs` needs: two a weight and token forward, twice that backward.

    Counted are tokens after sharing, the output layer for action tokens only, and pairs of tokens that attend to one
    another; not what is computed again to save memory, nor what is computed and masked, nor the optimizer.
    """
    head = model.get_output_embeddings().weight.numel()
    inner = sum(p.numel() for p in model.get_decoder().layers.parameters() if p.ndim == 2)
    config = model.config
    wide = config.num_hidden_layers * config.num_attention_heads * config.head_dim
    total = 0.0
    for p in packs:
        pairs = 0
        for segment in p.segments:
            own, before = segment.stop - segment.start, sum(stop - start for start, stop in segment.context)
            pairs += own * before + own * (own + 1) // 2
        total += 6.0 * (inner * len(p.tokens) + head * len(p.target)) + 12.0 * wide * pairs
    return total


def wait(device: torch.device) -> None:
    """Until the chip has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
