"""Tasks to trajectories: the asynchronous rollout engine."""

from agentgym.rollout.attempts import Attempt, attempts
from agentgym.rollout.engine import collect, rollout

__all__ = ["Attempt", "attempts", "collect", "rollout"]
