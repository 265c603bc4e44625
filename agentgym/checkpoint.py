"""Checkpoints that are complete or absent: safetensors and JSON under a manifest of hashes.

A checkpoint is written under a temporary name, flushed to disk, and renamed; older ones go only after that. Reading
believes nothing: every byte is hashed before it is used, the manifest must be the very text that would be written for
what is there, and a damaged checkpoint gives way to the one before it.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
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
        StoreError: `meta` is not JSON, or the disk refused; what was saved before is untouched then.
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
        hashes = {name: _hash(temporary / name) for name in FILES}
        (temporary / "manifest.json").write_text(_manifest(step, hashes))
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        if final.exists():
            # A directory cannot be renamed over another; out of the way first, so that no half of either is ever seen.
            os.replace(final, folder / f".tmp-step-{step:06d}-old")
        os.replace(temporary, final)
        _flush(folder)
        tidy(folder, keep)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)  # Half a checkpoint fills a disk and serves nobody.
        raise StoreError(f"checkpoint {final} could not be written: {error}") from error
    return final


def tidy(folder: Path, keep: int = 2) -> None:
    """Remove all but the newest `keep` checkpoints, and what a killed save left; only for who may write there."""
    for old in [*_steps(folder)[max(1, keep) :], *folder.glob(".tmp-step-*")]:
        shutil.rmtree(old, ignore_errors=True)


def load_latest(
    folder: Path, unusable: Callable[[Mapping[str, Any]], str | None] = lambda meta: None
) -> Checkpoint | None:
    """The newest whole checkpoint, or `None` where there is none.

    A damaged one is passed over; `Checkpoint.warnings` then names it, what is wrong with it, and which is used.

    Args:
        folder: holds the checkpoints of one run.
        unusable: from a whole checkpoint's `meta`, why it cannot be used all the same; `None` where it can.

    Raises:
        StoreError: there are checkpoints, but not one of them is whole and usable.
    """
    troubles: list[str] = []
    for path in _steps(Path(folder)):
        try:
            step, tensors, meta = _read(path)
        except (StoreError, OSError, SafetensorError, ValueError, RecursionError) as error:
            troubles.append(f"checkpoint {path.name} is damaged ({error})")
            continue
        reason = unusable(meta)
        if reason is not None:
            troubles.append(f"checkpoint {path.name} cannot be used: {reason}")
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

    Raises:
        StoreError: the disk refused.
    """
    folder = Path(folder)
    temporary = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    try:
        for stale in folder.parent.glob(f".tmp-{folder.name}-*"):  # Of a process that was killed in here.
            shutil.rmtree(stale, ignore_errors=True)
        temporary.mkdir(parents=True)
        model.save_pretrained(temporary, safe_serialization=True)
        tokenizer.save_pretrained(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except Exception as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if not _disk(error):
            raise
        raise StoreError(f"the model {folder} could not be written: {error}") from error
    return folder


def _disk(error: Exception) -> bool:
    """Whether it is the disk that refused. Tokenizers in Rust raise a bare `Exception` with the system's words."""
    return isinstance(error, OSError | SafetensorError) or "os error" in str(error)


def _steps(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first."""
    found = [p for p in folder.glob("step-*") if p.is_dir() and p.name.removeprefix("step-").isdigit()]
    return sorted(found, key=lambda p: int(p.name.removeprefix("step-")), reverse=True)


def _read(path: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]]:
    for name in ("manifest.json", *FILES):
        if not (path / name).is_file():
            raise StoreError(f"{name} is missing")
    step = int(path.name.removeprefix("step-"))
    written = (path / "manifest.json").read_bytes()
    hashes = {name: _hash(path / name) for name in FILES}
    if written != _manifest(step, hashes).encode():
        named = [name for name, value in hashes.items() if value.encode() not in written]
        raise StoreError(f"{' and '.join([*named, 'manifest.json'])}: not what was written, the hashes differ")
    meta = json.loads((path / "meta.json").read_text())
    return step, load_file(path / "tensors.safetensors"), meta


def _manifest(step: int, hashes: Mapping[str, str]) -> str:
    """The text of `manifest.json`: the one there is for these files."""
    return json.dumps({"step": step, "files": dict(hashes)}, indent=1)


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
