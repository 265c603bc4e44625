"""How unsure the policy was in each turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.errors import CreditError
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.scorers.places import action_queries, trajectories_of
from agentgym.types import Trajectory


class TurnEntropy(Scorer):
    """Writes `entropy`: the mean over the turn's tokens of the entropy of their distributions, in nats.

    `source = "model"` computes the distributions in packed forward passes of the policy as it is now. With
    `"sampler"` nothing is computed: -log-probability of a sampled token is an unbiased estimate of its distribution's
    entropy (before temperature and truncation, with temperature 1 and all tokens allowed), so that its mean over the
    turn estimates the same number, with a variance that is large in short turns.

    Source: EMPG, arXiv 2509.09265, which averages token entropies over a step; from the paper.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"entropy"})

    source: Literal["model", "sampler"] = "model"
    """A forward pass, or the sampler's log-probabilities."""

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work.

        Raises:
            CreditError: there is no model, and `source` is `model`.
        """
        if self.source == "model" and context.loaded is None:
            raise CreditError("turn-entropy: needs the policy's model; without one, say source = 'sampler'")
        return _Working(self, context)


class _Working(Working):
    def __init__(self, config: TurnEntropy, context: ScorerContext) -> None:
        self.config, self.context = config, context
        self.metrics: dict[str, float] = {}

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """`entropy`, float64 `[n]`.

        Raises:
            CreditError: a turn without tokens, or tokens without log-probabilities; names the trajectory.
        """
        entropy = self._sampled(played, table) if self.config.source == "sampler" else self._computed(played, table)
        self.metrics = {"mean": float(entropy.mean())} if len(table) else {}
        return {"entropy": entropy}

    def learn(self, played: Sequence[Trajectory], table: TurnTable) -> dict[str, float]:
        """Learns nothing; gives the mean over turns."""
        return self.metrics

    def _computed(self, played: Sequence[Trajectory], table: TurnTable) -> Column:
        from agentgym.scorers.forward import Forward

        assert self.context.loaded is not None  # Seen in `open`.
        queries = action_queries(played, table)
        sums = Forward(self.context.loaded.model, self.context.token_budget).entropies(queries, len(table))
        counts = np.bincount(np.concatenate([q.row for q in queries]), minlength=len(table)) if queries else 1
        return sums / counts

    def _sampled(self, played: Sequence[Trajectory], table: TurnTable) -> Column:
        found = np.zeros(len(table))
        for trajectory, first in trajectories_of(played, table):
            for t, turn in enumerate(trajectory.turns):
                tokens, logprobs = turn.completion.tokens, turn.completion.logprobs
                if not tokens:
                    raise CreditError(f"trajectory {trajectory.id!r}, turn {t} has no tokens: it has no entropy")
                if logprobs is None or len(logprobs) != len(tokens) or not np.isfinite(logprobs).all():
                    raise CreditError(
                        f"trajectory {trajectory.id!r}, turn {t}: its tokens come without the sampler's finite "
                        "log-probabilities; say source = 'model'"
                    )
                found[first + t] = -np.mean(logprobs)
        return found
