"""How far the policy that learns is from the one that sampled, and the weight that makes up for it.

Sampler and learner never agree to the last bit: other kernels, another precision, weights a step older. What is small
for a token adds up over thousands of them, so it is measured at every step.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from torch import Tensor

from agentgym.loss.ratio import log_ratio


def mismatch(logprob: Tensor, old: Tensor) -> dict[str, Tensor]:
    """How far the policy that learns is from the one that sampled, as per-token values.

    `logprob_diff` is `|log pi - log pi_old|`, `kl` the k3 estimate of KL(pi_old || pi) on tokens drawn from pi_old,
    `ratio` the importance ratio.
    """
    delta = log_ratio(logprob, old)
    return {"logprob_diff": delta.abs(), "kl": delta.exp() - delta - 1, "ratio": delta.exp()}


def effective_sample_share(mean: float, mean_square: float) -> float:
    """Effective sample size of importance weights, as a share of the number of samples (Kong 1992).

    `(sum w)^2 / (n sum w^2)`, of the weights' mean and mean square: 1 where all are equal, `1 / n` where one has it
    all. NaN where a weight is.

    >>> effective_sample_share(1.0, 1.0), effective_sample_share(0.25, 0.25)
    (1.0, 0.25)
    """
    # Rounding of the two means may lift it a hair above 1.
    return min(1.0, mean * mean / mean_square) if mean_square > 0 else float("nan")


def truncated_weight(logprob: Tensor, sampler: Tensor, cap: float) -> Tensor:
    """`min(pi / pi_sampler, cap)` without gradient: what a token's loss is multiplied by, `[A]`.

    Truncated importance sampling (Ionides 2008), proposed for the gap between sampling and training engines by Yao et
    al. 2025 ("Your efficient RL framework secretly brings you off-policy RL training", of which a summary was at hand)
    and known as the truncated weights of V-trace (Espeholt et al. 2018, arXiv:1802.01561). By token: weights of whole
    turns would be products of many ratios, right in expectation and of a variance that grows with their length.
    """
    return log_ratio(logprob, sampler).exp().clamp(max=cap).detach()
