"""Packs as named tensors and JSON values, for files: what is refused is kept so, and ranks are given theirs so."""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from torch import Tensor

from agentgym.attention import Segment
from agentgym.batch import Packed

COLUMNS = tuple(f.name for f in fields(Packed) if f.name not in ("segments", "lengths"))
"""The tensors of a pack."""


def taken_apart(packs: Sequence[Packed]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Tensors by name, and for each pack what they do not say."""
    tensors = {f"{i}.{name}": getattr(p, name).contiguous() for i, p in enumerate(packs) for name in COLUMNS}
    return tensors, [{"segments": p.segments, "lengths": p.lengths} for p in packs]


def put_together(tensors: Mapping[str, Tensor], told: Sequence[Mapping[str, Any]]) -> tuple[Packed, ...]:
    """The packs that were taken apart.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    return tuple(
        Packed(
            segments=tuple(Segment(a, b, tuple((c, d) for c, d in context)) for a, b, context in one["segments"]),
            lengths=tuple(one["lengths"]),
            **{name: tensors[f"{i}.{name}"] for name in COLUMNS},
        )
        for i, one in enumerate(told)
    )
