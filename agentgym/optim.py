"""What a recipe may say about the optimizer and the loss; apart from the learner so that reading it needs no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentgym.config import Config


class LearnerConfig(Config):
    """The optimizer and the loss."""

    lr: float = Field(default=2e-5, gt=0)
    """Learning rate of AdamW, after the warm-up."""
    warmup_steps: int = Field(default=0, ge=0)
    """Optimizer steps over which the rate rises linearly to `lr`."""
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled, on matrices only."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this global norm."""
    trainable: str = "all"
    """`all`, `upper:N` (the last N layers and the final norm) or `layers:A-B` (layers A to B-1; also the final norm
    where the last layer is among them). What is not trained keeps no activations below the lowest trained layer."""
    token_budget: int = Field(default=4096, ge=1)
    """Most tokens in one forward and backward pass; gradients of the packs of a step add up."""
    clip_low: float = Field(default=0.2, ge=0, le=1)
    clip_high: float = Field(default=0.28, ge=0)
    """Bounds of the importance ratio, `1 - clip_low` and `1 + clip_high`."""
    aggregation: Literal["token", "sequence", "turn", "constant"] = "token"
    """What the loss averages over."""
    constant: float | None = Field(default=None, gt=0)
    """Tokens that `aggregation = "constant"` divides each sequence's sum by."""
    ratio: Literal["sampler", "self"] = "sampler"
    """Denominator of the importance ratio: the sampler's log-probabilities, or the learner's own, which makes the
    ratio exactly 1: right for a single step on fresh samples, where the two differ by rounding only."""
    kl: float = Field(default=0.0, ge=0)
    """Weight of the KL divergence to the reference, the weights at the first policy step."""
    entropy: float = Field(default=0.0, ge=0)
    """Weight of the entropy bonus."""
