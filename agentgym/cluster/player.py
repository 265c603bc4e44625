"""The background player of a run whose attempts are played elsewhere.

To the loop it is the player that it knows from asynchronous runs on one machine: groups in, finished groups out, new
weights between two calls of a sampler. Policies that do not learn (the oracle, say) play here all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agentgym.asynchrony import Player, Table
from agentgym.asynchrony.player import OnTrajectory
from agentgym.cluster.crew import Crew
from agentgym.cluster.weights import Weights
from agentgym.policy import Policy, Sampling
from agentgym.rollout import Attempt
from agentgym.types import Trajectory


class ClusterPlayer(Player):
    """A `Player` whose attempts go to the crew. Its methods are for one thread, the learner's."""

    def __init__(self, table: Table, crew: Crew, newest: Callable[[], Weights | None]) -> None:
        """Args: `newest` gives the weights if they have changed since it was called last."""
        super().__init__(table)
        self._crew, self._newest = crew, newest
        self._begun = False

    def begin(self) -> None:
        """Wait until a worker is at work.

        Raises:
            UsageError: a worker cannot open what the recipe asks for.
            InfraError: the cluster has no place for even one.
        """
        self._wait(self._crew.start())
        self._begun = True

    def submit(self, key: str, attempts: Sequence[Attempt], sampling: Sampling) -> None:
        """See `Player.submit`; sends the weights out first if they are new."""
        self.send(push=False)
        super().submit(key, attempts, sampling)

    def play(
        self,
        attempts: Sequence[Attempt],
        sampling: Sampling,
        policy: Policy | None = None,
        on_trajectory: OnTrajectory | None = None,
    ) -> list[Trajectory]:
        """See `Player.play`; sends the weights out first if they are new."""
        if policy is None:
            self.send(push=False)
        return super().play(attempts, sampling, policy, on_trajectory)

    def close(self) -> None:
        """See `Player.close`."""
        if self._begun:
            self._begun = False
            if self._thread.is_alive() and self._failure is None:
                self._wait(self._crew.close())
        super().close()

    def send(self, push: bool) -> None:
        """Send the weights out if they are new; `push` has workers take them for attempts in flight as well."""
        weights = self._newest()
        if weights is not None:
            self._wait(self._crew.publish(weights, push))

    async def _one(
        self, attempt: Attempt, sampling: Sampling, policy: Policy, on_trajectory: OnTrajectory | None = None
    ) -> Trajectory:
        mine: Any = self._policy
        if policy is not mine:
            return await super()._one(attempt, sampling, policy, on_trajectory)
        played = await self._crew.play(attempt, sampling)
        if on_trajectory is not None:
            on_trajectory(played)
        return played
