"""Losses as short pure functions on 1-D tensors over action tokens.

Every function takes float32 tensors `[A]` (A action tokens) and returns per-token values `[A]`; what a token weighs in
the sum is separate (`token_weights`), so that a batch split over several packs adds up to exactly the same loss.
docs/losses.md says which one is for what.
"""

from agentgym.loss.kl import KlForm, kl_estimate, kl_k1, kl_k2, kl_k3
from agentgym.loss.mismatch import effective_sample_share, mismatch, truncated_weight
from agentgym.loss.ratio import clipped, log_ratio, outside, unit_log_ratio
from agentgym.loss.surrogates import (
    cispo,
    clipped_surrogate,
    negative_log_likelihood,
    reinforce,
    sequence_surrogate,
)
from agentgym.loss.weights import Aggregation, Totals, token_weights

__all__ = [
    "Aggregation",
    "KlForm",
    "Totals",
    "cispo",
    "clipped",
    "clipped_surrogate",
    "effective_sample_share",
    "kl_estimate",
    "kl_k1",
    "kl_k2",
    "kl_k3",
    "log_ratio",
    "mismatch",
    "negative_log_likelihood",
    "outside",
    "reinforce",
    "sequence_surrogate",
    "token_weights",
    "truncated_weight",
    "unit_log_ratio",
]
