"""How old tokens are, counted in the times the sampler has been given newer weights since."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentgym.types import Trajectory


def token_versions(played: Sequence[Trajectory]) -> NDArray[np.int64]:
    """Version that sampled each token of trajectories that may be trained on, `[tokens]`; others have none."""
    found: list[int] = []
    for trajectory in played:
        if trajectory.trainable:
            for turn in trajectory.turns:
                said = turn.completion
                found += said.versions or (said.version,) * len(said.tokens or ())
    return np.asarray(found, dtype=np.int64)


class Versions:
    """The versions that the sampler has had, oldest first.

    A learner counts optimizer steps, and takes several between two swaps where there are minibatches or epochs: so the
    distance between two versions is not their difference but how many swaps lie between them. A step that was refused
    makes no new version, and nothing older.

    >>> versions = Versions()
    >>> for version in (0, 4, 8, 8):
    ...     versions.publish(version)
    >>> versions.behind(np.array([8, 4, 0]))
    array([0, 1, 2])
    """

    def __init__(self) -> None:
        self._published: list[int] = []

    def publish(self, version: int) -> None:
        """The sampler has this version now."""
        if self._published[-1:] != [version]:
            self._published.append(version)

    def behind(self, versions: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many newer versions the sampler has had than each of these `[n]`."""
        published = np.asarray(self._published, dtype=np.int64)
        return len(published) - np.searchsorted(published, versions, side="right")
