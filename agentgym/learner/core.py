"""The step: gradients of all packs, one update, and what became of it.

The module that learns is the very module that samples. Nothing here is random: the same packs give the same bits.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentgym import loss as losses
from agentgym.attention import Segment, hidden_states
from agentgym.batch import Packed
from agentgym.errors import UsageError
from agentgym.head import token_logprobs
from agentgym.learner.masters import Masters
from agentgym.learner.memory import checkpointed, memory_error, out_of_memory
from agentgym.learner.objective import Mode, Tally, objective
from agentgym.learner.peers import Alone, Peers
from agentgym.learner.peft import adapter_masters, write_adapter
from agentgym.learner.refused import OnRefused, Refusal, handle
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

    def __init__(
        self,
        model: Any,
        config: LearnerConfig,
        on_refused: OnRefused | None = None,
        peers: Peers | None = None,
        score: Callable[[Packed], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        """Freeze what is not to be trained and make the master copies.

        Args:
            model: see above.
            config: see above.
            on_refused: see above.
            peers: the other ranks, where this learner is one of several; see `agentgym.learner.rank`.
            score: what computes `logprobs`, instead of `action_logprobs` of the model.

        Raises:
            UsageError: `config.trainable` is not understood, or names layers that the model does not have.
        """
        self.model, self.config = model, config
        self.version = self.refused = 0
        self.refusal: Refusal | None = None
        self.on_refused = on_refused
        model.eval()  # No dropout: what is learnt from is what was sampled.
        self._peers = peers or Alone()
        self._score = score or partial(action_logprobs, model, config)
        self._weights = Masters(model, config, self._peers)

    def step(self, packs: Sequence[Packed], mode: Mode = "policy", lr: float | None = None) -> dict[str, float]:
        """One optimizer step on the mean loss of all packs together.

        A step whose loss or gradient is not finite is refused: weights and optimizer stay as they are, `skipped` is 1,
        and the batch is kept in `refusal` and handed to `on_refused`. An error on the way leaves them so, too.

        Args:
            packs: the whole batch, as `agentgym.batch.pack` made it; one of several ranks is given its part.
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
        totals, counts = self._count(packs)
        if not totals.tokens:
            raise UsageError("nothing to learn from: no pack has an action token")
        if mode == "policy" and self.config.kl:
            self._weights.set_reference()

        rate = (lr or self.config.lr) * min(1.0, (self.version + 1) / max(1, self.config.warmup_steps))
        tally, broken = self._collect(packs, mode, totals)
        norm, wrong = self._update(rate, broken)
        self.refused += bool(wrong)

        seconds = time.monotonic() - began
        metrics = tally.metrics() | {
            "grad_norm": norm,
            "lr": rate,
            "skipped": float(bool(wrong)),
            "refused": float(self.refused),
            "action_tokens": float(totals.tokens),
            "sequences": float(totals.sequences),
            **counts,
            "seconds": seconds,
            "tokens_per_second": counts["tokens"] / max(seconds, 1e-9),
        }
        if wrong:
            self.refusal = Refusal(self.refused, wrong, mode, self.version, tuple(packs), metrics)
            handle(self.refusal, self.on_refused, self.config)
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

    def logprobs(self, p: Packed) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of each action token of a pack, `[A]` float32, with gradients."""
        return self._score(p)

    def _count(self, packs: Sequence[Packed]) -> tuple[losses.Totals, dict[str, float]]:
        """What all ranks' packs have together: what the loss divides by, and what is reported only."""
        mine = (
            sum(len(p.target) for p in packs),
            sum(len(p.lengths) for p in packs),
            sum(p.turns for p in packs),
            sum(sum(p.lengths) for p in packs),
            sum(len(p.tokens) for p in packs),
            len(packs),
        )
        tokens, sequences, turns, *rest = (sum(column) for column in zip(*self._peers.gather(mine), strict=True))
        names = ("tokens", "tokens_computed", "packs")
        return losses.Totals(tokens, sequences, turns), {k: float(v) for k, v in zip(names, rest, strict=True)}

    def _collect(self, packs: Sequence[Packed], mode: Mode, totals: losses.Totals) -> tuple[Tally, str]:
        """Gradients of all packs; gives their metrics, and which pack's loss is not finite."""
        device, tally, broken = self._weights.device, Tally(), ""
        # All ranks take part in every round, with or without a pack: each has a share of the weights.
        rounds = max(self._peers.gather(len(packs)))
        for index in range(rounds):
            p = packs[index] if index < len(packs) else IDLE
            try:
                loss = self._backward(p.to(device), mode, totals, tally if index < len(packs) else None)
            except BaseException as error:
                self._weights.forget()
                if out_of_memory(error):
                    raise memory_error(self.config, p) from error
                raise
            if not broken and not math.isfinite(loss):
                whose = f" of rank {self._peers.rank}" if self._peers.world > 1 else ""
                broken = f"the loss of pack {index} of {len(packs)}{whose} is {loss}"
        found = self._peers.gather((*tally.parts(), broken))
        return Tally.joined(one[:2] for one in found), next((one[2] for one in found if one[2]), "")

    def _backward(self, p: Packed, mode: Mode, totals: losses.Totals, tally: Tally | None) -> float:
        """Add the pack's share to the masters' gradients and to the metrics; gives its share of the loss.

        Without a `tally` the pack counts for nothing: it is computed for the other ranks' sake.
        """
        cfg = self.config
        reference = self._reference_logprobs(p) if mode == "policy" and cfg.kl else None
        found = objective(cfg, mode, p, *self.logprobs(p), reference)
        weights = losses.token_weights(cfg.aggregation, p.sequence, p.unit, totals, cfg.constant)
        total = (weights * found.per_token).sum() * float(tally is not None)
        total.backward()
        self._weights.collect()
        if tally is not None:
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
            Tensors by name (not copies: write them before the next step), and a dict of JSON values. Of several ranks
            the first alone has tensors, whole ones: what many ranks save one can continue from.
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

    # Adapters -----------------------------------------------------------------------------------------------------

    def export_adapter(self, folder: Path, base: str = "") -> Path:
        """Write the LoRA matrices as they are now to a folder that peft and vLLM can load, see `write_adapter`.

        Raises:
            UsageError: there are none: the recipe has no `[trainer.lora]`.
        """
        return write_adapter(folder, *self.state(), base)

    def load_adapter(self, folder: Path) -> None:
        """Go on from an adapter that peft wrote: its matrices, a fresh optimizer, version and reference as they are.

        Raises:
            UsageError: the adapter is not one that this learner's `lora` could have written.
        """
        tensors, meta = self.state()
        self.load_state(adapter_masters(folder, tensors, meta), meta)

    def close(self) -> None:
        """Nothing to end here; ranks have processes."""


def action_logprobs(model: Any, config: LearnerConfig, p: Packed) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy of each action token of a pack, `[A]` float32, with gradients."""
    with checkpointed(model) if config.checkpointing else nullcontext():
        hidden = hidden_states(model, p.tokens, p.positions, p.segments, config.attention)
    return token_logprobs(model, hidden[p.select], p.target)


_NUMBER, _VALUE = torch.zeros(1, dtype=torch.int64), torch.zeros(1)
IDLE = Packed(
    tokens=_NUMBER,
    positions=_NUMBER,
    segments=(Segment(0, 1),),
    lengths=(1,),
    select=_NUMBER,
    target=_NUMBER,
    advantage=_VALUE,
    logprob=_VALUE,
    sequence=_NUMBER,
    turn=_NUMBER,
)
"""What a rank computes when it has no pack and others do: one token, of no weight."""
