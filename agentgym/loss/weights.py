"""What an action token weighs in the loss of a whole batch, whatever packs the batch is split over."""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["token", "sequence", "turn", "constant"]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a whole batch has, over all its packs."""

    tokens: int
    """Action tokens."""
    sequences: int
    turns: int


def token_weights(
    how: Aggregation, sequence: Tensor, unit: Tensor, totals: Totals, constant: float | None = None
) -> Tensor:
    """What each action token weighs in the loss of the whole batch: `loss = sum(weights * per_token)`.

    - `token`: `1 / tokens`, every token the same (DAPO's token-level loss);
    - `sequence`: mean over sequences of each one's mean (GRPO's);
    - `turn`: mean over turns of each one's mean, so that a wordy turn counts no more than a terse one;
    - `constant`: `1 / (sequences * constant)`, no weight depends on a length (Dr. GRPO, Liu et al. 2025,
      arXiv:2503.20783; `constant` is the token limit there). Without `constant`: `1 / sequences`.

    Args:
        how: which of them.
        sequence: int `[A]`, which sequence each token is of; whole sequences only.
        unit: int `[A]`, which turn of which sequence it is of.
        totals: of the whole batch, over all packs.
        constant: see above.

    Returns:
        float32 `[A]`.
    """
    if how == "token":
        return torch.full(sequence.shape, 1.0 / totals.tokens, device=sequence.device)
    if how == "constant":
        return torch.full(sequence.shape, 1.0 / (totals.sequences * (constant or 1.0)), device=sequence.device)
    groups, parts = (sequence, totals.sequences) if how == "sequence" else (unit, totals.turns)
    _, inverse, counts = torch.unique(groups, return_inverse=True, return_counts=True)
    return 1.0 / (counts[inverse].to(torch.float32) * parts)
