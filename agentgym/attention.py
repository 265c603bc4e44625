"""Attention inside each sequence of a pack, for any transformers decoder.

A registered attention function is told by the model call's keyword arguments which tokens of the pack belong together.
Nothing crosses from one sequence into another, no mask of the pack's size is built, and the cost is the sum of the
squares of the sequences' lengths rather than the square of their sum.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from transformers import AttentionInterface

from agentgym.attention_flex import block_mask, flex_packed_attention
from agentgym.errors import UsageError

NAME = "agentgym_packed"
Kind = Literal["auto", "blocks", "flex"]
"""`blocks` is `packed_attention`'s own arithmetic, `flex` one kernel for all segments (`agentgym.attention_flex`)."""
BLOCK = 128
"""Query rows at once: their scores stay in the processor's cache, and half of the upper triangle is never computed."""


class Segment(NamedTuple):
    """Tokens `start` to `stop` of a pack, and the spans of earlier tokens that come before them in their sequence."""

    start: int
    stop: int
    context: tuple[tuple[int, int], ...] = ()


class _PackedAttention(torch.autograd.Function):
    """q `[K, G, T, D]`, k and v `[K, T, D]` -> `[T, K, G, D]`: K key heads with G query heads each.

    Plain matrix products in blocks of query rows, which on processors is two to three times as fast as torch's fused
    kernel in bfloat16; probabilities are computed again in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, segments: Sequence[Segment], scale: float) -> Tensor:
        heads, group, total, dim = q.shape
        out = torch.empty(total, heads, group, dim, dtype=q.dtype, device=q.device)
        mask = _causal(q)
        for segment in segments:
            keys, values = _gather(k, segment), _gather(v, segment)
            for rows, seen in _blocks(segment):
                p = _probabilities(q[:, :, rows] * scale, keys[:, :seen], mask)
                part = torch.bmm(p, values[:, :seen]).view(heads, group, -1, dim)
                out[rows] = part.permute(2, 0, 1, 3)
        ctx.save_for_backward(q, k, v)
        ctx.segments, ctx.scale = segments, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v = ctx.saved_tensors
        heads, group, _, dim = q.shape
        d_out = grads[0].permute(1, 2, 0, 3)
        # Keys and values collect from many queries: in float32, whatever the model's precision.
        d_q = torch.empty_like(q)
        d_k = torch.zeros(k.shape, dtype=torch.float32, device=k.device)
        d_v = torch.zeros(v.shape, dtype=torch.float32, device=v.device)
        mask = _causal(q)
        for segment in ctx.segments:
            keys, values = _gather(k, segment), _gather(v, segment)
            d_keys, d_values = (torch.zeros(t.shape, dtype=torch.float32, device=t.device) for t in (keys, values))
            for rows, seen in _blocks(segment):
                queries = q[:, :, rows] * ctx.scale
                p = _probabilities(queries, keys[:, :seen], mask)
                d = d_out[:, :, rows].reshape(heads, -1, dim)
                d_values[:, :seen] += torch.bmm(p.transpose(1, 2), d)
                d_p = torch.bmm(d, values[:, :seen].transpose(1, 2))
                d_scores = torch.ops.aten._softmax_backward_data(d_p, p, -1, p.dtype)
                d_keys[:, :seen] += torch.bmm(d_scores.transpose(1, 2), queries.reshape(heads, -1, dim))
                d_q[:, :, rows] = torch.bmm(d_scores, keys[:, :seen]).view(heads, group, -1, dim) * ctx.scale
            at = 0
            for start, stop in (*segment.context, segment[:2]):
                d_k[:, start:stop] += d_keys[:, at : at + stop - start]
                d_v[:, start:stop] += d_values[:, at : at + stop - start]
                at += stop - start
        return d_q, d_k.to(k.dtype), d_v.to(v.dtype), None, None


def _causal(like: Tensor) -> Tensor:
    """`[BLOCK, BLOCK]`, 0 where a query may look and -inf above the diagonal."""
    return torch.full((BLOCK, BLOCK), float("-inf"), dtype=like.dtype, device=like.device).triu(1)


def _gather(t: Tensor, segment: Segment) -> Tensor:
    """Keys or values `[K, C + n, D]` that a segment's tokens may see: its context, then its own."""
    parts = [t[:, start:stop] for start, stop in (*segment.context, segment[:2])]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _blocks(segment: Segment) -> Iterator[tuple[slice, int]]:
    """Query rows block by block, and how many of the gathered keys the last of each may see."""
    before = sum(stop - start for start, stop in segment.context)
    for first in range(segment.start, segment.stop, BLOCK):
        last = min(first + BLOCK, segment.stop)
        yield slice(first, last), before + last - segment.start


def _probabilities(queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the keys `[K, G * m, S]`; the last m of the S keys are the queries' own."""
    heads, group, rows, dim = queries.shape
    scores = torch.bmm(queries.reshape(heads, group * rows, dim), keys.transpose(1, 2))
    scores.view(heads, group, rows, -1)[..., -rows:] += mask[:rows, :rows]
    return torch.softmax(scores, dim=-1)


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    packed_segments: Sequence[Segment],
    packed_mask: Any = None,
    scaling: float | None = None,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Causal attention of each segment's tokens to their context and to themselves.

    Args:
        module: the attention layer (unused).
        query: `[1, H, T, D]`.
        key: `[1, K, T, D]`, K dividing H (grouped-query attention).
        value: `[1, K, T, D]`.
        attention_mask: must be `None`.
        packed_segments: they cover the T tokens, each once.
        packed_mask: `block_mask` of the segments, to attend by flex attention.
        scaling: factor on the scores; `1/sqrt(D)` if not given.
        **unused: what else a model hands to attention.

    Returns:
        `[1, T, H, D]`, and no weights.

    Raises:
        UsageError: the model needs a kind of attention that this is not (soft-capped scores, attention sinks, or a
            sliding window shorter than a sequence).
    """
    if attention_mask is not None or unused.get("softcap") is not None or unused.get("s_aux") is not None:
        raise UsageError("packed training knows plain causal attention only; this model needs another kind")
    window = unused.get("sliding_window")
    longest = max(seen for segment in packed_segments for _, seen in _blocks(segment))
    if window is not None and longest > window:
        raise UsageError(f"a sequence of {longest} tokens is longer than the model's sliding window of {window}")
    if packed_mask is not None:
        return flex_packed_attention(query, key, value, packed_mask, scaling), None
    _, heads, total, dim = query.shape
    keys = key.shape[1]
    out: Tensor = _PackedAttention.apply(  # pyright: ignore
        query.contiguous().view(keys, heads // keys, total, dim),
        key[0],
        value[0],
        packed_segments,
        scaling or dim**-0.5,
    )
    return out.view(1, total, heads, dim), None


@contextmanager
def packed(model: Any) -> Generator[None]:
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


def mask_for(kind: Kind, segments: Sequence[Segment], device: torch.device) -> Any:
    """What `packed_attention` is to be given as `packed_mask`: `None` for blocks."""
    flex = kind == "flex" or (kind == "auto" and device.type == "cuda")
    return block_mask(segments, device) if flex else None


def hidden_states(
    model: Any, tokens: Tensor, positions: Tensor, segments: Sequence[Segment], kind: Kind = "auto"
) -> Tensor:
    """Last hidden states `[T, d]` of a pack.

    Args:
        model: a transformers causal language model.
        tokens: `[T]` ids.
        positions: `[T]`, of each token in its sequence.
        segments: which tokens belong together.
        kind: how to attend; `auto` is `flex` on CUDA and `blocks` elsewhere.
    """
    decoder = model.get_decoder()
    told = {"packed_segments": segments, "packed_mask": mask_for(kind, segments, tokens.device)}
    with packed(model):
        # Without use_cache=False a cache is built, and the model may treat the pack as one sequence.
        out = decoder(input_ids=tokens[None], position_ids=positions[None], use_cache=False, **told)
    return out.last_hidden_state[0]
