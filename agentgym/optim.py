"""What a recipe may say about the optimizer and the loss; apart from the learner so that reading it needs no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from agentgym.config import Config


class LoraConfig(Config):
    """Adapters: thin matrices that are trained instead of the whole ones (arXiv:2106.09685)."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    """The change of a weight is `alpha / rank` times the product of its two matrices."""
    targets: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), min_length=1
    )
    """Names of linear modules, wherever they are in the layers that `trainable` names."""
    seed: int = Field(default=0, ge=0)
    """Of the random one of the two; the other begins at zero."""


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
    lora: LoraConfig | None = None
    """Train adapters in these layers and nothing else; everything is trained as it is if not given."""
    token_budget: int = Field(default=4096, ge=1)
    """Most tokens in one forward and backward pass; gradients of the packs of a step add up."""
    ranks: int = Field(default=1, ge=1)
    """Processes that share the work of a step, and weights, gradients and moments between them (FSDP2): one on each
    GPU, or each with its part of the processor's cores. Packs are dealt out whole: have at least as many as ranks."""
    rank_timeout: float = Field(default=600.0, gt=0)
    """Seconds in which no rank gets any further before all are ended and the one that hangs is named. As long as one
    layer, or one update, may take and no longer."""
    attention: Literal["auto", "blocks", "flex"] = "auto"
    """How packs are attended over: `blocks` anywhere, `flex` on CUDA (and forward only elsewhere), `auto` what fits."""
    checkpointing: bool = False
    """Keep each layer's input only and compute the rest again in the backward pass: a third more work, far less
    memory, the same gradients."""
    on_nan: Literal["skip", "stop"] = "skip"
    """What follows a step whose loss or gradient is not finite. The step is refused in any case: weights and optimizer
    stay as they are and the batch is kept for inspection. Then the run goes on, or stops."""
    loss: Literal["clip", "cispo", "gspo", "gspo-turn", "reinforce"] = "clip"
    """What a policy step minimises: the clipped surrogate, CISPO, GSPO with a ratio for each sequence or for each turn,
    or REINFORCE. What each is for is in docs/losses.md."""
    clip_low: float = Field(default=0.2, ge=0, le=1)
    clip_high: float = Field(default=0.28, ge=0)
    """Bounds of the importance ratio, `1 - clip_low` and `1 + clip_high`. Ratios of whole sequences or turns lie much
    closer to 1 than those of tokens: GSPO's paper has 3e-4 and 4e-4. REINFORCE has no ratio and no bounds."""
    aggregation: Literal["token", "sequence", "turn", "constant"] = "token"
    """What the loss averages over."""
    constant: float | None = Field(default=None, gt=0)
    """Tokens that `aggregation = "constant"` divides each sequence's sum by."""
    ratio: Literal["sampler", "self"] = "sampler"
    """Denominator of the importance ratio: the sampler's log-probabilities, or the learner's own, which makes the
    ratio exactly 1: right for a single step on fresh samples, where the two differ by rounding only."""
    tis_cap: float | None = Field(default=None, ge=1)
    """Multiply each token's loss by min(learner's probability / sampler's probability, `tis_cap`): truncated importance
    weights, 2 say. With `ratio = "self"` or `loss = "reinforce"`, as the ratio to the sampler is a weight already."""
    kl: float = Field(default=0.0, ge=0)
    """Weight of the KL divergence to the reference, the weights at the first policy step."""
    kl_form: Literal["k1", "k2", "k3"] = "k3"
    """Estimate of the divergence; `agentgym.loss.kl` says what the gradient of each is."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Whether the divergence is added to the loss, or taken off each token's advantage."""
    entropy: float = Field(default=0.0, ge=0)
    """Weight of the entropy bonus."""

    @model_validator(mode="after")
    def _fits_together(self) -> LearnerConfig:
        if self.tis_cap is not None and self.ratio == "sampler" and self.loss != "reinforce":
            raise ValueError(
                f"tis_cap would weigh tokens a second time: the ratio of loss = {self.loss!r} is to the sampler "
                "already; set ratio = 'self', or loss = 'reinforce', or leave tis_cap out"
            )
        if self.kl and self.kl_form == "k1" and self.kl_in == "loss":
            raise ValueError(
                "kl_form = 'k1' in the loss has a gradient that is zero on average, noise only; "
                "set kl_in = 'reward', or kl_form = 'k2', which has the gradient that k1 has there"
            )
        return self
