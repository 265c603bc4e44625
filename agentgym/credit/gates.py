"""Gates: rewards that count only where what matters more has been reached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentgym.credit.segments import Float


def opened(scores: Sequence[Float], thresholds: Sequence[float | None]) -> list[NDArray[np.bool_]]:
    """Which gates are open: the k-th where every score before the k-th reaches its threshold; the first always is.

    Args:
        scores: K arrays `[m]`, in the order of the gates.
        thresholds: K numbers; `None` never closes what comes after.

    Returns:
        K arrays `[m]`.
    """
    open_ = np.ones(len(scores[0]) if scores else 0, dtype=np.bool_)
    found: list[NDArray[np.bool_]] = []
    for score, threshold in zip(scores, thresholds, strict=True):
        found.append(open_)
        if threshold is not None:
            open_ = open_ & (score >= threshold)
    return found
