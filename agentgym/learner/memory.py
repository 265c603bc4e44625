"""What to do about memory in the learner: computing activations again, and saying which setting to lower."""

# torch and transformers are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from agentgym.attention import packed
from agentgym.batch import Packed
from agentgym.errors import UsageError
from agentgym.optim import LearnerConfig

ALLOCATORS = ("can't allocate memory", "not enough memory", "alloc_failed")
"""What allocators that have no error of their own say: of the processor on Linux and elsewhere, and of cuBLAS."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; a processor's allocator says so in words only.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("shapes do not match"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in ALLOCATORS)


def memory_error(cfg: LearnerConfig, p: Packed | None) -> UsageError:
    """What to say when memory ran out.

    Args:
        cfg: the learner's settings.
        p: the pack that was computed, or `None` if it happened in the optimizer's update.
    """
    if p is None:
        return UsageError(
            "out of memory in the optimizer, which holds a float32 copy, a gradient and two moments of each parameter "
            f"that is trained: train fewer of them (trainer.trainable = 'upper:N'; now {cfg.trainable!r})"
        )
    again = "" if cfg.checkpointing else ", or set trainer.checkpointing = true"
    size, longest = len(p.tokens), max(p.lengths)
    if len(p.lengths) == 1:
        return UsageError(
            f"out of memory in the learner, at one sequence of {longest} tokens, which no token_budget makes smaller: "
            f"lower limits.tokens or limits.turns{again}"
        )
    return UsageError(
        f"out of memory in the learner, at a pack of {size} tokens: lower trainer.token_budget "
        f"(now {cfg.token_budget}; the pack's longest sequence has {longest}){again}"
    )


@contextmanager
def checkpointed(model: Any) -> Generator[None]:
    """Have each layer keep its input only in forward passes inside the block, and compute the rest again later.

    Sublinear memory (Chen et al. 2016, arXiv:1604.06174). Layers are told one by one and only inside the block: the
    sampler uses the very same module, with a cache that a layer would drop. The second forward pass runs inside the
    backward pass, wherever that is called, and attends by packs as the first one did.

    Raises:
        UsageError: the model's layers do not offer it.
    """
    layers = list(model.get_decoder().layers)
    if not all(hasattr(layer, "gradient_checkpointing") for layer in layers):
        raise UsageError(f"{type(model).__name__} has layers without gradient checkpointing: set checkpointing = false")

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), packed(model)

    # Nothing in a layer is random: no state of a random generator is touched.
    again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    before = [(layer.training, layer.gradient_checkpointing) for layer in layers]
    for layer in layers:
        layer._gradient_checkpointing_func = again
        # Of the layer alone, not of what is in it: dropout stays off.
        layer.training, layer.gradient_checkpointing = True, True
    try:
        yield
    finally:
        for layer, (training, switched_on) in zip(layers, before, strict=True):
            layer.training, layer.gradient_checkpointing = training, switched_on
