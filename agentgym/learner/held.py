"""Where the numbers that an optimizer works on come from, and how they become the module's weights: dense, or LoRA.

The module never changes its shape. With LoRA, too, it has plain weights, the base plus the product of two thin
matrices, so the sampler knows nothing of adapters, pays nothing for them, and an exported model is merged already.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from agentgym.errors import UsageError, did_you_mean
from agentgym.learner.peers import Peers, own
from agentgym.optim import LoraConfig
from agentgym.seeding import generator


class Held(Protocol):
    """Float32 masters of the weights of a module."""

    params: dict[str, torch.nn.Parameter]
    """The module's own weights that follow the masters, by name."""
    masters: dict[str, Tensor]
    """What the optimizer changes, by name; across ranks this rank's rows."""
    shapes: dict[str, torch.Size]
    """Of whole masters, by name."""
    everywhere: frozenset[str]
    """Names of masters that every rank has whole."""

    def collect(self) -> None:
        """Add the gradients of `params` to those of the masters, in float32, and drop them from `params`."""
        ...

    def settle(self, peers: Peers) -> None:
        """Once all packs are collected: add up over ranks what each has a part of only."""
        ...

    def publish(self, source: Mapping[str, Tensor]) -> None:
        """Make the module's weights what `source`, of the masters' names and shapes, says; rounded to its precision."""
        ...


class Dense:
    """A float32 copy of each weight; a weight that is float32 is its own master."""

    everywhere: frozenset[str] = frozenset()

    def __init__(self, params: dict[str, torch.nn.Parameter]) -> None:
        self.params = params
        self.shapes = {name: p.shape for name, p in params.items()}
        # A sharded float32 weight cannot be its own master, but both can have the same memory.
        self.masters: dict[str, Tensor] = {
            name: p if own(p) is p and p.dtype == torch.float32 else own(p).detach().to(torch.float32).requires_grad_()
            for name, p in params.items()
        }

    def collect(self) -> None:
        """Packs add up in the masters, where they are not rounded."""
        for name, master in self.masters.items():
            param = self.params[name]
            if param is master or param.grad is None:
                continue
            part = own(param.grad)
            if master.grad is None:
                master.grad = part.to(torch.float32)
            else:
                master.grad += part
            param.grad = None

    def settle(self, peers: Peers) -> None:
        """Every rank's gradients are whole for its rows."""

    @torch.no_grad()
    def publish(self, source: Mapping[str, Tensor]) -> None:
        """Round."""
        for name, param in self.params.items():
            if param is not source[name]:
                own(param).copy_(source[name])


class LowRank:
    """LoRA (Hu et al. 2021, arXiv:2106.09685): `W = W0 + alpha / rank * B A`, A and B trained, B zero at first.

    Gradients are exact: `dA = s B' dW`, `dB = s dW A'` with `s = alpha / rank`. They are taken through the gradient of
    the whole weight, so this saves the optimizer's memory and that of checkpoints, and no work in the backward pass.
    In bfloat16 a change smaller than W's own rounding is not seen until it has grown, as with dense masters.
    """

    def __init__(self, params: Mapping[str, torch.nn.Parameter], config: LoraConfig) -> None:
        """Freeze what is not adapted.

        Args:
            params: trainable parameters by name; the matrices among them whose module is named in `config.targets`
                are adapted.
            config: rank, scale and targets.

        Raises:
            UsageError: a target is not there, or none is.
        """
        self.scale = config.alpha / config.rank
        modules = {name: name.split(".")[-2] for name, p in params.items() if p.ndim == 2 and name.count(".")}
        for target in config.targets:
            if target not in modules.values():
                raise UsageError(f"trainer.lora.targets: no matrix {target!r}{did_you_mean(target, modules.values())}")
        self.params = {name: params[name] for name, module in modules.items() if module in config.targets}
        self.masters = {}
        self.shapes: dict[str, torch.Size] = {}
        for name, p in params.items():
            p.requires_grad_(name in self.params)
        self._base = {name: own(p).detach().clone() for name, p in self.params.items()}
        for name, p in self.params.items():
            rows, columns = p.shape
            draw = generator(config.seed, "lora", name).standard_normal((config.rank, columns)) / columns**0.5
            a = torch.from_numpy(draw).to(p.device, torch.float32)
            self.masters[f"{name}.lora_a"] = a.requires_grad_()
            mine = len(self._base[name])
            self.masters[f"{name}.lora_b"] = torch.zeros(mine, config.rank, device=p.device, requires_grad=True)
            self.shapes[f"{name}.lora_a"] = torch.Size((config.rank, columns))
            self.shapes[f"{name}.lora_b"] = torch.Size((rows, config.rank))
        self.everywhere = frozenset(name for name in self.masters if name.endswith(".lora_a"))

    @torch.no_grad()
    def collect(self) -> None:
        """From dW to dA and dB."""
        for name, param in self.params.items():
            if param.grad is None:
                continue
            a, b = self.masters[f"{name}.lora_a"], self.masters[f"{name}.lora_b"]
            whole = self.scale * own(param.grad).to(torch.float32)
            for master, part in ((a, b.T @ whole), (b, whole @ a.T)):
                master.grad = part if master.grad is None else master.grad + part
            param.grad = None

    def settle(self, peers: Peers) -> None:
        """`B' dW` is a sum over rows, and each rank has some of them."""
        for name, master in self.masters.items():  # In one order on all ranks, which that of a set is not.
            if name in self.everywhere:
                peers.add(master.grad)

    @torch.no_grad()
    def publish(self, source: Mapping[str, Tensor]) -> None:
        """Merge into the base."""
        for name, param in self.params.items():
            change = self.scale * source[f"{name}.lora_b"] @ source[f"{name}.lora_a"]
            own(param).copy_(self._base[name].to(torch.float32) + change)


def hold(params: dict[str, torch.nn.Parameter], lora: LoraConfig | None) -> Held:
    """Masters of these parameters, as the recipe wants them held."""
    return Dense(params) if lora is None else LowRank(params, lora)
