"""Reaching a cluster: start a local one or join one, and make sure that every node can do the work.

A node without this package, or with another version of it, would fail in the middle of a run with an import error from
some process far away. So each node is asked before anything is placed there, and one message names them all.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import agentgym
from agentgym.errors import InfraError, MissingExtraError, UsageError

KNOCK_SECONDS = 10.0
"""How long a cluster's address may take to answer at all."""
PROBE_SECONDS = 120.0
"""How long a node may take to say what it has; a first import from a network disk is slow."""


def library() -> Any:
    """The ray module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise MissingExtraError("a recipe with [cluster]", "ray") from error


class Connection:
    """A cluster that has been reached and checked.

    Attributes:
        ray: the ray module.
        owned: whether we started or joined it, and so leave it at the end.
    """

    def __init__(self, address: str, *, cpus: float = 1.0, store: int = 200_000_000) -> None:
        """Connect and check every node.

        Args:
            address: `local` starts a cluster on this machine; else as for `ray.init`: `auto`, `host:port`. Where this
                process is connected already, that connection is used.
            cpus: what a local cluster says it has at least, so that all actors find a place on a small machine.
            store: bytes of a local cluster's object store.

        Raises:
            MissingExtraError: ray is not installed.
            UsageError: there is no cluster at that address, its Python or Ray is another version, or a node lacks this
                package or has another version of it.
        """
        # Nothing is uploaded unless asked for; Ray's own default is to report usage.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.ray = library()
        self.owned = not self.ray.is_initialized()
        if self.owned:
            self._join(address, cpus, store)
        try:
            self.check_nodes()
        except BaseException:
            self.close()
            raise

    def _join(self, address: str, cpus: float, store: int) -> None:
        local = address == "local"
        _knock(address)
        own: dict[str, Any] = {"num_cpus": max(os.cpu_count() or 1, int(cpus + 0.999)), "object_store_memory": store}
        try:
            self.ray.init(
                address=address,
                include_dashboard=False if local else None,
                log_to_driver=False,
                logging_level="ERROR",
                **(own if local else {}),
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise _no_cluster(address, error) from error

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive, as Ray describes them."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    def check_nodes(self, wanted: Mapping[str, str] | None = None) -> None:
        """Ask every node for its versions.

        Args:
            wanted: version by name (`agentgym`, `python`); those of this process by default.

        Raises:
            UsageError: a node lacks the package, or has another version; the message names each such node.
            InfraError: a node does not answer.
        """
        wanted = wanted or {"agentgym": agentgym.__version__, "python": platform.python_version()}
        pin = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        asked: dict[Any, str] = {}
        ids: dict[Any, str] = {}
        for node in self.nodes():
            task = self.ray.remote(_probe()).options(num_cpus=0, scheduling_strategy=pin(node["NodeID"], soft=False))
            reference = task.remote()
            asked[reference] = f"node {node['NodeManagerHostname']} ({node['NodeID'][:8]})"
            ids[reference] = node["NodeID"]
        answered, silent = self.ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_SECONDS)
        wrong: list[str] = []
        for reference in answered:
            try:
                found: dict[str, str] = self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                if self._gone(ids[reference]):  # It died just now: the cluster is the nodes that are left.
                    continue
                raise InfraError(f"{asked[reference]} failed while it was asked for its versions: {error}") from error
            wrong += [
                f"{asked[reference]} has {name} {found[name]}, this process {version}"
                for name, version in wanted.items()
                if found[name] != version
            ]
        if silent:
            raise InfraError(f"{asked[silent[0]]} did not say within {PROBE_SECONDS:g} s what versions it has")
        if wrong:
            raise UsageError(
                f"the cluster cannot run this: {'; '.join(sorted(wrong))}. Install the same versions on every node: "
                f"pip install 'agentgym-suite[train,ray]=={agentgym.__version__}'"
            )

    def _gone(self, node: str, patience: float = 5.0) -> bool:
        """Whether a node has left the cluster; Ray's list of nodes is a moment late."""
        end = time.monotonic() + patience
        while any(there["NodeID"] == node for there in self.nodes()):
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def close(self) -> None:
        """Leave the cluster if we joined it; a local one that we started ends. May be called twice."""
        if self.owned and self.ray.is_initialized():
            self.ray.shutdown()


def _knock(address: str) -> None:
    """Ray tries for minutes to reach an address where nobody listens: find out first."""
    found = re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d+)", address)
    if found is None:  # `local`, `auto`
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> UsageError:
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UsageError(
        f"cluster.address = {address!r}: no cluster could be joined there ({said}). Start one with "
        "`ray start --head` and join others to it, with the same Python and Ray everywhere, or use 'local'"
    )


def _probe() -> Callable[[], dict[str, str]]:
    """A task that needs nothing of this package to be unpickled: a nested function travels by value."""

    def probe() -> dict[str, str]:
        import platform

        try:
            import agentgym

            version = str(getattr(agentgym, "__version__", "none"))
        except Exception as error:
            version = f"none ({type(error).__name__}: {error})"
        return {"agentgym": version, "python": platform.python_version()}

    return probe
