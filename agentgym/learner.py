"""The learner: packed batches in, new weights out.

The module that learns is the very module that samples, usually in bfloat16. An update of 2e-5 is lost in bfloat16's
8 bits, so the optimizer works on float32 master copies of the trainable parameters, and after each step the module's
own weights are the rounded masters. Nothing here is random: the same packs give the same bits.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from agentgym import loss as losses
from agentgym.attention import hidden_states
from agentgym.batch import Packed
from agentgym.errors import StoreError, UsageError
from agentgym.head import token_logprobs
from agentgym.optim import LearnerConfig

Mode = Literal["policy", "sft"]


class Learner:
    """AdamW over packed batches, for policy gradients and for supervised learning.

    Attributes:
        model: the transformers causal language model that is trained in place.
        config: optimizer and loss.
        version: how many steps have changed the weights.
    """

    def __init__(self, model: Any, config: LearnerConfig) -> None:
        """Freeze what is not to be trained and make the master copies.

        Raises:
            UsageError: `config.trainable` is not understood, or names layers that the model does not have.
        """
        self.model, self.config = model, config
        self.version = 0
        model.eval()  # No dropout: what is learnt from is what was sampled.
        self._params = select_trainable(model, config.trainable)
        self._masters = {
            name: p if p.dtype == torch.float32 else p.detach().to(torch.float32).requires_grad_()
            for name, p in self._params.items()
        }
        decayed = [m for m in self._masters.values() if m.ndim >= 2]
        rest = [m for m in self._masters.values() if m.ndim < 2]
        self._optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}],
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            fused=True,
        )
        self._reference: dict[str, Tensor] | None = None

    def step(self, packs: Sequence[Packed], mode: Mode = "policy", lr: float | None = None) -> dict[str, float]:
        """One optimizer step on the mean loss of all packs together.

        A step whose loss or gradient is not finite is refused: the weights stay as they are, and `skipped` is 1.

        Args:
            packs: the whole batch, as `agentgym.batch.pack` made it.
            mode: `policy` for the clipped surrogate with the sequences' advantages, `sft` for maximum likelihood.
            lr: instead of the configured learning rate, for this step.

        Returns:
            Metrics. All but `seconds` and `tokens_per_second` are a function of weights and packs alone. `tokens` are
            those of the sequences, `tokens_computed` those after sharing common beginnings.

        Raises:
            UsageError: there is nothing to learn from in `packs`.
        """
        began = time.monotonic()
        totals = losses.Totals(
            tokens=sum(len(p.target) for p in packs),
            sequences=sum(len(p.lengths) for p in packs),
            turns=sum(p.turns for p in packs),
        )
        if not totals.tokens:
            raise UsageError("nothing to learn from: no pack has an action token")
        if mode == "policy" and self.config.kl and self._reference is None:
            self._reference = {name: m.detach().clone() for name, m in self._masters.items()}

        device = next(iter(self._params.values())).device
        sums: dict[str, float] = {}
        for p in packs:
            for name, value in self._backward(p.to(device), mode, totals).items():
                sums[name] = sums.get(name, 0.0) + value

        rate = (lr or self.config.lr) * min(1.0, (self.version + 1) / max(1, self.config.warmup_steps))
        norm, applied = self.apply(rate, refuse=not math.isfinite(sums["loss"]))

        tokens, seconds = sum(sum(p.lengths) for p in packs), time.monotonic() - began
        return sums | {
            "grad_norm": norm,
            "lr": rate,
            "skipped": float(not applied),
            "tokens": float(tokens),
            "tokens_computed": float(sum(len(p.tokens) for p in packs)),
            "action_tokens": float(totals.tokens),
            "sequences": float(totals.sequences),
            "packs": float(len(packs)),
            "seconds": seconds,
            "tokens_per_second": tokens / max(seconds, 1e-9),
        }

    def apply(self, lr: float, refuse: bool = False) -> tuple[float, bool]:
        """Clip the gradients that have been collected, update, publish the new weights, and clear the gradients.

        Args:
            lr: learning rate of this update.
            refuse: leave the weights as they are whatever the gradients.

        Returns:
            The gradients' global norm before clipping, and whether the weights were changed (not if it is not finite).
        """
        self._collect_gradients()
        norm = float(torch.nn.utils.clip_grad_norm_(list(self._masters.values()), self.config.clip_norm))
        good = math.isfinite(norm) and not refuse
        if good:
            for group in self._optimizer.param_groups:
                group["lr"] = lr
            self._optimizer.step()
            self._publish(self._masters)
            self.version += 1
        self._optimizer.zero_grad(set_to_none=True)
        return norm, good

    def logprobs(self, p: Packed) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of each action token of a pack, `[A]` float32, with gradients."""
        hidden = hidden_states(self.model, p.tokens, p.positions, p.segments)
        return token_logprobs(self.model, hidden[p.select], p.target)

    def _backward(self, p: Packed, mode: Mode, totals: losses.Totals) -> dict[str, float]:
        """Add the pack's share to the masters' gradients; gives its share of each metric."""
        cfg = self.config
        reference = self._reference_logprobs(p) if mode == "policy" and cfg.kl else None
        logprob, entropy = self.logprobs(p)
        own = logprob.detach()
        metrics: dict[str, Tensor] = {"entropy": entropy.detach().mean()}
        if mode == "sft":
            per_token = losses.negative_log_likelihood(logprob)
        else:
            old = p.logprob if cfg.ratio == "sampler" else own
            per_token = losses.clipped_surrogate(logprob, old, p.advantage, cfg.clip_low, cfg.clip_high)
            cut = losses.clipped(own, old, p.advantage, cfg.clip_low, cfg.clip_high)
            metrics["clip_fraction"] = cut.to(torch.float32).mean()
            metrics |= {name: value.mean() for name, value in losses.mismatch(own, p.logprob).items()}
            if reference is not None:
                away = losses.kl_k3(logprob, reference)
                per_token = per_token + cfg.kl * away
                metrics["kl_reference"] = away.detach().mean()
            if cfg.entropy:
                per_token = per_token - cfg.entropy * entropy
        weights = losses.token_weights(cfg.aggregation, p.sequence, p.unit, totals, cfg.constant)
        total = (weights * per_token).sum()
        total.backward()
        self._collect_gradients()
        share = len(p.target) / totals.tokens
        return {"loss": float(total.detach())} | {name: float(value) * share for name, value in metrics.items()}

    def _collect_gradients(self) -> None:
        """Move gradients from bfloat16 parameters to float32 masters, where packs add up without rounding."""
        for name, master in self._masters.items():
            param = self._params[name]
            if param is master or param.grad is None:
                continue
            if master.grad is None:
                master.grad = param.grad.to(torch.float32)
            else:
                master.grad += param.grad
            param.grad = None

    @torch.no_grad()
    def _publish(self, source: Mapping[str, Tensor]) -> None:
        """Make the module's weights those of `source`, rounded to its precision."""
        for name, param in self._params.items():
            if param is not source[name]:
                param.copy_(source[name])

    @torch.no_grad()
    def _reference_logprobs(self, p: Packed) -> Tensor:
        assert self._reference is not None
        own = {name: m.detach().clone() for name, m in self._masters.items()}
        self._publish(self._reference)
        try:
            return self.logprobs(p)[0]
        finally:
            self._publish(own)

    # Saving -------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint needs, of trainable parameters only: float32 masters, moments, the KL reference.

        Returns:
            Tensors by name (not copies: write them before the next step), and a dict of JSON values.
        """
        tensors: dict[str, Tensor] = {}
        for name, master in self._masters.items():
            tensors[f"master.{name}"] = master.detach()
            moments = self._optimizer.state.get(master, {})
            for kind in ("exp_avg", "exp_avg_sq"):
                if kind in moments:
                    tensors[f"{kind}.{name}"] = moments[kind]
        for name, value in (self._reference or {}).items():
            tensors[f"reference.{name}"] = value
        steps = [int(s["step"]) for s in self._optimizer.state.values() if "step" in s]
        return tensors, {"version": self.version, "steps": max(steps, default=0), "trainable": self.config.trainable}

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Continue from `state()`: the next step gives the same bits as if nothing had come between.

        Raises:
            StoreError: the state is of other parameters than those that are trainable now.
        """
        for name, master in self._masters.items():
            found = tensors.get(f"master.{name}")
            if found is None or found.shape != master.shape:
                what = "is missing" if found is None else f"has shape {tuple(found.shape)}, not {tuple(master.shape)}"
                raise StoreError(
                    f"the checkpoint does not fit the model: {name} {what} "
                    f"(it was written with trainable={meta.get('trainable')!r}, now it is {self.config.trainable!r})"
                )
        self._optimizer.state.clear()
        for name, master in self._masters.items():
            master.copy_(tensors[f"master.{name}"])
            if f"exp_avg.{name}" in tensors:
                moments = {k: tensors[f"{k}.{name}"].to(master.device).clone() for k in ("exp_avg", "exp_avg_sq")}
                step = torch.tensor(float(meta["steps"]), device=master.device)
                self._optimizer.state[master] = {"step": step, **moments}
        reference = {k.removeprefix("reference."): v for k, v in tensors.items() if k.startswith("reference.")}
        self._reference = {k: v.to(self._masters[k].device).clone() for k, v in reference.items()} or None
        self.version = int(meta["version"])
        self._publish(self._masters)


def select_trainable(model: Any, which: str) -> dict[str, torch.nn.Parameter]:
    """Set `requires_grad` by a specification, and give the parameters that are trained, by name.

    Args:
        model: a transformers causal language model.
        which: `all`, `upper:N` or `layers:A-B` (B excluded), see `LearnerConfig.trainable`.

    Raises:
        UsageError: the specification is not understood, or names layers that the model does not have.
    """
    decoder = model.get_decoder()
    count = len(decoder.layers)
    upper, between = re.fullmatch(r"upper:(\d+)", which), re.fullmatch(r"layers:(\d+)-(\d+)", which)
    if which == "all":
        chosen = list(model.parameters())
    elif upper or between:
        first, last = (count - int(upper[1]), count) if upper else (int(between[1]), int(between[2]))  # pyright: ignore
        if not 0 <= first < last <= count:
            raise UsageError(f"trainable = {which!r}: the model has layers 0 to {count - 1}")
        chosen = [p for layer in decoder.layers[first:last] for p in layer.parameters()]
        if last == count:
            chosen += list(decoder.norm.parameters())
    else:
        raise UsageError(f"trainable = {which!r} is not understood; use 'all', 'upper:N' or 'layers:A-B'")
    wanted = {id(p) for p in chosen}
    for p in model.parameters():
        p.requires_grad_(id(p) in wanted)
    return {name: p for name, p in model.named_parameters() if id(p) in wanted}
