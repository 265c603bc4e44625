"""Attention over a pack in one kernel, for GPUs: torch's flex attention under a mask made from the pack's segments.

`agentgym.attention` goes segment by segment, which a processor likes and a GPU, busy with launching small kernels, does
not. Here one compiled kernel has all segments at once and skips every block of keys that no query of a block may see,
so that the work is the same: pairs of tokens that may see one another, shared beginnings once.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from agentgym.errors import UsageError

if TYPE_CHECKING:
    from agentgym.attention import Segment

BLOCK = 128
"""Queries, and keys, that are looked at or skipped together; what the kernel was made for."""


def visible(segments: Sequence[Segment]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which segment each of T tokens is in, `[T]`, and which tokens each segment may look at, `[S, T]`.

    A token sees those of its segment's row that do not come after itself; a context always comes before.
    """
    total = max(segment.stop for segment in segments)
    owner = np.zeros(total, dtype=np.int64)
    seen = np.zeros((len(segments), total), dtype=np.bool_)
    for index, segment in enumerate(segments):
        owner[segment.start : segment.stop] = index
        for start, stop in (*segment.context, segment[:2]):
            seen[index, start:stop] = True
    return owner, seen


def block_mask(segments: Sequence[Segment], device: torch.device | str) -> BlockMask:
    """The mask of a pack.

    Blocks are found from the segments, in `[S, T]` numbers rather than the `[T, T]` of a mask that is written out: of a
    block of queries, those of keys that nobody sees are skipped, those that everybody sees whole need no look at single
    tokens, and in the rest the kernel asks for each pair.

    Args:
        segments: they cover the pack's T tokens, each once.
        device: where the pack is.
    """
    owner, seen = visible(segments)
    total, count = len(owner), -(-len(owner) // BLOCK)
    wide = np.pad(seen, ((0, 0), (0, count * BLOCK - total)))
    per_block = wide.reshape(len(seen), count, BLOCK).sum(2)
    has = np.zeros((count, len(seen)), dtype=np.bool_)  # Which segments a block of queries has a part of.
    has[np.arange(total) // BLOCK, owner] = True
    some = (has.astype(np.float32) @ (per_block > 0).astype(np.float32)) > 0
    lacking = (has.astype(np.float32) @ (per_block < BLOCK).astype(np.float32)) > 0
    whole = np.tril(some & ~lacking, -1)
    part = np.tril(some) & ~whole

    # The kernel may ask about the padding of the last block: let it find an answer there.
    rows = torch.from_numpy(np.pad(owner, (0, count * BLOCK - total))).to(device)
    table = torch.from_numpy(wide).to(device)

    def may_see(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return table[rows[query], key] & (key <= query)

    (partial, which), (full, which_full) = _listed(part, device), _listed(whole, device)
    return BlockMask.from_kv_blocks(
        partial, which, full, which_full, BLOCK_SIZE=BLOCK, mask_mod=may_see, seq_lengths=(total, total)
    )


def _listed(chosen: NDArray[np.bool_], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """A `[N, N]` choice as the kernel wants it: how many in each row, and which, those first; with two axes before."""
    order = np.argsort(~chosen, axis=1, kind="stable").astype(np.int32)
    numbers = (chosen.sum(1).astype(np.int32), order)
    counts, which = (torch.from_numpy(n)[None, None].to(device) for n in numbers)
    return counts, which


@cache
def _compiled() -> Callable[..., Any]:
    """Compiled for any length, once a process; interpreted, it would write all scores to memory."""
    return torch.compile(flex_attention, dynamic=True)


def flex_packed_attention(query: Tensor, key: Tensor, value: Tensor, mask: BlockMask, scaling: float | None) -> Tensor:
    """Attention of each token to what `mask` lets it see.

    Args:
        query: `[1, H, T, D]`.
        key: `[1, K, T, D]`, K dividing H.
        value: `[1, K, T, D]`.
        mask: `block_mask` of the pack.
        scaling: factor on the scores; `1/sqrt(D)` if not given.

    Returns:
        `[1, T, H, D]`.

    Raises:
        UsageError: gradients are wanted on a processor, where torch has none for this kernel.
    """
    on_gpu = query.device.type == "cuda"
    if not on_gpu and torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value)):
        raise UsageError("flex attention has no backward pass on a processor: set trainer.attention to blocks or auto")
    attend = _compiled() if on_gpu else flex_attention
    out: Any = attend(query, key, value, block_mask=mask, scale=scaling, enable_gqa=query.shape[1] != key.shape[1])
    return out.transpose(1, 2).contiguous()
