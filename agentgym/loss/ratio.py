"""Importance ratios, by token and by unit, and where they leave their bounds: every surrogate begins here."""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import torch
from torch import Tensor


def log_ratio(logprob: Tensor, old: Tensor) -> Tensor:
    """`log(pi / pi_old)`, held within ±20 so that its exponential stays finite."""
    return (logprob - old).clamp(-20.0, 20.0)


@torch.no_grad()
def unit_log_ratio(logprob: Tensor, old: Tensor, unit: Tensor) -> Tensor:
    """Mean of `log(pi / pi_old)` over each token's unit: the logarithm of GSPO's length-normalised ratio.

    Without gradient: what a token adds to its unit's ratio is put back by `sequence_surrogate`.

    Args:
        logprob: `[A]`.
        old: `[A]`.
        unit: int `[A]`, a number for each sequence, or for each turn of each sequence; whole units only.

    Returns:
        `[A]`, the same within a unit and held within ±20.
    """
    delta = logprob - old
    _, inverse, counts = torch.unique(unit, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(counts), dtype=delta.dtype, device=delta.device).index_add_(0, inverse, delta)
    return (sums / counts)[inverse].clamp(-20.0, 20.0)


def outside(ratio: Tensor, clip_low: float, clip_high: float) -> tuple[Tensor, Tensor]:
    """Whether a ratio is below `1 - clip_low`, and whether it is above `1 + clip_high`, as two bool `[A]`."""
    return ratio < 1 - clip_low, ratio > 1 + clip_high


def clipped(logprob: Tensor, old: Tensor, advantage: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """Whether the clip of `clipped_surrogate` took the token's gradient away, as bool `[A]`."""
    low, high = outside(log_ratio(logprob, old).exp(), clip_low, clip_high)
    return (high & (advantage > 0)) | (low & (advantage < 0))
