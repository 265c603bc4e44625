"""Trained weights in float32 with their optimizer, behind a module that usually computes in bfloat16.

An update of 2e-5 is lost in bfloat16's 8 bits, so the optimizer works on float32 master copies of the trainable
parameters, and after each step the module's own weights are the rounded masters.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from agentgym.errors import StoreError
from agentgym.learner.held import hold
from agentgym.learner.memory import memory_error, out_of_memory
from agentgym.learner.peers import Alone, Peers
from agentgym.learner.trainable import select_trainable
from agentgym.optim import LearnerConfig


class Masters:
    """AdamW on the float32 masters of the trainable parameters, and the reference of the KL term."""

    def __init__(self, model: Any, config: LearnerConfig, peers: Peers | None = None) -> None:
        """Raises: `UsageError` if `config.trainable` is not understood, or names layers that are not there."""
        self.config, self._peers = config, peers or Alone()
        self._held = hold(select_trainable(model, config.trainable), config.lora)
        self._params, self._masters = self._held.params, self._held.masters
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

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(iter(self._params.values())).device

    # Gradients ----------------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Move gradients from the module's parameters to float32 masters, where packs add up without rounding."""
        self._held.collect()

    def forget(self) -> None:
        """Drop all gradients, those of half a batch in particular: they must not be part of the next step."""
        for tensor in (*self._params.values(), *self._masters.values()):
            tensor.grad = None

    def update(self, lr: float, broken: str = "") -> tuple[float, str]:
        """One step of the optimizer by the gradients so far, clipped, unless something is wrong; then forget them.

        Args:
            lr: learning rate.
            broken: why there must be no update; empty if nothing is known against it.

        Returns:
            The gradients' global norm before clipping, and why there was no update: `broken`, or that the norm is not
            finite; empty if there was one.

        Raises:
            UsageError: memory ran out.
        """
        self.collect()
        self._held.settle(self._peers)
        gradients = {name: m.grad for name, m in self._masters.items() if m.grad is not None}
        norm = self._norm(gradients)
        if not broken and not math.isfinite(float(norm)):
            broken = f"the norm of the gradients is {float(norm)}; the first that is not finite: {self._bad(gradients)}"
        try:
            if not broken:
                torch.nn.utils.clip_grads_with_norm_(list(self._masters.values()), self.config.clip_norm, norm)
                for group in self._optimizer.param_groups:
                    group["lr"] = lr
                self._optimizer.step()
                self._held.publish(self._masters)
        except Exception as error:
            if out_of_memory(error):
                raise memory_error(self.config, None) from error
            raise
        finally:
            self.forget()
        return float(norm), broken

    def _norm(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """Of the gradients of all ranks, each counted once."""
        first = self._peers.rank == 0
        counted = [g for name, g in gradients.items() if first or name not in self._held.everywhere]
        # The root of one square is the number itself, to the bit.
        norms = self._peers.gather(float(torch.nn.utils.get_total_norm(counted)))
        return torch.tensor(math.hypot(*norms), device=self.device)

    def _bad(self, gradients: Mapping[str, Tensor]) -> str:
        """Name of the first gradient that is not finite on any rank."""
        found = self._peers.gather([name for name, g in gradients.items() if not bool(torch.isfinite(g).all())][:1])
        names = {name for one in found for name in one}
        return next((name for name in self._masters if name in names), "no single one")

    # Reference ----------------------------------------------------------------------------------------------------

    def set_reference(self) -> None:
        """Make the weights as they are now the reference of the KL term, unless there is one."""
        if self._reference is None:
            self._reference = {name: m.detach().clone() for name, m in self._masters.items()}

    @contextmanager
    def as_reference(self) -> Generator[None]:
        """The module has the reference's weights inside the block."""
        assert self._reference is not None
        own = {name: m.detach().clone() for name, m in self._masters.items()}
        self._held.publish(self._reference)
        try:
            yield
        finally:
            self._held.publish(own)

    # Saving -------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Masters, moments and reference by name, and how many steps the optimizer took.

        Whole tensors, on the first rank only; not copies where there is one.
        """
        tensors: dict[str, Tensor] = {}

        def add(kind: str, name: str, part: Tensor) -> None:
            everywhere = name in self._held.everywhere
            whole = part if everywhere else self._peers.whole(part, self._held.shapes[name])
            if whole is not None and self._peers.rank == 0:
                tensors[f"{kind}.{name}"] = whole

        for name, master in self._masters.items():
            add("master", name, master.detach())
            moments = self._optimizer.state.get(master, {})
            for kind in ("exp_avg", "exp_avg_sq"):
                if kind in moments:
                    add(kind, name, moments[kind])
        for name, value in (self._reference or {}).items():
            add("reference", name, value)
        steps = [int(s["step"]) for s in self._optimizer.state.values() if "step" in s]
        meta = {"steps": max(steps, default=0), "trainable": self.config.trainable}
        return tensors, meta if self.config.lora is None else meta | {"lora": self._lora()}

    def _lora(self) -> dict[str, Any] | None:
        return None if self.config.lora is None else self.config.lora.model_dump(mode="json")

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Continue from `state()`; every rank is given whole tensors.

        Raises:
            StoreError: the state is of other parameters than those that are trainable now.
        """
        for name, shape in self._held.shapes.items():
            found = tensors.get(f"master.{name}")
            if found is None or found.shape != shape:
                what = "is missing" if found is None else f"has shape {tuple(found.shape)}, not {tuple(shape)}"
                raise StoreError(
                    f"the checkpoint does not fit the model: {name} {what} "
                    f"(it was written with trainable={meta.get('trainable')!r}, now it is {self.config.trainable!r}; "
                    f"and with lora = {meta.get('lora')!r}, now {self._lora()!r})"
                )

        def mine(kind: str, name: str) -> Tensor:
            whole = tensors[f"{kind}.{name}"]
            part = whole if name in self._held.everywhere else whole[self._peers.rows(len(whole))]
            return part.to(self.device).clone()

        self._optimizer.state.clear()
        for name, master in self._masters.items():
            master.copy_(mine("master", name))
            if f"exp_avg.{name}" in tensors:
                moments = {k: mine(k, name) for k in ("exp_avg", "exp_avg_sq")}
                step = torch.tensor(float(meta["steps"]), device=master.device)
                self._optimizer.state[master] = {"step": step, **moments}
        kept = [name for name in self._masters if f"reference.{name}" in tensors]
        self._reference = {name: mine("reference", name) for name in kept} or None
        self._held.publish(self._masters)
