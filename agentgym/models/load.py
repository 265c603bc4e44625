"""Loading a model: one function for every kind of reference."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agentgym.errors import UsageError
from agentgym.ledger import ChatTokenizer
from agentgym.models import embedded, scratch


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to sample and to learn."""

    model: Any
    """The transformers causal language model, in evaluation mode."""
    chat: ChatTokenizer
    ref: str
    fingerprint: str
    """Hash of the weights as they were loaded: two runs with equal fingerprints began from the same model."""


def load(ref: str, *, dtype: str = "auto", device: str = "auto", seed: int = 0) -> Loaded:
    """Load a model and its tokenizer.

    Args:
        ref: `smollm2-135m` (the embedded default), `scratch:tiny` (random weights, see `agentgym.models.scratch`), a
            local folder, or a hub id.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where the processor or GPU computes in it.
        device: `cpu`, `cuda` (or `cuda:1`, ...), or `auto`.
        seed: of random weights.

    Raises:
        UsageError: the model is not there, cannot be fetched, or has no chat template.
    """
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else torch.device(device)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {device!r}: no CUDA device is available; use --model.device cpu")
    quiet()
    if ref.startswith("scratch:"):
        model, tokenizer = scratch.make(ref, seed)
        kind = torch.float32 if dtype == "auto" else pick_dtype(dtype, where)
    else:
        kind = pick_dtype(dtype, where)
        source = embedded.folder() if ref == embedded.NAME else Path(ref)
        model, tokenizer = _pretrained(ref, source, kind)
    model = model.to(device=where, dtype=kind).eval()
    return Loaded(model, ChatTokenizer(tokenizer), ref, fingerprint(model))


def quiet() -> None:
    """Keep transformers' own progress bars out of ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The torch dtype that a name means on a device."""
    if dtype == "auto":
        fast = device.type == "cuda" or _cpu_has_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in kinds:
        raise UsageError(f"dtype must be auto, float32 or bfloat16, not {dtype!r}")
    return kinds[dtype]


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices itself (AVX-512 BF16 or AMX)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _pretrained(ref: str, source: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    import transformers

    library: Any = transformers
    local = source.is_dir()
    if not local and (ref.startswith((".", "/")) or ref.count("/") != 1):
        raise UsageError(
            f"model {ref!r}: no such folder; use {embedded.NAME!r}, 'scratch:tiny', a model folder, "
            "or a hub id owner/name"
        )
    if not local and os.environ.get("HF_HUB_OFFLINE") == "1":
        raise UsageError(f"model {ref!r} is a hub id, and HF_HUB_OFFLINE is set; give a local folder")
    name = str(source) if local else ref
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(name, local_files_only=local)
        model = library.AutoModelForCausalLM.from_pretrained(name, dtype=dtype, local_files_only=local)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(f"model {ref!r} could not be loaded: {reason}") from error
    return model, tokenizer


def fingerprint(model: Any) -> str:
    """Hash of all parameters, names and bytes."""
    digest = hashlib.sha256()  # Faster than BLAKE2 where the processor has instructions for it, as nearly all do.
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode())
        raw = parameter.detach().cpu().contiguous().view(torch.uint8)
        digest.update(memoryview(raw.numpy()).cast("B"))
    return digest.hexdigest()
