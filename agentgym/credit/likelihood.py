"""Likelihood: how probable the model finds the right answer at the end, where nobody can verify an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.reworked import Reworked
from agentgym.credit.table import TurnTable


class Likelihood(Reworked):
    """R' = (1 - w) R + w l, with l the log-probability of the reference answer after the attempt's last turn.

    From the scorer `answer-logprob`, which says whether it is a mean or a sum over the answer's tokens. With
    `scale = "probability"` l is exp of it.

    Bias: with w = 1 the objective is another one: the expected likelihood of the answer, not its correctness. The
    likelihood depends on the policy itself, and only its score-function part is followed here: the gradient through
    the answer's own tokens is left out.

    Source: "Likelihood-based reward designs for general LLM reasoning", arXiv 2602.03979: from its abstract, the
    log-probability works where verifiers do not exist and the probability fades to nothing. Whether it normalises by
    length could not be checked. No authors' numbers to compare with.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"answer_logprob": [-3.0, -0.5, -2.0]})
    >>> Likelihood()(table)["outcome"], Likelihood(weight=0.5)(table)["outcome"]
    (array([-0.5, -0.5, -2. ]), array([ 0.25,  0.25, -1.  ]))
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer_logprob"})

    weight: float = Field(default=1.0, ge=0, le=1)
    """w; 1 puts the likelihood in the outcome's place."""
    scale: Literal["log", "probability"] = "log"
    """Whether l is the log-probability or the probability."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        found = table["answer_logprob"][table.last][table.trajectories.ids].astype(np.float64)
        if self.scale == "probability":
            found = np.exp(np.minimum(found, 0.0))  # Rounding can bring a log-probability just above 0.
        return self.give(table, (1 - self.weight) * table["outcome"] + self.weight * found)
