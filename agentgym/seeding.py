"""Seeds and generators are derived by name, never drawn from a global stream.

Every random choice in a run is a pure function of the run's seed and of what the choice is for
(`derive(seed, "rollout", iteration, group, attempt)`), so nothing has to be saved to resume bit for bit and no
module can disturb another's numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the purpose `names` under `seed`; equal on every machine and hash seed.

    >>> derive(0, "rollout", 3) == derive(0, "rollout", 3)
    True
    >>> derive(0, "rollout", 3) == derive(0, "rollout", 4)
    False
    """
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the purpose `names` under `seed`."""
    return np.random.default_rng(derive(seed, *names))
