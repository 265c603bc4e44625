"""Rollouts that go on while the learner steps, with a bound on how old what is learnt from may be."""

from agentgym.asynchrony.flow import Batch, Drawn, Flow, Order
from agentgym.asynchrony.player import Player, Table

__all__ = ["Batch", "Drawn", "Flow", "Order", "Player", "Table"]
