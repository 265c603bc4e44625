"""What the vLLM worker gains: taking new weights from one packed file, whole and checked, or not at all.

This file is copied to where the server can import it, which may be another virtual environment without agentgym: it
imports nothing but what vLLM itself needs. All checks come before the first weight is touched: after a refusal the old
weights still answer.
"""

# It runs where vLLM is; here neither it nor the worker that it becomes part of has types.
# pyright: basic, reportAttributeAccessIssue=false, reportMissingImports=false

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


class WeightsFromFile:
    """Mixed into vLLM's worker by `--worker-extension-cls`."""

    def agentgym_load(self, path: str, checksum: str, version: str, manifest: str) -> dict[str, str]:
        """Load weights in checkpoint names.

        Args:
            path: a safetensors file, in shared memory as a rule.
            checksum: SHA-256 of the file's bytes, as the sender computed it.
            version: the sender's number of these weights.
            manifest: a JSON file: name to shape of every tensor that the model folder has.

        Returns:
            `checksum` as this side computed it, `version`, and how many tensors were loaded; or `refused`, why, before
            anything was changed. It does not raise: in some builds an error here ends the engine.
        """
        tensors, refused = _checked(Path(path), checksum, Path(manifest))
        if refused:
            return {"refused": refused}
        # Not `load_weights`: on a CPU its layers are packed already and cannot take plain weights.
        runner: Any = self.model_runner
        runner.reload_weights(weights_iterator=iter(tensors.items()))
        return {"checksum": checksum, "version": version, "tensors": str(len(tensors))}

    def agentgym_adapter(self, path: str, checksum: str, version: str, manifest: str) -> dict[str, str]:
        """Put an adapter's new weights in the place of the one adapter that is there.

        The front end knows that adapter by its first folder and by its number, which stay: turns under way go on with
        the new weights, and none reloads anything. To ask the front end for it (`load_inplace`) would have every
        step of every later turn read the files again.

        Args:
            path: a folder in peft's format.
            checksum: of its `adapter_model.safetensors`.
            version: the sender's number.
            manifest: name to shape of every tensor of that file.

        Returns:
            As `agentgym_load`.
        """
        from vllm.lora.request import LoRARequest

        tensors, refused = _checked(Path(path) / "adapter_model.safetensors", checksum, Path(manifest))
        if refused:
            return {"refused": refused}
        worker: Any = self
        numbers = sorted(worker.list_loras())
        if len(numbers) != 1:
            return {"refused": f"there are {len(numbers)} adapters to replace, not one"}
        worker.add_lora(LoRARequest(f"agentgym-{version}", numbers[0], path, load_inplace=True))
        return {"checksum": checksum, "version": version, "tensors": str(len(tensors))}


def _checked(path: Path, checksum: str, manifest: Path) -> tuple[dict[str, Any], str]:
    """The tensors of a file, or why they are refused."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != checksum:
            return {}, f"the checksum of the weights is {found[:16]}, not {checksum[:16]}"
        tensors = load_file(path)
        wanted: dict[str, list[int]] = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        return {}, f"the weights cannot be read: {error}"
    for name, shape in wanted.items():
        if name not in tensors:
            return {}, f"the weights lack {name}"
        if list(tensors[name].shape) != shape:
            return {}, f"{name} has shape {list(tensors[name].shape)}, the model {shape}"
    extra = sorted(set(tensors) - set(wanted))
    return (tensors, "") if not extra else ({}, f"the model has no {extra[0]}")
