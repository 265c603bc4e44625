"""A cluster of several nodes on one machine, recipes that run on it, and ways to break it."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import psutil

from agentgym import config
from agentgym.recipe import Recipe, check_recipe
from agentgym.session import Session
from agentgym.store import RunFolder
from agentgym.train import stages

STORE = 80_000_000
MARK = "AGENTGYM_TEST_CLUSTER"
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "env": {"id": "keydoor-v0", "options": {"rooms": 4}},
    "model": {"ref": "scratch:tiny?hidden=32&layers=2"},
    "limits": {"turns": 5},
    "sampling": {"max_tokens": 6},
    "rollout": {"host": "inline", "slots": 2},
    "warmstart": {"tasks": 6, "epochs": 6, "lr": 1e-2, "batch": 3},
    "credit": [{"use": "anchor-state"}],
    "trainer": {"iterations": 2, "tasks": 3, "group": 4, "lr": 1e-3},
    "eval": {"tasks": 4},
}


def recipe(**tables: dict[str, Any]) -> Recipe:
    """The recipe above with keys of its tables changed."""
    data = {k: dict(v) if isinstance(v, dict) else v for k, v in RECIPE.items()}
    for name, keys in tables.items():
        data[name] = data.get(name, {}) | keys
    made = config.parse(Recipe, data, "test")
    check_recipe(made)
    return made


@contextmanager
def nodes(*cpus: int) -> Iterator[tuple[Any, list[Any]]]:
    """A head that takes no work and nodes that have so many cores to give; connected, and gone at the end."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    mark = secrets.token_hex(8)
    os.environ[MARK] = mark  # Whatever the cluster starts inherits it, and what other tests start at the time does not.
    small = {"object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    try:
        others = [cluster.add_node(num_cpus=count, object_store_memory=STORE) for count in cpus]
        with chdir(tempfile.gettempdir()):  # Ray's workers look for packages in this folder before any other.
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster, others
    finally:
        ray.shutdown()
        cluster.shutdown()
        patience = time.monotonic() + 10
        del os.environ[MARK]
        while (left := strays(mark)) and time.monotonic() < patience:
            time.sleep(0.1)
        assert left == []


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for something that happens elsewhere."""
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience, "it did not happen"
        time.sleep(0.05)


def strays(mark: str) -> list[str]:
    """Processes that a cluster has left behind."""
    found: list[str] = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        try:
            marked = process.environ().get(MARK) == mark
        except psutil.Error:  # It has just ended, or is dead and not yet collected.
            continue
        line = " ".join(process.info["cmdline"] or [])
        mine = "ray" in line or "gcs_server" in line or "agentgym" in line  # Not Python's own resource tracker.
        if marked and mine and process.pid != os.getpid() and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line[:120])
    return found


def pid_of(actor: Any) -> int:
    """Process id of an actor."""
    import ray

    return ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))


def node_of(actor: Any) -> str:
    """Id of the node that an actor is on."""
    import ray

    return ray.get(actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))


def alive() -> set[str]:
    """Ids of the nodes that Ray takes for alive."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def kill(pid: int) -> None:
    """As the kernel does it when memory runs out."""
    os.kill(pid, signal.SIGKILL)


class Listener:
    """Progress that does something at a moment: `at("play 1", 2, break_it)` after two trajectories of that stage."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._plans: list[tuple[str, int, Callable[[], None]]] = []
        self._stage, self._units = "", 0

    def at(self, stage: str, units: int, action: Callable[[], None]) -> None:
        self._plans.append((stage, units, action))

    @property
    def done(self) -> bool:
        return not self._plans

    def start(self, stage: str, total: int) -> None:
        self._stage, self._units = stage, 0
        self._look()

    def advance(self, units: int = 1, **values: float) -> None:
        self._units += units
        self._look()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def _look(self) -> None:
        for plan in list(self._plans):
            stage, units, action = plan
            if self._stage.startswith(stage) and self._units >= units:
                self._plans.remove(plan)
                action()


def run(made: Recipe, folder: Path, listener: Listener, ready: Callable[[Session], None] | None = None) -> Path:
    """The loop of `agentgym.train`, with a look at the session before it begins."""
    with RunFolder.create(folder.name, root=folder.parent) as where, Session(made, where, listener) as session:
        session.restore()
        if ready is not None:
            ready(session)
        for index, stage in enumerate(stages(made)):
            stage.run(session)
            if stage.learns:
                session.save(index + 1)
        session.finish()
    return folder
