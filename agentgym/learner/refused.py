"""Steps that were refused, with the batch that caused them: kept whole, so that they can be looked at later.

A NaN is found once and its cause asked for many times. What is written is all that the step was a function of besides
the weights: the packs as they were, in the format of checkpoints, safetensors and JSON under a manifest of hashes.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentgym import checkpoint
from agentgym.batch import Packed
from agentgym.errors import StoreError, UsageError
from agentgym.learner.objective import Mode
from agentgym.learner.packs import put_together, taken_apart
from agentgym.optim import LearnerConfig


@dataclass(frozen=True, eq=False)
class Refusal:
    """A step that was not taken."""

    number: int
    """The first of a run is 1."""
    reason: str
    """What was not finite, and in which pack or parameter it was seen first."""
    mode: Mode
    version: int
    """How many steps had changed the weights when it happened."""
    packs: tuple[Packed, ...]
    """The batch."""
    metrics: Mapping[str, float]
    """What the step would have reported; some of it is not finite."""


OnRefused = Callable[[Refusal], Path | None]
"""What a learner does with a refusal; gives where the batch was put, for the error message."""


def keep_refused(folder: Path, keep: int = 8) -> OnRefused:
    """Write refusals to `folder/step-NNNNNN` (the refusal's number), the newest `keep` of them.

    The same refusal, met again by a resumed run, replaces what was written before.

    Raises:
        StoreError: when called, if the disk refuses.
    """

    def write(refusal: Refusal) -> Path:
        tensors, told = taken_apart(refusal.packs)
        meta = {
            "reason": refusal.reason,
            "mode": refusal.mode,
            "version": refusal.version,
            "metrics": {name: repr(value) for name, value in refusal.metrics.items()},  # JSON has no NaN.
            "packs": told,
        }
        return checkpoint.save(folder, refusal.number, tensors, meta, keep=keep)

    return write


def handle(refusal: Refusal, on_refused: OnRefused | None, config: LearnerConfig) -> None:
    """Hand a refusal on, and stop if the recipe says so.

    Raises:
        UsageError: `config.on_nan` is `stop`; it says where the batch is.
    """
    where = on_refused(refusal) if on_refused is not None else None
    if config.on_nan == "stop":
        kept = f"its batch is in {where}" if where else "its batch is in the learner's `refusal`"
        raise UsageError(
            f"a step was refused: {refusal.reason}; {kept}. Lower trainer.lr or trainer.clip_norm if the weights "
            "have run away, look at the batch's advantages if not, or go on without it: trainer.on_nan = 'skip'"
        )


def load_refused(folder: Path) -> Refusal | None:
    """The newest refusal in a folder, or `None` where there is none; its packs can be given to `Learner.step` again.

    Raises:
        StoreError: there are some, but not one of them is whole, or it is something else.
    """
    found = checkpoint.load_latest(folder)
    if found is None:
        return None
    meta = found.meta
    try:
        packs = put_together(found.tensors, meta["packs"])
        metrics = {name: float(value) for name, value in meta["metrics"].items()}
        return Refusal(found.step, meta["reason"], meta["mode"], int(meta["version"]), packs, metrics)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{found.path} is whole, but is not a refused batch: {error!r}") from error
