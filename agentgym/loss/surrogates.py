"""What a policy step minimises, a function a paper; and maximum likelihood.

With every ratio 1 (one step on fresh samples, `ratio = "self"`) the gradients of all policy losses here are the same,
that of REINFORCE. They differ in what they do with tokens whose probability has moved since they were sampled.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import torch
from torch import Tensor

from agentgym.loss.ratio import log_ratio, unit_log_ratio


def clipped_surrogate(logprob: Tensor, old: Tensor, advantage: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """`-min(r A, clip(r, 1 - clip_low, 1 + clip_high) A)` with `r = pi / pi_old`.

    The clipped surrogate of PPO (Schulman et al. 2017, arXiv:1707.06347); with `clip_high > clip_low` the clip-higher
    of DAPO (Yu et al. 2025, arXiv:2503.14476), which leaves unlikely tokens more room to grow.
    """
    ratio = log_ratio(logprob, old).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip_low, 1 + clip_high) * advantage)


def cispo(logprob: Tensor, old: Tensor, advantage: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """`-sg[clip(r, 1 - clip_low, 1 + clip_high)] A log pi`: the weight is clipped, no token loses its gradient.

    CISPO (MiniMax-M1, 2025, arXiv:2506.13585, equations 4 and 5; `sg` stops the gradient). The paper works with an
    upper bound only, which is `clip_low = 1`, and sums over all tokens of a group alike, which is
    `aggregation = "token"`. Its value of the upper bound is not known to us. The value of this loss says nothing (it
    is not small where the policy is good); its gradient does.
    """
    weight = log_ratio(logprob, old).exp().clamp(1 - clip_low, 1 + clip_high).detach()
    return -weight * advantage * logprob


def sequence_surrogate(
    logprob: Tensor, old: Tensor, advantage: Tensor, unit: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """`-min(s A, clip(s, 1 - clip_low, 1 + clip_high) A)` with one ratio `s` for all tokens of a unit.

    `s = exp(mean of log(pi / pi_old) over the unit)`; a token's `s` is `sg[s] pi / sg[pi]`, which has the unit's value
    and the token's own gradient, so that a unit is kept or dropped whole and its tokens may still differ in advantage.

    With sequences as units this is the GSPO-token form of GSPO (Zheng et al. 2025, arXiv:2507.18071), equal to GSPO
    itself in value and gradient where all tokens of a sequence have one advantage and `aggregation = "sequence"`. The
    paper's bounds are about a thousand times narrower than those of a token's ratio: 3e-4 below, 4e-4 above.

    With turns as units, of this project and no paper: a turn is what gets one advantage here, so value and gradient
    are those of the turn's own ratio, with `aggregation = "turn"`; turns of a sequence are clipped one by one.

    Args:
        logprob: `[A]`.
        old: `[A]`.
        advantage: `[A]`.
        unit: int `[A]`, what each token's ratio is taken over; whole units only.
        clip_low: lower bound is `1 - clip_low`.
        clip_high: upper bound is `1 + clip_high`.
    """
    ratio = (unit_log_ratio(logprob, old, unit) + logprob - logprob.detach()).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip_low, 1 + clip_high) * advantage)


def reinforce(logprob: Tensor, advantage: Tensor) -> Tensor:
    """`-A log pi` (Williams 1992): right for fresh samples; `truncated_weight` mends those that are not quite fresh.

    As of `cispo`, the gradient of this loss means something, its value does not.
    """
    return -advantage * logprob


def negative_log_likelihood(logprob: Tensor) -> Tensor:
    """`-log pi`: supervised learning of tokens that somebody else wrote."""
    return -logprob
