"""Attention inside each sequence of a pack, for any transformers decoder.

A registered attention function takes the sequence lengths from the model call's keyword arguments and attends causally
within each sequence. No mask is built, nothing crosses a sequence boundary, and the cost is the sum of the squares of
the lengths rather than the square of their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

from agentgym.errors import UsageError

NAME = "agentgym_packed"


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    packed_lengths: tuple[int, ...],
    scaling: float | None = None,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each of the sequences laid end to end.

    Args:
        module: the attention layer (unused).
        query: `[1, H, T, D]`.
        key: `[1, K, T, D]`, K dividing H (grouped-query attention).
        value: `[1, K, T, D]`.
        attention_mask: must be `None`.
        packed_lengths: length of each sequence; they add up to T.
        scaling: factor on the scores; `1/sqrt(D)` if not given.
        **unused: what else a model hands to attention.

    Returns:
        `[1, T, H, D]`, and no weights.

    Raises:
        UsageError: the model needs a kind of attention that this is not (soft-capped scores, attention sinks, or a
            sliding window shorter than a sequence).
    """
    window = unused.get("sliding_window")
    if attention_mask is not None or unused.get("softcap") is not None or unused.get("s_aux") is not None:
        raise UsageError("packed training knows plain causal attention only; this model needs another kind")
    if window is not None and max(packed_lengths) > window:
        raise UsageError(
            f"a sequence of {max(packed_lengths)} tokens is longer than the model's sliding window {window}"
        )
    gqa = query.shape[1] != key.shape[1]
    # `split` rather than slices: its backward is one concatenation, a slice's is a full-size zero tensor each.
    parts = zip(*(t.split(packed_lengths, dim=2) for t in (query, key, value)), strict=True)
    out = [F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=gqa) for q, k, v in parts]
    return torch.cat([o.transpose(1, 2) for o in out], dim=1), None


@contextmanager
def packed(model: Any) -> Iterator[None]:
    """Have `model` attend by `packed_attention` inside the block, and as before after it.

    The sampler works with the very same module and another attention function: setting the name is one assignment
    on the shared config, so both can have their way, one after the other.
    """
    before = model.config._attn_implementation
    AttentionInterface.register(NAME, packed_attention)
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def hidden_states(model: Any, tokens: Tensor, positions: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Last hidden states `[T, d]` of packed sequences; call inside `packed(model)`.

    Args:
        model: a transformers causal language model.
        tokens: `[T]` ids.
        positions: `[T]`, restarting at 0 with each sequence.
        lengths: of the sequences; they add up to T.
    """
    decoder = model.get_decoder()
    # Without use_cache=False a cache is built, and positions alone no longer separate the sequences.
    out = decoder(input_ids=tokens[None], position_ids=positions[None], use_cache=False, packed_lengths=lengths)
    return out.last_hidden_state[0]
