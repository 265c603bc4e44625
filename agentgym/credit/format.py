"""Format term: pay for actions that can be read, and charge for those that cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.credit.table import TurnTable
from agentgym.credit.terms import Term


class Format(Term):
    """r'_t = r_t + bonus where the dialect could read an action, r_t - penalty where it could not (`malformed`).

    The outcome gets the mean of the attempt's terms (`into`).

    Bias: by design: well-formed answers become part of the objective. A bonus in every turn also pays for taking
    more turns where it goes into turn rewards; a penalty does not.

    Source: format rewards as public trainers have them, for instance DeepSeek-R1, arXiv 2501.12948, section 2.2; the
    sizes are ours.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns({"malformed": [True, False, False]})
    >>> Format(penalty=0.5)(table)["reward"], Format(penalty=0.5)(table)["outcome"]
    (array([-0.5,  1. ,  0. ]), array([0.75, 0.75, 0.  ]))
    """

    needs: ClassVar[frozenset[str]] = frozenset({"malformed"})

    bonus: float = Field(default=0.0, ge=0)
    """For an action that could be read."""
    penalty: float = Field(default=0.1, ge=0)
    """For one that could not."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        return self.add(table, np.where(table["malformed"], -self.penalty, self.bonus))
