"""Scorers: columns of the turn table that cost more than arithmetic, because a model or a judge must be asked."""

from agentgym.scorers.base import Scorer, ScorerContext, Working

__all__ = ["Scorer", "ScorerContext", "Working"]
