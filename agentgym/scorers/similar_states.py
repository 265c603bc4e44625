"""Anchors of nearly equal states: the texts are with the trajectories, the turn table has their hashes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agentgym.credit.columns import Column
from agentgym.credit.similar import LEAST, cluster
from agentgym.credit.table import TurnTable
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.types import Trajectory


class SimilarStates(Scorer):
    """Writes `anchor`: the number of the turn's cluster of nearly equal observations, within its group.

    For `anchor-state` with `keys = "similar"`. What is similar, and in which order clusters are made, is in
    `agentgym.credit.similar`; turns are taken in the table's order. Needs no model and remembers nothing.

    Source: the similarity option of GiGPO's public code (arXiv 2505.10978), with its measure and threshold. The paper
    itself groups equal states.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"anchor"})

    threshold: float = Field(default=0.95, ge=LEAST, le=1)
    """Least ratio of matching characters; 1 joins equal ones only."""
    source: Literal["text", "state"] = "text"
    """`text` compares what the model saw, as the authors' code does. `state` compares state keys: with threshold 1 its
    anchors are those of `keys = "state"`. Canonical keys, and hashes above all, that differ in one character can be of
    states with nothing in common: leave those to exact keys."""

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work; it uses nothing of the context."""
        return _Working(self)


class _Working(Working):
    def __init__(self, config: SimilarStates) -> None:
        self.config = config

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """`anchor`, int64 `[n]`."""
        places = zip(map(int, table["trajectory"]), map(int, table["turn"]), strict=True)
        seen = [played[i].turns[t].observation for i, t in places]
        texts = [o.text if self.config.source == "text" else o.state_key for o in seen]
        return {"anchor": cluster(texts, table["group"], self.config.threshold)}
