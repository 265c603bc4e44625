"""One rank of the learner, as a Ray actor: one process, one share of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from agentgym import models
from agentgym.batch import Packed
from agentgym.cluster.connect import library
from agentgym.cluster.sampler import limit_threads
from agentgym.cluster.weights import Weights, pack
from agentgym.errors import AgentgymError
from agentgym.learner import Learner, Mode
from agentgym.learner.rank import Rank
from agentgym.recipe import Recipe

Told = tuple[str, Any]
"""`("", result)`, or an error's name and text."""


@dataclass(frozen=True)
class Taken:
    """What a step came to; equal on all ranks."""

    metrics: dict[str, float]
    version: int
    refused: int
    reason: str
    """Why it was refused; empty if it was not."""


class RankActor:
    """A rank; becomes a Ray actor. `hello`, `begin`, then steps in the order of all other ranks."""

    def __init__(self, recipe: Recipe, threads: int) -> None:
        # The driver decides what a refused step means; here it is only refused.
        self._recipe = recipe.model_copy(update={"trainer": recipe.trainer.model_copy(update={"on_nan": "skip"})})
        self._threads = threads
        self._alone: Learner | None = None
        self._rank: Rank | None = None

    def hello(self) -> Told:
        """Where the ranks can meet, should this be the first of them: address and a free port."""
        return "", (library().util.get_node_ip_address(), _free_port())

    def begin(self, rank: int, count: int, meeting: tuple[str, int]) -> Told:
        """Load the model and join the others; gives the fingerprint of the model.

        Args:
            rank: which one this is.
            count: how many there are.
            meeting: what `hello` of the first one said.
        """

        def opening() -> str:
            limit_threads(self._threads)
            recipe, cluster = self._recipe, self._recipe.cluster
            ref, model = recipe.model.ref, recipe.model
            loaded = models.load(ref, dtype=model.dtype, device=model.device, seed=recipe.seed)
            if count == 1:
                self._alone = Learner(loaded.model, recipe.trainer)
                return loaded.fingerprint
            meet = f"tcp://{meeting[0]}:{meeting[1]}"
            self._rank = Rank(loaded.model, recipe.trainer, rank, count, meet, timeout=cluster.deadline)
            return loaded.fingerprint

        return _told(opening)

    def step(self, packs: Sequence[Packed], mode: Mode, lr: float | None) -> Told:
        """`Taken`, of one optimizer step of all ranks; `packs` are this one's."""

        def stepping() -> Taken:
            learner = self._learner
            if self._rank is not None:
                metrics, reason = self._rank.step(packs, mode, lr)
            else:
                metrics = learner.step(packs, mode, lr)
                # Its batch is the driver's as well: it need not be held here.
                refusal, learner.refusal = learner.refusal, None
                reason = "" if refusal is None else refusal.reason
            return Taken(metrics, learner.version, learner.refused, reason)

        return _told(stepping)

    def state(self) -> Told:
        """`Learner.state()`: the first rank has the tensors of all."""
        return _told(lambda: self._learner.state())

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Told:
        """Continue from a state, whole on every rank."""
        # What comes from the object store is read-only, and the optimizer writes to what it is given.
        own = {name: tensor.clone() for name, tensor in tensors.items()}
        return _told(lambda: self._learner.load_state(own, meta))

    def weights(self, version: int) -> Told:
        """`Weights` that are trained, whole, of the first rank; nothing of the others."""

        def whole() -> Weights | None:
            if self._rank is None:
                return pack(self._learner.model.state_dict(), version)
            found = self._rank.weights()
            return pack(found, version) if self._rank.rank == 0 else None

        return _told(whole)

    @property
    def _learner(self) -> Learner:
        found = self._rank.learner if self._rank is not None else self._alone
        assert found is not None
        return found

    def close(self) -> None:
        """Nothing outlives the process."""


def _told(work: Callable[[], Any]) -> Told:
    try:
        return "", work()
    except AgentgymError as error:
        return type(error).__name__, str(error)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
