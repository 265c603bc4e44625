"""Losses as short pure functions on 1-D tensors over action tokens.

Every function takes float32 tensors `[A]` (A action tokens) and returns per-token values `[A]`; what a token weighs in
the sum is separate (`token_weights`), so that a batch split over several packs adds up to exactly the same loss.
"""

# torch and safetensors are typed in part only.
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


def log_ratio(logprob: Tensor, old: Tensor) -> Tensor:
    """`log(pi / pi_old)`, held within ±20 so that its exponential stays finite."""
    return (logprob - old).clamp(-20.0, 20.0)


def clipped_surrogate(logprob: Tensor, old: Tensor, advantage: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """`-min(r A, clip(r, 1 - clip_low, 1 + clip_high) A)` with `r = pi / pi_old`.

    The clipped surrogate of PPO (Schulman et al. 2017, arXiv:1707.06347); with `clip_high > clip_low` the clip-higher
    of DAPO (Yu et al. 2025, arXiv:2503.14476), which leaves unlikely tokens more room to grow.
    """
    ratio = log_ratio(logprob, old).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip_low, 1 + clip_high) * advantage)


def clipped(logprob: Tensor, old: Tensor, advantage: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """Whether the clip took the token's gradient away, as bool `[A]`."""
    ratio = log_ratio(logprob, old).exp()
    return ((ratio > 1 + clip_high) & (advantage > 0)) | ((ratio < 1 - clip_low) & (advantage < 0))


def kl_k3(logprob: Tensor, reference: Tensor) -> Tensor:
    """`q - log q - 1` with `q = pi_ref / pi`: the estimate of KL(pi || pi_ref) that is never negative.

    Unbiased in value for tokens drawn from pi (Schulman 2020, "Approximating KL divergence"; used by GRPO, Shao et
    al. 2024, arXiv:2402.03300).
    """
    log_q = log_ratio(reference, logprob)
    return log_q.exp() - log_q - 1


def negative_log_likelihood(logprob: Tensor) -> Tensor:
    """`-log pi`: supervised learning of tokens that somebody else wrote."""
    return -logprob


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


def mismatch(logprob: Tensor, old: Tensor) -> dict[str, Tensor]:
    """How far the policy that learns is from the one that sampled, as per-token values.

    `logprob_diff` is `|log pi - log pi_old|`, `kl` the k3 estimate of KL(pi_old || pi) on tokens drawn from pi_old,
    `ratio` the importance ratio.
    """
    delta = log_ratio(logprob, old)
    return {"logprob_diff": delta.abs(), "kl": delta.exp() - delta - 1, "ratio": delta.exp()}
