"""What the tests of several ranks share."""

import json

import torch
from learning_cases import make_batch

from agentgym.batch import Packed, pack

CLOCK = {"seconds", "tokens_per_second"}


def batches(count: int, sizes: tuple[int, ...] = (9, 2, 5)) -> list[list[Packed]]:
    """Batches of one to four packs: fewer than ranks, as many, more and not a multiple."""
    return [pack(make_batch(i, sizes[i % len(sizes)], 50, shared=20), 64) for i in range(count)]


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Largest difference of two sets of tensors of the same names; a NaN is one."""
    assert one.keys() == other.keys()
    return float(torch.cat([(one[k].detach().float() - other[k].detach().float()).flatten() for k in one]).abs().max())


def copied(state: tuple[dict[str, torch.Tensor], dict]) -> tuple[dict[str, torch.Tensor], dict]:
    tensors, meta = state
    return {k: v.clone() for k, v in tensors.items()}, json.loads(json.dumps(meta))


def poisoned(p: Packed) -> Packed:
    return Packed(**{**p.__dict__, "advantage": torch.full_like(p.advantage, float("nan"))})
