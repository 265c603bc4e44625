"""The step: gradients of all packs, one update, and what became of it.

The module that learns is the very module that samples. Nothing here is random: the same packs give the same bits.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from agentgym import loss as losses
from agentgym.attention import hidden_states
from agentgym.batch import Packed
from agentgym.errors import UsageError
from agentgym.head import token_logprobs
from agentgym.learner.masters import Masters
from agentgym.learner.memory import checkpointed, memory_error, out_of_memory
from agentgym.learner.objective import Mode, Tally, objective
from agentgym.learner.refused import OnRefused, Refusal
from agentgym.optim import LearnerConfig


class Learner:
    """AdamW over packed batches, for policy gradients and for supervised learning.

    Attributes:
        model: the transformers causal language model that is trained in place.
        config: optimizer and loss.
        version: how many steps have changed the weights.
        refused: how many steps were refused.
        refusal: the last of those, with its batch; not kept across a checkpoint.
        on_refused: what is done with each; to write batches to a folder, `keep_refused(folder)`.
    """

    def __init__(self, model: Any, config: LearnerConfig, on_refused: OnRefused | None = None) -> None:
        """Freeze what is not to be trained and make the master copies.

        Raises:
            UsageError: `config.trainable` is not understood, or names layers that the model does not have.
        """
        self.model, self.config = model, config
        self.version = self.refused = 0
        self.refusal: Refusal | None = None
        self.on_refused = on_refused
        model.eval()  # No dropout: what is learnt from is what was sampled.
        self._weights = Masters(model, config)

    def step(self, packs: Sequence[Packed], mode: Mode = "policy", lr: float | None = None) -> dict[str, float]:
        """One optimizer step on the mean loss of all packs together.

        A step whose loss or gradient is not finite is refused: weights and optimizer stay as they are, `skipped` is 1,
        and the batch is kept in `refusal` and handed to `on_refused`. An error on the way leaves them so, too.

        Args:
            packs: the whole batch, as `agentgym.batch.pack` made it.
            mode: `policy` for the configured loss with the sequences' advantages, `sft` for maximum likelihood.
            lr: instead of the configured learning rate, for this step.

        Returns:
            Metrics. All but `seconds` and `tokens_per_second` are a function of weights and packs alone. `tokens` are
            those of the sequences, `tokens_computed` those after sharing common beginnings; `refused` counts all
            refusals so far. docs/losses.md has the rest.

        Raises:
            UsageError: there is nothing to learn from in `packs`; memory ran out, and the message says what to lower;
                or the step was refused and `config.on_nan` is `stop`.
        """
        began = time.monotonic()
        totals = losses.Totals(
            tokens=sum(len(p.target) for p in packs),
            sequences=sum(len(p.lengths) for p in packs),
            turns=sum(p.turns for p in packs),
        )
        if not totals.tokens:
            raise UsageError("nothing to learn from: no pack has an action token")
        if mode == "policy" and self.config.kl:
            self._weights.set_reference()

        rate = (lr or self.config.lr) * min(1.0, (self.version + 1) / max(1, self.config.warmup_steps))
        tally, broken = self._collect(packs, mode, totals)
        norm, wrong = self._update(rate, broken)
        self.refused += bool(wrong)

        tokens, seconds = sum(sum(p.lengths) for p in packs), time.monotonic() - began
        metrics = tally.metrics() | {
            "grad_norm": norm,
            "lr": rate,
            "skipped": float(bool(wrong)),
            "refused": float(self.refused),
            "tokens": float(tokens),
            "tokens_computed": float(sum(len(p.tokens) for p in packs)),
            "action_tokens": float(totals.tokens),
            "sequences": float(totals.sequences),
            "packs": float(len(packs)),
            "seconds": seconds,
            "tokens_per_second": tokens / max(seconds, 1e-9),
        }
        if wrong:
            self._refuse(Refusal(self.refused, wrong, mode, self.version, tuple(packs), metrics))
        return metrics

    def apply(self, lr: float, refuse: bool = False) -> tuple[float, bool]:
        """Clip the gradients that have been collected, update, publish the new weights, and clear the gradients.

        Args:
            lr: learning rate of this update.
            refuse: leave the weights as they are whatever the gradients.

        Returns:
            The gradients' global norm before clipping, and whether the weights were changed (not if it is not finite).
        """
        norm, wrong = self._update(lr, "as asked" if refuse else "")
        return norm, not wrong

    def _update(self, lr: float, broken: str) -> tuple[float, str]:
        norm, wrong = self._weights.update(lr, broken)
        self.version += not wrong
        return norm, wrong

    def _refuse(self, refusal: Refusal) -> None:
        self.refusal = refusal
        where = self.on_refused(refusal) if self.on_refused is not None else None
        if self.config.on_nan == "stop":
            kept = f"its batch is in {where}" if where else "its batch is in the learner's `refusal`"
            raise UsageError(
                f"a step was refused: {refusal.reason}; {kept}. Lower trainer.lr or trainer.clip_norm if the weights "
                "have run away, look at the batch's advantages if not, or go on without it: trainer.on_nan = 'skip'"
            )

    def logprobs(self, p: Packed) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of each action token of a pack, `[A]` float32, with gradients."""
        with checkpointed(self.model) if self.config.checkpointing else nullcontext():
            hidden = hidden_states(self.model, p.tokens, p.positions, p.segments)
        return token_logprobs(self.model, hidden[p.select], p.target)

    def _collect(self, packs: Sequence[Packed], mode: Mode, totals: losses.Totals) -> tuple[Tally, str]:
        """Gradients of all packs; gives their metrics, and which pack's loss is not finite."""
        device, tally, broken = self._weights.device, Tally(), ""
        for index, p in enumerate(packs):
            try:
                loss = self._backward(p.to(device), mode, totals, tally)
            except BaseException as error:
                self._weights.forget()
                if out_of_memory(error):
                    raise memory_error(self.config, p) from error
                raise
            if not broken and not math.isfinite(loss):
                broken = f"the loss of pack {index} of {len(packs)} is {loss}"
        return tally, broken

    def _backward(self, p: Packed, mode: Mode, totals: losses.Totals, tally: Tally) -> float:
        """Add the pack's share to the masters' gradients and to the metrics; gives its share of the loss."""
        cfg = self.config
        reference = self._reference_logprobs(p) if mode == "policy" and cfg.kl else None
        found = objective(cfg, mode, p, *self.logprobs(p), reference)
        weights = losses.token_weights(cfg.aggregation, p.sequence, p.unit, totals, cfg.constant)
        total = (weights * found.per_token).sum()
        total.backward()
        self._weights.collect()
        tally.add(total, found, len(p.target) / totals.tokens)
        return float(total.detach())

    @torch.no_grad()
    def _reference_logprobs(self, p: Packed) -> Tensor:
        with self._weights.as_reference():
            return self.logprobs(p)[0]

    # Saving -------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint needs, of trainable parameters only: float32 masters, moments, the KL reference.

        Returns:
            Tensors by name (not copies: write them before the next step), and a dict of JSON values.
        """
        tensors, meta = self._weights.state()
        return tensors, meta | {"version": self.version, "refused": self.refused}

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Continue from `state()`: the next step gives the same bits as if nothing had come between.

        Raises:
            StoreError: the state is of other parameters than those that are trainable now.
        """
        self._weights.load_state(tensors, meta)
        self.version = int(meta["version"])
        self.refused = int(meta.get("refused", 0))  # Older checkpoints lack it.
