"""Tensors that processes on one machine share: a safetensors file in memory that all of them map.

Only tensors and JSON pass between the learner's processes; nothing is pickled.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

MEMORY = Path("/dev/shm")
KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def shared_folder(size: int) -> Path:
    """A new folder for files of `size` bytes together: in memory where there is room, else on disk."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > size
    return Path(tempfile.mkdtemp(prefix="agentgym-ranks-", dir=MEMORY if roomy else None))


def put(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, from any device, for others to map or take."""
    save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, path)


def mapped(path: Path) -> dict[str, Tensor]:
    """The file's tensors, by name; what is written into one is seen by all that map the file."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    storage: Any = torch.UntypedStorage.from_file(str(path), True, path.stat().st_size)
    found: dict[str, Tensor] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            kind = KINDS[entry["dtype"]]
            at = (8 + size + entry["data_offsets"][0]) // kind.itemsize
            strides = torch.empty(entry["shape"], device="meta").stride()
            found[name] = torch.empty(0, dtype=kind).set_(storage, at, entry["shape"], strides)
    return found


def taken(path: Path) -> dict[str, Tensor]:
    """The file's tensors; the file is removed."""
    found = load_file(path)
    path.unlink()
    return found
