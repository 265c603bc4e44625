"""Three estimates of KL(pi || pi_ref) from tokens drawn from pi, and what each is good for.

Named as in Schulman 2020, "Approximating KL divergence". An estimate that is right in value need not be right in
gradient: the expected gradients below hold for tokens drawn from pi itself, and the tests check them exactly on a
small distribution (see also Tang and Munos 2025, arXiv:2506.09477, of which only summaries were at hand).

| form | value | as a loss, its gradient is that of | as a penalty on the advantage, the gradient is that of |
|---|---|---|---|
| k1 | unbiased, may be negative | nothing: 0 | KL(pi, ref) |
| k2 | biased, never negative | KL(pi, ref) | no divergence |
| k3 | unbiased, never negative | KL(ref, pi) | KL(pi, ref) - KL(ref, pi) |

"KL" is that of the next token's distribution, given the tokens before it: a token pays for its own divergence and not
for where it leads.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from agentgym.loss.ratio import log_ratio

KlForm = Literal["k1", "k2", "k3"]


def kl_k1(logprob: Tensor, reference: Tensor) -> Tensor:
    """`log pi - log pi_ref`."""
    return log_ratio(logprob, reference)


def kl_k2(logprob: Tensor, reference: Tensor) -> Tensor:
    """`(log pi - log pi_ref)^2 / 2`; per token, its gradient as a loss is that of k1 as a penalty."""
    return log_ratio(logprob, reference).square() / 2


def kl_k3(logprob: Tensor, reference: Tensor) -> Tensor:
    """`q - log q - 1` with `q = pi_ref / pi`: the estimate of KL(pi || pi_ref) that is never negative.

    Unbiased in value for tokens drawn from pi (Schulman 2020, "Approximating KL divergence"; used by GRPO, Shao et
    al. 2024, arXiv:2402.03300).
    """
    log_q = log_ratio(reference, logprob)
    return log_q.exp() - log_q - 1


def kl_estimate(form: KlForm, logprob: Tensor, reference: Tensor) -> Tensor:
    """The estimate of that name, `[A]`."""
    return {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}[form](logprob, reference)
