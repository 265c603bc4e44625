"""One of several ranks that learn together: a learner whose weights, gradients and moments are shared out (FSDP2).

Every rank holds some rows of every weight. Before a layer is computed its rows are gathered from all ranks, and after
it they are dropped; gradients are summed over ranks and each rank keeps those of its rows. So a rank needs the memory
of its share and of one whole layer, and the result is that of one learner with all packs, up to the order of sums.

Who starts the processes is left open: `agentgym.learner.ranks` does it on one machine, and actors of a cluster run the
same class. All ranks must call the same methods in the same order; each waits for the others.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from agentgym.batch import Packed
from agentgym.errors import UsageError
from agentgym.learner.core import Learner, action_logprobs
from agentgym.learner.objective import Mode
from agentgym.learner.peers import Group, own
from agentgym.learner.trainable import select_trainable
from agentgym.optim import LearnerConfig


class Rank:
    """A learner's share.

    Attributes:
        rank: which one, from 0.
        world: how many there are.
        learner: what does the work; its `state` and metrics are of all ranks together.
    """

    def __init__(
        self,
        model: Any,
        config: LearnerConfig,
        rank: int,
        world: int,
        meet: str,
        timeout: float = 1800.0,
        on_layer: Callable[[], None] | None = None,
    ) -> None:
        """Meet the other ranks and keep this one's share of the model.

        Args:
            model: the whole transformers model, equal on all ranks, on the device that this rank works on. Its
                parameters are replaced by shares; the tensors that they had are left as they are.
            config: of the optimizer and the loss; `on_nan` is the caller's business, a refused step is reported.
            rank: which this one is.
            world: how many there are.
            meet: where they meet, a URL of torch's: `file:///path` of a file that does not exist on a disk that all
                see, or `tcp://host:port` of rank 0.
            timeout: seconds that a rank waits for others before it fails.
            on_layer: called before each layer of the model is computed: a sign of life.

        Raises:
            UsageError: `config.trainable` or `config.lora` does not fit the model.
            torch.distributed.DistError: the others did not come.
        """
        self.rank, self.world = rank, world
        device = next(model.parameters()).device
        cuda = device.type == "cuda"
        if cuda:
            torch.cuda.set_device(device)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            init_method=meet,
            rank=rank,
            world_size=world,
            timeout=timedelta(seconds=timeout),
        )
        select_trainable(model, config.trainable)
        whole = _Whole(model, config)
        _shard(whole, model, init_device_mesh(device.type, (world,)))
        if on_layer is not None:
            for layer in model.get_decoder().layers:
                layer.register_forward_pre_hook(_calling(on_layer), prepend=True)
        self.learner = Learner(model, config.model_copy(update={"on_nan": "skip"}), peers=Group(), score=whole.score)

    def step(
        self, packs: Sequence[Packed], mode: Mode = "policy", lr: float | None = None
    ) -> tuple[dict[str, float], str]:
        """One optimizer step on the packs of all ranks together.

        Args:
            packs: this rank's part of the batch, perhaps none; whole packs, each given to one rank.
            mode: as `Learner.step`.
            lr: as `Learner.step`.

        Returns:
            Metrics of the whole batch, the same on every rank but for the time, and why the step was refused: empty if
            it was not.

        Raises:
            UsageError: no rank has an action token (on all ranks); or memory ran out on this one: the others wait for
                it then and must be ended.
        """
        metrics = self.learner.step(packs, mode, lr)
        refusal, self.learner.refusal = self.learner.refusal, None
        return metrics, refusal.reason if refusal else ""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As `Learner.state`: whole tensors on rank 0 and none on the others, the JSON values on all."""
        return self.learner.state()

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """As `Learner.load_state`; every rank is given the whole tensors.

        Raises:
            StoreError: the state is of other parameters than those that are trainable now.
        """
        self.learner.load_state(tensors, meta)

    @torch.no_grad()
    def write(self, into: Mapping[str, Tensor]) -> None:
        """Copy this rank's rows of the trained weights into whole tensors; those of other ranks are not touched."""
        for name, p in self._trained().items():
            whole = into[name]
            whole[self.learner._peers.rows(len(whole))].copy_(own(p))  # pyright: ignore[reportPrivateUsage]

    @torch.no_grad()
    def weights(self) -> dict[str, Tensor]:
        """The trained weights as the model has them, whole, on rank 0; nothing on the others."""
        peers = self.learner._peers  # pyright: ignore[reportPrivateUsage]
        found = {name: peers.whole(own(p), p.shape) for name, p in self._trained().items()}
        return {name: whole for name, whole in found.items() if whole is not None}

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for name, p in self.learner.model.named_parameters() if p.requires_grad}

    def close(self) -> None:
        """Leave the others."""
        if dist.is_initialized():
            dist.destroy_process_group()


class _Whole(torch.nn.Module):
    """Pack in, log-probabilities out: the forward pass that is shared out, output layer included."""

    def __init__(self, model: Any, config: LearnerConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    def forward(self, p: Packed) -> tuple[Tensor, Tensor]:
        return action_logprobs(self.model, self.config, p)

    def score(self, p: Packed) -> tuple[Tensor, Tensor]:
        """`forward`, and whole weights are dropped where no backward pass will come to drop them."""
        found = self(p)
        if not torch.is_grad_enabled() and isinstance(self, FSDPModule):
            self.reshard()
        return found


def _calling(what: Callable[[], None]) -> Callable[..., None]:
    def hook(*_: object) -> None:
        what()

    return hook


def _shard(whole: _Whole, model: Any, mesh: Any) -> None:
    """Share out every layer by itself, and what is not in a layer together."""
    if any(p.ndim == 0 for p in model.parameters()):
        raise UsageError(f"{type(model).__name__} has parameters that are single numbers: use trainer.ranks = 1")
    # Gradients of bfloat16 weights are summed over ranks in float32.
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
    for module in (*model.get_decoder().layers, whole):
        fully_shard(module, mesh=mesh, mp_policy=policy)
        assert isinstance(module, FSDPModule)
        module.set_gradient_divide_factor(1.0)  # Each rank's loss is its part of the sum already.
        module.set_force_sum_reduction_for_comms(True)
