"""From a recipe's `[cluster]` table to actors at work, and what the run sees of them: a policy with a player.

The policy never answers a turn here: whole attempts are played where the workers are. It stands for the samplers as
one: their version, whether they have the newest weights, their metrics, their end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from agentgym.asynchrony import Table
from agentgym.cluster.connect import Connection
from agentgym.cluster.crew import Crew
from agentgym.cluster.hosts import HostActor
from agentgym.cluster.incidents import Incidents
from agentgym.cluster.player import ClusterPlayer
from agentgym.cluster.sampler import Engine
from agentgym.cluster.weights import Weights, pack, size
from agentgym.cluster.worker import RolloutWorker, Setup
from agentgym.errors import UsageError
from agentgym.models import Loaded
from agentgym.policy import Request
from agentgym.recipe import ClusterConfig, Recipe
from agentgym.types import Completion

STORE, STORE_MODELS = 100_000_000, 4
"""A local cluster's object store: so many bytes, or so many copies of the model: of the learner, of the version that
is being sent, and of the one that a slow worker still reads."""
BUSY = 1000
"""Calls of one actor at once: a bound of Ray's that the crew's own slots stay far below."""


class Opened:
    """What a run has of its cluster.

    Attributes:
        recipe: of the run; its `cluster` table says how many of each kind of actor there are.
        loaded: the model whose weights the samplers follow.
        connection: to the cluster.
        incidents: what went wrong on it.
    """

    def __init__(
        self,
        recipe: Recipe,
        loaded: Loaded,
        folder: Path | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """Reach the cluster; nothing is placed yet. Losses are written to `folder` and told to `note`.

        Raises:
            UsageError: there is none, or a node lacks the package or has another version; see `Connection`.
        """
        cfg = recipe.cluster
        self.recipe, self.loaded = recipe, loaded
        actors = cfg.rollout_workers + cfg.hosts + cfg.engines + cfg.learner_ranks
        self.incidents = Incidents(folder, note)
        store = max(STORE, STORE_MODELS * size(loaded.model))
        self.connection = Connection(cfg.address, cpus=cfg.cpus * actors, store=store)
        self._actors: list[Any] = []
        self._nodes = {node["NodeID"] for node in self.connection.nodes()}

    def place(self, cls: type, count: int, *arguments: Any, model: bool = False, own: bool = False) -> list[Any]:
        """`count` actors of a class, spread over the nodes by Ray.

        Args:
            cls: the class.
            count: how many.
            *arguments: for each of them.
            model: whether it holds a model, and so wants GPUs.
            own: whether we make it anew ourselves, and have it do one thing at a time; else Ray restarts it.
        """
        cfg = self.recipe.cluster
        made = self.connection.ray.remote(cls).options(
            num_cpus=cfg.cpus,
            num_gpus=cfg.gpus if model else 0,
            max_restarts=0 if own else cfg.restarts,
            max_task_retries=0,  # What is played again is for the crew to say, and to count.
            max_concurrency=1 if own else BUSY,
            scheduling_strategy="SPREAD",
        )
        actors = [made.remote(*arguments) for _ in range(count)]
        self._actors += actors
        return actors

    def metrics(self) -> dict[str, float]:
        """Nodes, and all that was lost so far."""
        nodes = {node["NodeID"] for node in self.connection.nodes()}
        for lost in sorted(self._nodes - nodes):
            self.incidents.report("lost_nodes", f"node {lost[:8]} is gone, {len(nodes)} left")
        self._nodes = nodes
        return self.incidents.metrics() | {"cluster/nodes": float(len(nodes))}

    def close(self) -> None:
        """End all actors and leave the cluster; may be called twice."""
        ray, actors, self._actors = self.connection.ray, self._actors, []
        if actors and ray.is_initialized():
            self.metrics()  # A node that went after the last stage is in the log, too.
            # First a word, so that environments and servers end with their actors; then, in any case, the end.
            ray.wait([actor.close.remote() for actor in actors], num_returns=len(actors), timeout=2.0)
            for actor in actors:
                ray.kill(actor)
        self.connection.close()


class ClusterPolicy:
    """The samplers of a run, as one.

    Attributes:
        player: plays whole attempts on the cluster.
        engines: actors that sample; none where each worker does.
        hosts: actors that hold environments; none where each worker does.
        version: of the weights that attempts are played with from now on.
    """

    batching: Literal["each", "batch"] = "each"
    wants_oracle = False

    def __init__(self, opened: Opened, table: Table, default_host: str) -> None:
        """Place hosts, engines and workers, and wait for the first worker.

        Args:
            opened: the cluster.
            table: what all episodes share; its policy and its hosts are not used for what is played elsewhere.
            default_host: where the environment says that it wants to run.

        Raises:
            UsageError: a worker cannot open what the recipe asks for.
            InfraError: the cluster has no place for even one worker.
        """
        self._opened, recipe = opened, opened.recipe
        cfg = recipe.cluster
        self.tokenizer, self.max_batch, self.version = opened.loaded.chat, recipe.rollout.slots, 0
        self._stale, self._sent, self._seconds = True, 0, 0.0
        share = _share(recipe.rollout.slots, cfg.engines)
        self.engines = opened.place(Engine, cfg.engines, recipe, share, threads(cfg), model=True)
        self.hosts = opened.place(HostActor, cfg.hosts, recipe, default_host)
        # Held here, or Ray would take nobody to need it any more.
        self._tokenizer = [opened.connection.ray.put(opened.loaded.chat.tokenizer)] if self.engines else []
        setup = Setup(
            recipe=recipe,
            limits=table.limits,
            dialect=table.dialect,
            default_host=default_host,
            slots=_share(recipe.rollout.slots, cfg.rollout_workers),
            threads=threads(cfg),
            folder=os.getcwd(),
            engines=tuple(self.engines),
            tokenizer=self._tokenizer,
            hosts=tuple(self.hosts),
        )
        self._crew = Crew(
            opened.connection,
            opened.place(RolloutWorker, cfg.rollout_workers, setup, model=not self.engines),
            opened.incidents,
            env=recipe.env.id,
            slots=setup.slots,
            deadline=cfg.deadline,
            wait=cfg.wait,
        )
        self.player = ClusterPlayer(replace(table, policy=self), self._crew, self._newest)
        try:
            self.player.begin()
        except BaseException:
            self.close()
            raise

    def publish(self, version: int) -> None:
        """Send the learner's weights to every worker now; attempts in flight go on with them."""
        self.version, self._stale = version, True
        self.player.send(push=True)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """No turn is answered here.

        Raises:
            UsageError: always.
        """
        raise UsageError("on a cluster whole attempts are played by its workers; a single turn cannot be asked for")

    def reset_cache(self) -> None:
        """The weights have changed: they go out before the next attempt."""
        self._stale = True

    def forget(self, trajectory: str) -> None:
        """Workers forget for themselves."""

    def metrics(self) -> dict[str, float]:
        """Workers and nodes, losses, and the bytes of weights that were put into the object store."""
        return self._opened.metrics() | {
            "cluster/workers": float(self._crew.up),
            "cluster/weights_bytes": float(self._sent),
            "time/cluster_pack": self._seconds,
        }

    def close(self) -> None:
        """End player and actors; may be called twice."""
        self.player.close()
        self._opened.close()

    def _newest(self) -> Weights | None:
        if not self._stale:
            return None
        began = time.monotonic()
        weights = pack(self._opened.loaded.model.state_dict(), self.version)
        self._stale, self._sent = False, self._sent + weights.data.nbytes
        self._seconds += time.monotonic() - began
        return weights


def threads(cfg: ClusterConfig) -> int:
    """Threads of one process."""
    return max(1, int(cfg.cpus))


def _share(slots: int, count: int) -> int:
    return -(-slots // max(1, count))
