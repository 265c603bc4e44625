"""Reward terms of turns that can go into the turn rewards, into the outcome, or into both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from agentgym.credit.module import CreditModule
from agentgym.credit.segments import Float
from agentgym.credit.table import TurnTable


class Term(CreditModule):
    """Base of modules that add a term to each turn.

    Estimators of whole attempts (`grpo`, `rloo`) read outcomes, those of turns (`discounted-return`, `gae`) rewards:
    `into` says who shall feel the term. The outcome gets the *mean* of the attempt's terms, so that its size does not
    grow with the number of turns.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"reward", "outcome"})

    into: Literal["reward", "outcome", "both"] = "both"
    """What the term is added to."""

    def add(self, table: TurnTable, term: Float) -> Mapping[str, NDArray[Any]]:
        """`reward` and `outcome` with a term `[n]`."""
        turns = table.trajectories
        reward = table["reward"] + term if self.into != "outcome" else table["reward"]
        outcome = table["outcome"] + turns.mean(term)[turns.ids] if self.into != "reward" else table["outcome"]
        return {"reward": reward, "outcome": outcome}
