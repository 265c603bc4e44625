"""The sampler's key/value cache: one row per conversation, so that each turn computes only its new tokens.

Conversations grow by turns and end at different times. Keys and values live in one arena `[rows, kv_heads, capacity,
head_dim]` per layer; a call's requests are always the first rows of it, so decoding reads the cache in place. New
tokens of all rows are laid end to end without padding; attention runs inside each row by a registered attention
function, which any transformers decoder with plain causal attention can use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from agentgym.errors import PolicyError

NAME = "agentgym_slots"
BLOCK = 256
"""Most query rows at once while a prompt is computed: bounds the memory for scores."""


class Arena:
    """Keys and values of all live conversations.

    Attributes:
        owners: which conversation each row belongs to, in row order.
        ids: token ids whose keys and values each conversation's row holds.
    """

    def __init__(self, layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> None:
        self._shape = (layers, kv_heads, head_dim)
        self._dtype, self._device = dtype, device
        self.owners: list[str] = []
        self.ids: dict[str, list[int]] = {}
        self.keys = self._empty(0, 0)
        self.values = self._empty(0, 0)

    def _empty(self, rows: int, capacity: int) -> Tensor:
        layers, heads, dim = self._shape
        return torch.zeros(layers, rows, heads, capacity, dim, dtype=self._dtype, device=self._device)

    @property
    def capacity(self) -> int:
        """Most tokens a row can hold at present."""
        return self.keys.shape[3]

    def clear(self) -> None:
        """Forget everything (the weights have changed)."""
        self.owners, self.ids = [], {}
        self.keys, self.values = self._empty(0, 0), self._empty(0, 0)

    def forget(self, owner: str) -> None:
        """The row of `owner` is free; it is reclaimed by the next `arrange`."""
        self.ids.pop(owner, None)

    def arrange(self, wanted: Sequence[str], capacity: int) -> None:
        """Make the rows of `wanted` the first ones, in that order, each with room for `capacity` tokens.

        Other live rows follow; forgotten ones go. Nothing is copied where all is in place already.
        """
        first = set(wanted)
        order = [*wanted, *(o for o in self.owners if o in self.ids and o not in first)]
        enough = capacity <= self.capacity
        if order == self.owners and enough:
            for owner in wanted:
                self.ids.setdefault(owner, [])
            return
        place = {owner: row for row, owner in enumerate(self.owners)}
        moves = [(row, place[o], len(self.ids[o])) for row, o in enumerate(order) if o in place and o in self.ids]
        down = all(new <= old for new, old, _ in moves) and all(a[1] < b[1] for a, b in pairwise(moves))
        if enough and down and len(order) <= self.keys.shape[1]:
            # Rows only close up: each goes to where nothing is needed any more.
            for new, old, length in moves:
                if new != old:
                    self.keys[:, new, :, :length] = self.keys[:, old, :, :length]
                    self.values[:, new, :, :length] = self.values[:, old, :, :length]
        else:
            room = self.capacity if enough else max(capacity, min(2 * self.capacity, capacity + 256))
            self.keys = self._moved(self.keys, len(order), room, moves)
            self.values = self._moved(self.values, len(order), room, moves)
        self.owners = order
        for owner in wanted:
            self.ids.setdefault(owner, [])

    def _moved(self, source: Tensor, rows: int, capacity: int, moves: Sequence[tuple[int, int, int]]) -> Tensor:
        """A larger tensor with each row's tokens in their new place; `moves` are (new row, old row, tokens).

        Row by row, for the cache is most of the sampler's memory: what is copied is written once, and only the rest is
        filled. Filled it must be: attention reads it under a mask, which hides any number, but not a NaN.
        """
        layers, heads, dim = self._shape
        made = torch.empty(layers, rows, heads, capacity, dim, dtype=self._dtype, device=self._device)
        left = dict.fromkeys(range(rows), 0)
        for new, old, length in moves:
            made[:, new, :, :length] = source[:, old, :, :length]
            left[new] = length
        for row, length in left.items():
            made[:, row, :, length:].zero_()
        return made

    def copy_row(self, source: int, target: int, start: int, stop: int) -> None:
        """Tokens `start` to `stop` of a row are another's as well."""
        self.keys[:, target, :, start:stop] = self.keys[:, source, :, start:stop]
        self.values[:, target, :, start:stop] = self.values[:, source, :, start:stop]


class Span:
    """What one forward pass computes: for each of its rows, `count` new tokens from position `start` on."""

    def __init__(self, arena: Arena, rows: Sequence[int], starts: Sequence[int], counts: Sequence[int]) -> None:
        self.arena = arena
        self.rows, self.starts, self.counts = list(rows), list(starts), list(counts)
        device = arena.keys.device
        self.row_index = torch.tensor([r for r, n in zip(rows, counts, strict=True) for _ in range(n)], device=device)
        self.positions = torch.tensor(
            [s + i for s, n in zip(starts, counts, strict=True) for i in range(n)], device=device
        )
        self.decoding = all(n == 1 for n in counts)
        self.longest = max(s + n for s, n in zip(starts, counts, strict=True))
        self.in_place = self.rows == list(range(len(self.rows)))
        # 0 where a row may look, -inf beyond its newest token: [rows, 1, longest]
        seen = torch.arange(self.longest, device=device)[None] <= torch.tensor(self.starts, device=device)[:, None]
        self.bias = torch.zeros(seen.shape, dtype=arena.keys.dtype, device=device).masked_fill_(~seen, float("-inf"))
        widest = min(max(counts), BLOCK)
        self.triangle = torch.full((widest, widest), float("-inf"), dtype=arena.keys.dtype, device=device).triu(1)


def slot_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    slot_span: Span,
    scaling: float | None = None,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Attention of each row's new tokens to the row's cache, which they join.

    Args:
        module: the attention layer; its `layer_idx` says whose cache is meant.
        query: `[1, H, T, D]`, the T new tokens of all rows end to end.
        key: `[1, K, T, D]`.
        value: `[1, K, T, D]`.
        attention_mask: unused.
        slot_span: which token belongs to which row.
        scaling: factor on the scores.
        **unused: what else a model hands to attention.

    Returns:
        `[1, T, H, D]`, and no weights.

    Raises:
        PolicyError: the model needs a kind of attention that this is not.
    """
    if unused.get("softcap") is not None or unused.get("s_aux") is not None:
        raise PolicyError("the embedded sampler knows plain causal attention only; serve this model with vLLM instead")
    window = unused.get("sliding_window")
    if window is not None and slot_span.longest > window:
        raise PolicyError(f"a conversation of {slot_span.longest} tokens is longer than the model's window of {window}")
    span, layer = slot_span, int(module.layer_idx)
    keys, values = span.arena.keys[layer], span.arena.values[layer]
    keys[span.row_index, :, span.positions] = key[0].transpose(0, 1)
    values[span.row_index, :, span.positions] = value[0].transpose(0, 1)
    _, heads, total, dim = query.shape
    kv = key.shape[1]
    scale = dim**-0.5 if scaling is None else scaling
    grouped = (query[0] * scale).view(kv, heads // kv, total, dim)
    if span.decoding:
        k, v = keys[: len(span.rows)], values[: len(span.rows)]
        if not span.in_place:
            at = torch.tensor(span.rows, device=keys.device)
            k, v = keys[at, :, : span.longest], values[at, :, : span.longest]
        k, v = (t[:, :, : span.longest].flatten(0, 1) for t in (k, v))
        q = grouped.permute(2, 0, 1, 3).reshape(total * kv, heads // kv, dim)
        scores = torch.bmm(q, k.transpose(1, 2)).view(total, heads, span.longest) + span.bias[:, None]
        p = torch.softmax(scores, dim=-1).view(total * kv, heads // kv, span.longest)
        return torch.bmm(p, v).view(1, total, heads, dim), None
    out = torch.empty(total, kv, heads // kv, dim, dtype=query.dtype, device=query.device)
    at = 0
    for row, start, count in zip(span.rows, span.starts, span.counts, strict=True):
        for first in range(0, count, BLOCK):
            n = min(BLOCK, count - first)
            seen = start + first + n
            q = grouped[:, :, at + first : at + first + n].reshape(kv, -1, dim)
            scores = torch.bmm(q, keys[row, :, :seen].transpose(1, 2))
            scores.view(kv, heads // kv, n, seen)[..., seen - n :] += span.triangle[:n, :n]
            part = torch.bmm(torch.softmax(scores, dim=-1), values[row, :, :seen]).view(kv, heads // kv, n, dim)
            out[at + first : at + first + n] = part.permute(2, 0, 1, 3)
        at += count
    return out.view(1, total, heads, dim), None


@contextmanager
def slots(model: Any) -> Iterator[None]:
    """Have `model` attend by `slot_attention` inside the block, and as before after it."""
    before = model.config._attn_implementation
    AttentionInterface.register(NAME, slot_attention)
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def hidden_states(model: Any, tokens: Sequence[int], span: Span) -> Tensor:
    """Last hidden states `[T, d]` of the new tokens; their keys and values are in the arena afterwards."""
    ids = torch.tensor([list(tokens)], device=span.positions.device)
    with slots(model):
        out = model.get_decoder()(input_ids=ids, position_ids=span.positions[None], use_cache=False, slot_span=span)
    return out.last_hidden_state[0]
