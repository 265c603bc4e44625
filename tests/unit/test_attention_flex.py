"""Flex attention sees what packed attention sees: on any forest of segments, block by block and token by token."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.attention import Segment, packed_attention
from agentgym.attention_flex import BLOCK, block_mask, visible
from agentgym.errors import UsageError

CUDA = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device: flex attention's kernel and gradients"
)


@st.composite
def forests(draw, longest: int = 200) -> tuple[Segment, ...]:
    """Segments that begin anywhere on the way from a root to an earlier segment, as packing lays them."""
    made: list[Segment] = []
    at = 0
    for _ in range(draw(st.integers(1, 7))):
        context: tuple[tuple[int, int], ...] = ()
        if made and draw(st.booleans()):
            parent = made[draw(st.integers(0, len(made) - 1))]
            keep = draw(st.integers(1, parent.stop - parent.start))
            context = (*parent.context, (parent.start, parent.start + keep))
        length = draw(st.integers(1, longest))
        made.append(Segment(at, at + length, context))
        at += length
    return tuple(made)


def random_heads(total: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(total)
    shapes = ((1, 4, total, 16), (1, 2, total, 16), (1, 2, total, 16))
    return [torch.randn(s, generator=generator).to(device, dtype) for s in shapes]


def written_out(segments: tuple[Segment, ...]) -> np.ndarray:
    """Who sees whom, from the definition."""
    total = segments[-1].stop
    mask = np.zeros((total, total), dtype=bool)
    for segment in segments:
        for query in range(segment.start, segment.stop):
            for start, stop in segment.context:
                mask[query, start:stop] = True
            mask[query, segment.start : query + 1] = True
    return mask


@settings(max_examples=60, deadline=None)
@given(forests())
def test_the_mask_is_who_may_see_whom(segments):
    owner, seen = visible(segments)
    total = len(owner)
    causal = np.tril(np.ones((total, total), dtype=bool))
    assert np.array_equal(seen[owner] & causal, written_out(segments))

    # The blocks, too: what is skipped has no pair, what is taken whole has them all.
    mask, wanted = block_mask(segments, "cpu"), written_out(segments)
    count = -(-total // BLOCK)
    padded = np.pad(wanted, ((0, count * BLOCK - total),) * 2)
    for row in range(count):
        partial = set(mask.kv_indices[0, 0, row, : mask.kv_num_blocks[0, 0, row]].tolist())
        whole = set(mask.full_kv_indices[0, 0, row, : mask.full_kv_num_blocks[0, 0, row]].tolist())
        assert not partial & whole
        for column in range(count):
            there = min(BLOCK, total - row * BLOCK)
            block = padded[row * BLOCK : row * BLOCK + there, column * BLOCK : (column + 1) * BLOCK]
            assert (column in whole) == block.all()
            assert (column in partial) == (block.any() and not block.all())


@settings(max_examples=25, deadline=None)
@given(forests())
def test_forward_is_that_of_packed_attention(segments):
    q, k, v = random_heads(segments[-1].stop)
    module = torch.nn.Module()
    blocks, _ = packed_attention(module, q, k, v, packed_segments=segments, scaling=0.3)
    with torch.no_grad():
        flex, _ = packed_attention(
            module, q, k, v, packed_segments=segments, packed_mask=block_mask(segments, "cpu"), scaling=0.3
        )
    assert flex.shape == blocks.shape
    assert torch.allclose(flex, blocks, atol=1e-5)


def test_a_processor_has_no_gradients_of_it_and_says_so():
    segments = (Segment(0, 5),)
    q, k, v = (t.requires_grad_() for t in random_heads(5))
    with pytest.raises(UsageError, match=r"no backward pass on a processor: set trainer\.attention"):
        packed_attention(torch.nn.Module(), q, k, v, packed_segments=segments, packed_mask=block_mask(segments, "cpu"))


@CUDA
@settings(max_examples=10, deadline=None)
@given(forests(500))
def test_gradients_on_a_gpu_are_those_of_packed_attention(segments):
    found = []
    for flex in (False, True):
        heads = [t.requires_grad_() for t in random_heads(segments[-1].stop, "cuda")]
        mask = block_mask(segments, "cuda") if flex else None
        out, _ = packed_attention(torch.nn.Module(), *heads, packed_segments=segments, packed_mask=mask)
        out.sin().sum().backward()
        found.append([out.detach(), *(t.grad for t in heads)])
    for blocks, flex in zip(*found, strict=True):
        assert torch.allclose(blocks, flex, atol=5e-3), "TF32 products are off by about 1e-3"
