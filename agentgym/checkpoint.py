"""Checkpoints that are complete or absent: safetensors and JSON under a manifest of hashes.

A checkpoint is written under a temporary name, flushed to disk, and renamed; older ones go only after that. Reading
believes nothing: every byte is hashed before it is used, and a damaged checkpoint gives way to the one before it.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from agentgym.errors import StoreError

FILES = ("tensors.safetensors", "meta.json")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole."""

    step: int
    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    path: Path
    warnings: list[str] = field(default_factory=list[str])
    """What was wrong with newer ones, and that this one is used instead."""


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], keep: int = 2) -> Path:
    """Write `folder/step-NNNNNN`, whole or not at all, then remove all but the newest `keep`.

    Args:
        folder: holds the checkpoints of one run; made if absent.
        step: number of this one; a checkpoint of the same number is replaced.
        tensors: by name; may be views, on any device.
        meta: JSON values.
        keep: how many to keep, at least 1.

    Returns:
        The checkpoint's path.

    Raises:
        StoreError: `meta` is not JSON, or the disk refused.
    """
    folder = Path(folder)
    final, temporary = folder / f"step-{step:06d}", folder / f".tmp-step-{step:06d}-{os.getpid()}"
    try:
        text = json.dumps(dict(meta), indent=1, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(f"checkpoint {final}: meta is not JSON: {error}") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".tmp-step-*"):
            shutil.rmtree(stale, ignore_errors=True)
        temporary.mkdir()
        save_file({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, temporary / "tensors.safetensors")
        (temporary / "meta.json").write_text(text)
        manifest = {"step": step, "files": {name: _hash(temporary / name) for name in FILES}}
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1))
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        if final.exists():
            # A directory cannot be renamed over another; out of the way first, so that no half of either is ever seen.
            os.replace(final, folder / f".tmp-step-{step:06d}-old")
        os.replace(temporary, final)
        _flush(folder)
        for old in _steps(folder)[max(1, keep) :]:
            shutil.rmtree(old, ignore_errors=True)
        for stale in folder.glob(".tmp-step-*"):
            shutil.rmtree(stale, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"checkpoint {final} could not be written: {error}") from error
    return final


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint, or `None` where there is none.

    A damaged one is passed over; `Checkpoint.warnings` then names it, what is wrong with it, and which is used.

    Raises:
        StoreError: there are checkpoints, but not one of them is whole.
    """
    troubles: list[str] = []
    for path in _steps(Path(folder)):
        try:
            step, tensors, meta = _read(path)
        except (StoreError, OSError, SafetensorError, ValueError) as error:
            troubles.append(f"checkpoint {path.name} is damaged ({error})")
            continue
        return Checkpoint(step, tensors, meta, path, [f"{trouble}; using {path.name} instead" for trouble in troubles])
    if troubles:
        raise StoreError(f"no whole checkpoint in {folder}: {'; '.join(troubles)}; remove the folder to start over")
    return None


def export(model: Any, tokenizer: Any, folder: Path) -> Path:
    """Write the whole model as an ordinary model folder (safetensors, config, tokenizer, chat template).

    Args:
        model: a transformers model.
        tokenizer: its tokenizer.
        folder: the result; replaced as a whole if it exists.

    Returns:
        The folder.
    """
    folder = Path(folder)
    temporary = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    model.save_pretrained(temporary, safe_serialization=True)
    tokenizer.save_pretrained(temporary)
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)
    return folder


def _steps(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first."""
    found = [p for p in folder.glob("step-*") if p.is_dir() and p.name.removeprefix("step-").isdigit()]
    return sorted(found, key=lambda p: int(p.name.removeprefix("step-")), reverse=True)


def _read(path: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]]:
    for name in ("manifest.json", *FILES):
        if not (path / name).is_file():
            raise StoreError(f"{name} is missing")
    manifest = json.loads((path / "manifest.json").read_text())
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):  # pyright: ignore
        raise StoreError("manifest.json is not a manifest")
    for name in FILES:
        if manifest["files"].get(name) != _hash(path / name):  # pyright: ignore
            raise StoreError(f"{name} is not what was written: its hash differs")
    meta = json.loads((path / "meta.json").read_text())
    return int(path.name.removeprefix("step-")), load_file(path / "tensors.safetensors"), meta


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return "blake2b:" + hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _flush(path: Path) -> None:
    """Have a file or a folder on disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
