"""Weights on their way to the server: one packed, versioned file with a checksum, and the model folder it starts from.

The output layer is always written on its own, even where the model ties it to the embeddings: a server that reloads a
tied model keeps the old output layer without a word, and its log-probabilities are those of no model at all.
"""

# torch, transformers and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from agentgym.errors import PolicyError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Pack:
    """Weights that are ready to be fetched by vLLM."""

    path: Path
    """A file, or an adapter's folder."""
    version: int
    checksum: str
    """SHA-256 of the bytes of the file, or of the file of tensors in the folder; hexadecimal."""
    manifest: Path
    """A file with the names and shapes of all tensors that must be there."""
    method: str = "agentgym_load"
    """What the worker is asked to do with it."""

    def told(self) -> dict[str, str]:
        """What the worker is told; see `vllm_worker`."""
        return {
            "path": str(self.path),
            "checksum": self.checksum,
            "version": str(self.version),
            "manifest": str(self.manifest),
        }

    def remove(self) -> None:
        """Delete it; nothing happens if it is gone."""
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        self.path.unlink(missing_ok=True)


def named_tensors(model: Any) -> dict[str, Tensor]:
    """All weights by their checkpoint names, the output layer among them although it may be tied."""
    return dict(model.state_dict())


def export(model: Any, tokenizer: Any, folder: Path, tensors: Mapping[str, Tensor] | None = None) -> None:
    """Write a model folder that is never tied, and the manifest of its tensors' names and shapes.

    Args:
        model: the learner's module.
        tokenizer: transformers tokenizer, saved beside it.
        folder: made here.
        tensors: other weights than the module has, by its names: those without an adapter.
    """
    folder.mkdir(parents=True)
    config = copy.deepcopy(model.config)
    config.tie_word_embeddings = False
    config.architectures = [type(model).__name__]
    tensors = named_tensors(model) if tensors is None else tensors
    config.dtype = next(iter(tensors.values())).dtype
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write(tensors, folder / "model.safetensors", {"format": "pt"})
    write_manifest(tensors, folder / MANIFEST)


def write_manifest(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Names and shapes as JSON."""
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    path.write_text(json.dumps(shapes), encoding="utf-8")


def pack(tensors: Mapping[str, Tensor], version: int, folder: Path, manifest: Path, dtype: torch.dtype) -> Pack:
    """Write weights into `folder`, checked against the model's manifest.

    Args:
        tensors: checkpoint name to tensor, all of the model's; on any device.
        version: number of these weights.
        folder: in shared memory, if there is any.
        manifest: what `export` wrote.
        dtype: what the server computes in; weights of another floating type are refused, not rounded in silence.

    Raises:
        PolicyError: a name is missing or unknown, or a shape or type is not the model's, or a number is not finite;
            the server still has the weights it had.
    """
    wanted: dict[str, list[int]] = json.loads(manifest.read_text(encoding="utf-8"))
    where = f"weights of version {version}"
    missing, unknown = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing or unknown:
        what = f"lack {missing[0]!r}" if missing else f"have {unknown[0]!r}, which the model has not"
        raise PolicyError(f"{where} {what} (checkpoint names are expected, all of them)")
    for name, tensor in tensors.items():
        if list(tensor.shape) != wanted[name]:
            raise PolicyError(f"{where}: {name!r} has shape {list(tensor.shape)}, the model {wanted[name]}")
        if tensor.dtype != dtype:
            raise PolicyError(f"{where}: {name!r} is {tensor.dtype}, the sampler computes in {dtype}; convert it first")
    check_finite(tensors, where)
    path = folder / f"weights-{version}.safetensors"
    write(tensors, path, {"version": str(version)})
    return Pack(path, version, checksum(path), manifest)


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raises: `PolicyError` if a number is not finite; it names the tensor."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise PolicyError(f"{where}: {name!r} has numbers that are not finite; the sampler keeps its weights")


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Safetensors of values: tied tensors are written twice, since the format shares no memory.

    Raises:
        PolicyError: it could not be written, for want of room as a rule; nothing of it stays.
    """
    own: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        pointer = value.untyped_storage().data_ptr()
        own[name] = value.clone() if pointer in seen else value
        seen.add(pointer)
    try:
        save_file(own, path, metadata)
    except (OSError, SafetensorError) as error:
        path.unlink(missing_ok=True)
        size = sum(t.numel() * t.element_size() for t in own.values()) / 2**20
        raise PolicyError(
            f"{path.name} could not be written to {path.parent}, which must have room for {size:.0f} MiB: {error} "
            "(TMPDIR names another place)"
        ) from error
