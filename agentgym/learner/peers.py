"""The ranks that learn together, as one of them sees the others; and which rows of a tensor are its own.

A rank holds rows `rank * c` to `(rank + 1) * c` of every weight, `c` being the rows over the ranks, rounded up: that is
how FSDP2 splits a parameter. A learner that is alone is the first rank of one, and has all rows.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor


class Peers(Protocol):
    """All ranks; every method but `rows` is called by all of them, in the same order."""

    rank: int
    world: int
    """How many there are."""

    def gather(self, value: Any) -> list[Any]:
        """What each rank gave, in their order; JSON-like values."""
        ...

    def add(self, tensor: Tensor | None) -> None:
        """Make `tensor` the sum over all ranks, in place; nothing happens with `None`, which must then be so on all."""
        ...

    def whole(self, part: Tensor, shape: torch.Size) -> Tensor | None:
        """The tensor of this shape whose rows each rank has some of: on the first rank, `None` on the others."""
        ...

    def rows(self, count: int) -> slice:
        """Which of `count` rows are this rank's."""
        ...


class Alone:
    """One rank."""

    rank = 0
    world = 1

    def gather(self, value: Any) -> list[Any]:
        """A list of one."""
        return [value]

    def add(self, tensor: Tensor | None) -> None:
        """It is the sum."""

    def whole(self, part: Tensor, shape: torch.Size) -> Tensor | None:
        """It is whole."""
        return part

    def rows(self, count: int) -> slice:
        """All."""
        return slice(0, count)


class Group:
    """The ranks of torch's default process group."""

    def __init__(self) -> None:
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        # Words go over the processor's network, whatever tensors go over.
        self._words = dist.new_group(backend="gloo") if dist.get_backend() != "gloo" else None

    def gather(self, value: Any) -> list[Any]:
        """By an all-gather of small objects."""
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value, group=self._words)
        return found

    def add(self, tensor: Tensor | None) -> None:
        """By an all-reduce."""
        if tensor is not None:
            dist.all_reduce(tensor)

    def whole(self, part: Tensor, shape: torch.Size) -> Tensor | None:
        """By a gather of equal parts: the last ranks' are padded."""
        height = -(-shape[0] // self.world)
        mine = part.new_zeros((height, *shape[1:]))
        mine[: len(part)] = part
        parts = [torch.empty_like(mine) for _ in range(self.world)] if self.rank == 0 else None
        dist.gather(mine, parts, dst=0)
        return None if parts is None else torch.cat(parts)[: shape[0]]

    def rows(self, count: int) -> slice:
        """As FSDP2 splits them."""
        height = -(-count // self.world)
        return slice(min(count, self.rank * height), min(count, (self.rank + 1) * height))


def own(tensor: Tensor) -> Tensor:
    """This rank's rows of a sharded tensor (the same memory), or the tensor itself if it is not sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
