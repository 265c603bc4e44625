"""Adapters in peft's own files, out and in: `adapter_config.json` and `adapter_model.safetensors`.

The learner's module is merged at every moment, which is right for a sampler in the same process. An engine elsewhere
takes an adapter much faster than a model, and other programs know this format: names are the module's own behind
`base_model.model.`, `lora_A` is rank by inputs, `lora_B` outputs by rank, and a weight changes by
`lora_alpha / r * B A`.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from agentgym.errors import UsageError

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
EMBEDDINGS = ("embed_tokens", "wte", "word_embeddings")
"""Matrices that peft adapts in another form, as a table of rows."""
PLAIN = {
    "peft_type": "LORA",
    "bias": "none",
    "fan_in_fan_out": False,
    "use_dora": False,
    "use_rslora": False,
    "modules_to_save": None,
    "rank_pattern": None,
    "alpha_pattern": None,
    "target_parameters": None,
}
"""What an adapter must say, if it says anything, to be the plain kind that the learner has."""


def write_adapter(folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], base: str = "") -> Path:
    """Write a learner's LoRA matrices as a folder that `peft.PeftModel.from_pretrained` and vLLM load.

    Args:
        folder: the result, replaced as a whole if it exists.
        tensors: of `Learner.state`.
        meta: of `Learner.state`.
        base: name or folder of the model that it adapts, for readers that look it up.

    Returns:
        The folder.

    Raises:
        UsageError: the learner has no adapter, or one of the embeddings.
    """
    lora, folder = meta.get("lora"), Path(folder)
    if lora is None:
        raise UsageError("there is no adapter to export: the learner was made without `lora` ([trainer.lora])")
    masters = {k.removeprefix("master."): v for k, v in tensors.items() if k.startswith("master.")}
    found = {_peft_name(name): t.detach().to("cpu", torch.float32).contiguous() for name, t in masters.items()}
    modules = sorted({name.rsplit(".", 2)[0] for name in masters})
    for module in modules:
        if module.rsplit(".", 1)[-1] in EMBEDDINGS:
            raise UsageError(f"peft has no plain adapter of embeddings: leave {module} out of trainer.lora.targets")
    layers = [re.search(r"\.layers\.(\d+)\.", module) for module in modules]
    inside = {int(match[1]) for match in layers if match}
    told = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": lora["rank"],
        "lora_alpha": lora["alpha"],
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": sorted({module.rsplit(".", 1)[-1] for module in modules}),
        # Without them peft would make adapters, though of no effect, in layers that are not trained.
        **({"layers_to_transform": sorted(inside), "layers_pattern": "layers"} if all(layers) else {}),
    }
    temporary = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(found, temporary / TENSORS, metadata={"format": "pt"})
    (temporary / CONFIG).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)
    return folder


def adapter_masters(folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> dict[str, Tensor]:
    """A learner's state with an adapter's matrices in the place of its own, and without the optimizer's moments.

    Args:
        folder: what peft's `save_pretrained` or `write_adapter` wrote.
        tensors: of `Learner.state`.
        meta: of `Learner.state`.

    Raises:
        UsageError: the folder holds no adapter, one of another kind, rank, scale or choice of matrices, or one with
            values that are not finite.
    """
    lora, folder = meta.get("lora"), Path(folder)
    if lora is None:
        raise UsageError(
            f"{folder}: the learner was made without `lora` ([trainer.lora]) and has no place for adapters"
        )
    told, found = _read(folder)
    for key, plain in PLAIN.items():
        if key in told and (told[key] or None) != (plain or None):
            raise UsageError(f"{folder}: {key} = {told[key]!r} is not supported; it must be {plain!r}")
    for key, own in (("r", lora["rank"]), ("lora_alpha", lora["alpha"])):
        if told.get(key) != own:
            raise UsageError(f"{folder}: {key} is {told.get(key)!r}, and that of [trainer.lora] is {own!r}")
    names = {_peft_name(k.removeprefix("master.")): k for k in tensors if k.startswith("master.")}
    missing, foreign = sorted(names.keys() - found.keys()), sorted(found.keys() - names.keys())
    if missing or foreign:
        what = f"lacks {missing[0]}" if missing else f"has {foreign[0]}, which is not trained here"
        raise UsageError(f"{folder}: the adapter {what}: compare trainer.lora.targets and trainer.trainable")
    for name, key in names.items():
        if found[name].shape != tensors[key].shape:
            shapes = f"{tuple(found[name].shape)}, not {tuple(tensors[key].shape)}"
            raise UsageError(f"{folder}: {name} has shape {shapes}: it is of another model")
        if not bool(torch.isfinite(found[name]).all()):
            raise UsageError(f"{folder}: {name} has values that are not finite")
    kept = {k: v for k, v in tensors.items() if k.startswith("reference.")}
    return kept | {key: found[name].to(torch.float32) for name, key in names.items()}


def _peft_name(name: str) -> str:
    """`m.q_proj.weight.lora_a` -> `base_model.model.m.q_proj.lora_A.weight`."""
    module, which = name.rsplit(".weight.lora_", 1)
    return f"{PREFIX}{module}.lora_{which.upper()}.weight"


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not (folder / TENSORS).is_file() and (folder / "adapter_model.bin").is_file():
        raise UsageError(f"{folder}: adapter_model.bin can run code when it is read: save it as safetensors")
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise UsageError(f"{folder} is not an adapter of peft's: {error}") from error
    if not isinstance(told, dict):
        raise UsageError(f"{folder / CONFIG} is not a table")
    return told, tensors
