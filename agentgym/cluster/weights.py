"""Weights on their way to samplers on other machines: one array, one version, one checksum.

All tensors lie end to end in one array of bytes. Ray puts it into shared memory once a machine, where every process
there reads it without a copy; which machine sends it to which is Ray's to decide.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agentgym.errors import InfraError, UsageError


class Entry(NamedTuple):
    """Where a tensor lies."""

    name: str
    dtype: str
    """`float32`, `bfloat16`, ..."""
    shape: tuple[int, ...]
    start: int
    """Offset of its first byte."""
    bytes: int


@dataclass(frozen=True)
class Weights:
    """A model's weights of one version."""

    version: int
    entries: tuple[Entry, ...]
    data: NDArray[np.uint8]
    """All tensors end to end, `[bytes]`."""
    checksum: str
    """SHA-256 of version, entries and data, hexadecimal."""


def pack(tensors: Mapping[str, torch.Tensor], version: int) -> Weights:
    """A copy of tensors, from whatever device they are on.

    Args:
        tensors: by their names in the model: a model's `state_dict()`, or a part of one.
        version: of these weights.

    Raises:
        UsageError: a weight is not a finite number; the samplers keep what they have.
    """
    entries: list[Entry] = []
    start = 0
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UsageError(f"weights of version {version}: {name!r} has numbers that are not finite; they stay here")
        size = tensor.numel() * tensor.element_size()
        kind = str(tensor.dtype).removeprefix("torch.")
        entries.append(Entry(name, kind, tuple(tensor.shape), start, size))
        start += size
    data = np.empty(start, dtype=np.uint8)
    for entry, tensor in zip(entries, tensors.values(), strict=True):
        if entry.bytes:
            raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            data[entry.start : entry.start + entry.bytes] = raw.numpy()
    return Weights(version, tuple(entries), data, _checksum(version, tuple(entries), data))


@torch.no_grad()
def install(weights: Weights, model: Any, part: bool = False) -> None:
    """Give a model these weights, where it is; all or none of them.

    Args:
        weights: what `pack` made.
        model: of the same names, shapes and types.
        part: whether weights of which there are none stay as they are, instead of being an error.

    Raises:
        InfraError: the bytes are not those that were packed.
        UsageError: they are of another model: a name, shape or type differs.
    """
    if _checksum(weights.version, weights.entries, weights.data) != weights.checksum:
        raise InfraError(f"weights of version {weights.version} arrived damaged: their checksum differs")
    own: dict[str, torch.Tensor] = dict(model.state_dict())
    where = f"weights of version {weights.version}"
    names = {entry.name for entry in weights.entries}
    if names - set(own) or (names != set(own) and not part):
        odd = sorted(names - set(own) or names ^ set(own))[0]
        raise UsageError(f"{where} are of another model: {odd!r} is in one of the two only")
    for entry in weights.entries:
        there = own[entry.name]
        kind = str(there.dtype).removeprefix("torch.")
        if entry.shape != tuple(there.shape) or entry.dtype != kind:
            raise UsageError(
                f"{where} are of another model: {entry.name!r} is {entry.dtype} {list(entry.shape)}, here {kind} "
                f"{list(there.shape)}; give model.ref and model.dtype that mean the same on every node"
            )
    for entry in weights.entries:
        if entry.bytes:
            piece = weights.data[entry.start : entry.start + entry.bytes].copy()  # Shared memory is read-only.
            own[entry.name].copy_(torch.from_numpy(piece).view(getattr(torch, entry.dtype)).reshape(entry.shape))


def size(model: Any) -> int:
    """Bytes that a model's packed weights have."""
    return sum(math.prod(t.shape) * t.element_size() for t in model.state_dict().values())


def _checksum(version: int, entries: tuple[Entry, ...], data: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(repr((version, entries)).encode())
    digest.update(np.ascontiguousarray(data).data)
    return digest.hexdigest()
