"""The policy's weights as they were at one time, kept while it goes on learning, without holding twice what is frozen.

A reference is taken when it is first asked for: in the first iteration of reinforcement learning, after a warm start of
the same run, which is also where the learner takes the reference of its KL term.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from agentgym.errors import StoreError
from agentgym.learner import select_trainable


def sharing_copy(model: Any, own: Collection[str]) -> Any:
    """A copy of a model that has parameters `own` (names) for itself and shares all others with it; none is trained."""
    memo: dict[int, Any] = {id(p): p for name, p in model.named_parameters() if name not in own}
    made = copy.deepcopy(model, memo)
    for name, p in made.named_parameters():
        if name in own:
            p.requires_grad_(False)
    return made.eval()


def trainable_names(model: Any, which: str) -> list[str]:
    """Names of the parameters that a specification means (`LearnerConfig.trainable`); the model stays as it is.

    Raises:
        UsageError: the specification is not understood, or names layers that the model does not have.
    """
    flags = [(p, p.requires_grad) for p in model.parameters()]
    try:
        return list(select_trainable(model, which))
    finally:
        for p, flag in flags:
            p.requires_grad_(flag)


class Frozen:
    """A model with the policy's weights at the time of the first `get`.

    What the policy's learner does not train is shared with the policy, and what it trains is held, and saved, here.
    """

    def __init__(self, policy: Any) -> None:
        """`policy` is the transformers model that is trained, its learner already made."""
        self._policy = policy
        self._own = [name for name, p in policy.named_parameters() if p.requires_grad]
        self._model: Any = None

    @property
    def taken(self) -> bool:
        """Whether the weights have been taken."""
        return self._model is not None

    def get(self) -> Any:
        """The model; at the first call it is taken from the policy."""
        if self._model is None:
            self._model = sharing_copy(self._policy, frozenset(self._own))
        return self._model

    def tensors(self) -> dict[str, Tensor]:
        """Its own weights by name; nothing before they are taken."""
        if self._model is None:
            return {}
        named = dict(self._model.named_parameters())
        return {name: named[name].detach() for name in self._own}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights that `tensors()` gave; nothing stands for a reference that had not been taken.

        Raises:
            StoreError: they are of other parameters than those that the policy trains now.
        """
        self._model = None
        if not tensors:
            return
        named = dict(self.get().named_parameters())
        if set(tensors) != set(self._own) or any(named[k].shape != t.shape for k, t in tensors.items()):
            self._model = None
            raise StoreError("the checkpoint's frozen weights are of other parameters than those that are trained now")
        for name, value in tensors.items():
            named[name].copy_(value)
