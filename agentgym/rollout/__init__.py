"""Tasks to trajectories: the asynchronous rollout engine."""

from agentgym.rollout.attempts import Attempt, Prefix, attempts
from agentgym.rollout.engine import collect, rollout

__all__ = ["Attempt", "Prefix", "attempts", "collect", "rollout"]
