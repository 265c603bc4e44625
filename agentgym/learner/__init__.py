"""The learner: packed batches in, new weights out. `core` has the step; the rest is what it is made of."""

from agentgym.learner.core import Learner
from agentgym.learner.objective import Mode
from agentgym.learner.refused import OnRefused, Refusal, keep_refused, load_refused
from agentgym.learner.trainable import select_trainable

__all__ = ["Learner", "Mode", "OnRefused", "Refusal", "keep_refused", "load_refused", "select_trainable"]
