"""Tool-call correctness (ToolRL): a turn is paid for how nearly its calls are the right ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from agentgym.credit.table import TurnTable
from agentgym.credit.terms import Term


class ToolCorrectness(Term):
    """r'_t = r_t + w c_t + v f_t, with c_t in [-3, 3] and f_t 1 where the calls could be read.

    c_t and f_t are columns of the scorer `tool-calls`; what makes a score of -3 to 3 is in
    `agentgym.credit.call_score`. The outcome gets the mean of the attempt's terms (`into`). ToolRL itself has one
    turn an attempt, and w = v = 1.

    Bias: by design: the reference calls become part of the objective. Another way to the goal costs, and a score
    below 0 in every turn makes short attempts cheaper where it goes into turn rewards.

    Source: ToolRL, arXiv 2504.13958, section 3. Verified: c reproduces numbers of the authors' code within 1e-5. For
    several turns the formula is ours.

    >>> table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]).with_columns(
    ...     {"tool_correctness": [3.0, 1.5, -3.0], "tool_format": [1.0, 1.0, 0.0]})
    >>> ToolCorrectness(weight=0.5)(table)["reward"]
    array([ 2.5 ,  2.75, -1.5 ])
    >>> ToolCorrectness(weight=0.5)(table)["outcome"]
    array([ 3.125,  3.125, -1.5  ])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"tool_correctness", "tool_format"})

    weight: float = 1.0
    """w, of correctness."""
    format_weight: float = 1.0
    """v, of being readable."""
    into: Literal["reward", "outcome", "both"] = "both"
    """What the term is added to."""

    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """Writes `reward` and `outcome`."""
        return self.add(table, self.weight * table["tool_correctness"] + self.format_weight * table["tool_format"])
