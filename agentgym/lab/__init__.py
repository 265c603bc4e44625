"""The Credit Lab: small worlds whose exact policy gradient is known, and what credit modules make of it there."""

from agentgym.lab.measure import Measured, measure
from agentgym.lab.paths import Paths
from agentgym.lab.variants import NOT_MEASURED, VARIANTS, Variant
from agentgym.lab.world import Move, World
from agentgym.lab.worlds import WORLDS

__all__ = ["NOT_MEASURED", "VARIANTS", "WORLDS", "Measured", "Move", "Paths", "Variant", "World", "measure"]
