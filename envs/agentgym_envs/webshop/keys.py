"""From names to rows by memory map: sorted 64-bit digests instead of a dictionary with millions of texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def digest(name: str) -> int:
    """64 bits that stand for a name; two of a million names share theirs with a chance of 1 in 10 million."""
    # What JSON can hold and UTF-8 can not (half a surrogate pair) has a digest, too.
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mapped(path: Path) -> npt.NDArray[Any]:
    """An array that stays in its file, without the cost that numpy's own class for it has at each access."""
    return np.load(path, mmap_mode="r").view(np.ndarray)


class Keys:
    """Rows by digest."""

    def __init__(self, folder: Path, name: str) -> None:
        """Args: `folder` and `name` as they were written."""
        self._keys = mapped(folder / f"{name}.keys.npy")
        self._rows = mapped(folder / f"{name}.rows.npy")

    @staticmethod
    def write(folder: Path, name: str, keys: Iterable[int]) -> None:
        """Write the digests of rows 0, 1, ...; of equal ones, the first is found."""
        given = np.fromiter(keys, dtype=np.uint64)
        order = np.argsort(given, kind="stable").astype(np.int64)
        np.save(folder / f"{name}.keys.npy", given[order])
        np.save(folder / f"{name}.rows.npy", order)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: int) -> int:
        """The row of a digest; -1 if there is none."""
        place = int(np.searchsorted(self._keys, np.uint64(key)))
        return int(self._rows[place]) if place < len(self._keys) and int(self._keys[place]) == key else -1
