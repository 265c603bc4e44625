"""LoRA as vLLM wants it: the model without the adapter once, and after each step the adapter alone, in peft's format.

The learner's module has the merged weights, which is what the embedded sampler and `weights = "full"` use. Sent as an
adapter, a step's change is the two thin matrices of each adapted layer: about a hundredth of the bytes.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from agentgym.errors import PolicyError, UsageError
from agentgym_policies.vllm_weights import MANIFEST, Pack, check_finite, checksum, named_tensors, write_manifest

NAME = "agentgym-adapter"
"""What requests name as their model: the model with the adapter on it."""
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM can reserve room for."""
UNFIT = ("embed_tokens", "lm_head")
"""Matrices that the learner can adapt and vLLM cannot, or not the same way."""
INSTEAD = "or set sampler.weights = 'full'"


class Adapter:
    """The adapter that a learner trains, and the weights that it is put on.

    Attributes:
        reserved: the smallest rank that vLLM can reserve room for and that holds ours.
    """

    def __init__(self, learner: Any, model: Any) -> None:
        """Args: `learner` an `agentgym.learner.Learner`, or what has its `state` and `export_adapter`; `model` the
        module that it trains, before its first step.

        Raises:
            UsageError: it trains no adapter, or one that vLLM cannot take, or has begun to train it.
        """
        tensors, meta = learner.state()
        lora: Mapping[str, Any] | None = meta.get("lora")
        masters: dict[str, Tensor] = {k.removeprefix("master."): t for k, t in tensors.items() if k[:7] == "master."}
        names = [name.removesuffix(".lora_b") for name in masters if name.endswith(".lora_b")]
        if lora is None or not names:
            raise UsageError(f"sampler.weights = 'adapter': the recipe has no [trainer.lora]; add it, {INSTEAD}")
        for target in UNFIT:
            if any(target in name for name in names):
                raise UsageError(
                    f"sampler.weights = 'adapter' does not go with {target!r} in trainer.lora.targets: leave it out, "
                    f"{INSTEAD}"
                )
        if lora["rank"] > RANKS[-1]:
            raise UsageError(f"trainer.lora.rank = {lora['rank']}: vLLM takes {RANKS[-1]} at most; lower it, {INSTEAD}")
        if any(bool(masters[f"{name}.lora_b"].any()) for name in names):
            raise UsageError("sampler.weights = 'adapter': name the learner to the sampler before its first step")
        self.reserved = next(known for known in RANKS if known >= lora["rank"])
        self._learner = learner
        weights = named_tensors(model)
        # What the learner merges into: copies, for the module's own change in place.
        self._base = {name: weights[name].detach().clone() for name in names}

    def base_tensors(self, model: Any) -> dict[str, Tensor]:
        """All weights of the model by their checkpoint names, as they are without the adapter."""
        return named_tensors(model) | self._base

    def pack(self, version: int, folder: Path) -> Pack:
        """Write the adapter as it is now into a new folder within `folder`: float32, peft's format.

        Args:
            version: number of these weights; names the new folder.
            folder: in shared memory, if there is any.

        Raises:
            PolicyError: a number is not finite, or there is no room; the sampler keeps the adapter it had.
        """
        number, path = 0, folder / f"adapter-{version}"
        while path.exists():  # A version may be sent again.
            number, path = number + 1, folder / f"adapter-{version}-{number + 1}"
        try:
            self._learner.export_adapter(path)
        except OSError as error:
            raise PolicyError(f"adapter of version {version} could not be written to {folder}: {error}") from error
        file, manifest = path / "adapter_model.safetensors", path / MANIFEST
        tensors = load_file(file)
        check_finite(tensors, f"adapter of version {version}")
        write_manifest(tensors, manifest)
        return Pack(path, version, checksum(file), manifest, "agentgym_adapter")
