"""Log-probabilities and entropies of chosen tokens, without keeping logits.

With a vocabulary of 49,152 the logits of a 4,096-token pack are 800 MB in float32, most of them for tokens that the
model did not write. Here they are computed for action tokens only, in chunks, in float32, and computed again in the
backward pass (one more matrix product for a few per cent of the tokens) instead of stored.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agentgym.errors import UsageError

CHUNK = 256
"""Action tokens at once: 50 MB of float32 logits with a vocabulary of 49,152."""


class _TokenLogprobs(torch.autograd.Function):
    """hidden `[A, d]`, weight `[V, d]`, target `[A]` -> log-probability `[A]` and entropy `[A]`, float32."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        logprob = torch.empty(len(target), dtype=torch.float32, device=hidden.device)
        entropy = torch.empty_like(logprob)
        for i in range(0, len(target), CHUNK):
            part = slice(i, i + CHUNK)
            logp = torch.log_softmax(hidden[part] @ weight.T, dim=-1, dtype=torch.float32)
            logprob[part] = logp.gather(1, target[part, None])[:, 0]
            entropy[part] = -(logp.exp().mul_(logp)).sum(-1)
        ctx.save_for_backward(hidden, weight, target, entropy)
        return logprob, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden, weight, target, entropy = ctx.saved_tensors
        need_hidden, need_weight = ctx.needs_input_grad[:2]
        by_logprob, by_entropy = grads
        d_hidden = torch.empty_like(hidden) if need_hidden else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if need_weight else None
        with_entropy = bool(by_entropy.any())
        for i in range(0, len(target), CHUNK):
            part = slice(i, i + CHUNK)
            logp = torch.log_softmax(hidden[part] @ weight.T, dim=-1, dtype=torch.float32)
            # d logprob / d logits = onehot - p;   d entropy / d logits = -p (log p + H)
            d = logp.exp()
            if with_entropy:
                d *= -by_logprob[part, None] - by_entropy[part, None] * (logp + entropy[part, None])
            else:
                d *= -by_logprob[part, None]
            d.scatter_add_(1, target[part, None], by_logprob[part, None])
            d = d.to(hidden.dtype)
            if d_hidden is not None:
                d_hidden[part] = d @ weight
            if d_weight is not None:
                d_weight += d.T @ hidden[part]
        return d_hidden, None if d_weight is None else d_weight.to(weight.dtype), None


def token_logprobs(model: Any, hidden: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability of each target token and entropy of the distribution that it was drawn from.

    Args:
        model: a transformers causal language model with a plain linear output layer.
        hidden: `[A, d]`, the last hidden state before each target.
        target: `[A]` ids.

    Returns:
        Two float32 tensors `[A]`, in nats; gradients flow through both.

    Raises:
        UsageError: the model does more to its logits than one matrix product.
    """
    head = model.get_output_embeddings()
    odd = [k for k in ("final_logit_softcapping", "logits_scaling", "logit_scale") if getattr(model.config, k, None)]
    if odd or getattr(head, "bias", None) is not None:
        raise UsageError(f"{type(model).__name__} changes its logits ({', '.join(odd) or 'bias'}): not supported yet")
    out: tuple[Tensor, Tensor] = _TokenLogprobs.apply(hidden, head.weight, target)  # pyright: ignore
    return out
