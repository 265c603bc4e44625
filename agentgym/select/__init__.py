"""Selection: which tasks are played, which attempts are added, and which trajectories credit and learner see."""

from agentgym.select.base import Play, Selecting, Selection, SelectionContext

__all__ = ["Play", "Selecting", "Selection", "SelectionContext"]
