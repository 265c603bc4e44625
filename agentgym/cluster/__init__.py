"""The same run on many machines: Ray places and restarts the processes, what they knew is given back by us.

Nothing of a scheduler is written here. A cluster is four kinds of Ray actor (rollout workers, environment hosts,
sampling engines, learner ranks), each of which can be made again from the recipe and the newest weights, and the few
lines that hand out work and hand it out again when its worker is gone. Ray is imported only when a recipe names a
cluster.
"""

from agentgym.cluster.learner import ClusterLearner
from agentgym.cluster.opening import ClusterPolicy, Opened

__all__ = ["ClusterLearner", "ClusterPolicy", "Opened"]
