"""Which parameters are trained, named in one short text."""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from typing import Any

import torch

from agentgym.errors import UsageError


def select_trainable(model: Any, which: str) -> dict[str, torch.nn.Parameter]:
    """Set `requires_grad` by a specification, and give the parameters that are trained, by name.

    Args:
        model: a transformers causal language model.
        which: `all`, `upper:N` or `layers:A-B` (B excluded), see `LearnerConfig.trainable`.

    Raises:
        UsageError: the specification is not understood, or names layers that the model does not have.
    """
    decoder = model.get_decoder()
    count = len(decoder.layers)
    upper, between = re.fullmatch(r"upper:(\d+)", which), re.fullmatch(r"layers:(\d+)-(\d+)", which)
    if which == "all":
        chosen = list(model.parameters())
    elif upper or between:
        first, last = (count - int(upper[1]), count) if upper else (int(between[1]), int(between[2]))  # pyright: ignore
        if not 0 <= first < last <= count:
            raise UsageError(f"trainable = {which!r}: the model has layers 0 to {count - 1}")
        chosen = [p for layer in decoder.layers[first:last] for p in layer.parameters()]
        if last == count:
            chosen += list(decoder.norm.parameters())
    else:
        raise UsageError(f"trainable = {which!r} is not understood; use 'all', 'upper:N' or 'layers:A-B'")
    wanted = {id(p) for p in chosen}
    for p in model.parameters():
        p.requires_grad_(id(p) in wanted)
    return {name: p for name, p in model.named_parameters() if id(p) in wanted}
