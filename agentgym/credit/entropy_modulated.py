"""Entropy modulation (EMPG): confident turns learn more, and turns that lead to clarity get a bonus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Segments, shift
from agentgym.credit.table import TurnTable


class EntropyModulated(CreditModule):
    """A'_t = A_t g_t + zeta f_{t+1}, less its mean over the batch; g_t = exp(-k H_t) / mean of exp(-k H).

    H is the turn's mean token entropy (scorer `turn-entropy`), min-max normalised over the batch;
    f_{t+1} = exp(-k' H_{t+1}), and nothing in the last turn. Put it after an estimator: it reads `advantage`.
    Where all entropies are equal, g is 1. `zeta = 0` and `k = 0` give the advantage, centred.

    Bias: yes: the scaling follows the policy's own entropy, the bonus is an objective of its own (go where one is
    sure), and the batch mean couples attempts of different tasks; groups without signal get the bonus, too.

    Source: EMPG, arXiv 2509.09265, eqs. 8 to 12. Defaults k = k' = 1, zeta = 0.1 and the epsilons are those of the
    authors' published pseudocode; the paper's own values for each benchmark were not checked. The mean that is
    subtracted is over turns here.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns(
    ...     {"advantage": [1.0, 1.0, -1.0], "entropy": [0.0, 1.0, 0.0]})
    >>> EntropyModulated(zeta=0.0)(table)["advantage"].round(4)
    array([ 1.1116,  0.3107, -1.4223])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"advantage", "entropy"})

    k: float = Field(default=1.0, ge=0)
    """How strongly entropy weighs a turn down."""
    k_future: float = Field(default=1.0, ge=0)
    """k', how strongly the entropy that follows lowers the bonus."""
    zeta: float = Field(default=0.1, ge=0)
    """Weight of the bonus."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `advantage`."""
        if not len(table):
            return {"advantage": table["advantage"]}
        raw = table["entropy"]
        entropy = (raw - raw.min()) / (np.ptp(raw) + 1e-8)
        scale = np.exp(-self.k * entropy)
        scale /= scale.mean() + 1e-8
        bonus = shift(np.exp(-self.k_future * entropy), table.trajectories, -1)
        batch = Segments.of_sorted(table["turn"] * 0)
        return {"advantage": batch.centre(table["advantage"] * scale + self.zeta * bonus)}
