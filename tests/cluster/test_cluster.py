"""Whole runs on a Ray cluster of several nodes on one machine, while workers, nodes and ranks are killed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ray", reason="ray is not installed: pip install 'agentgym-suite[ray]'")

from cluster_cases import STORE, Listener, alive, kill, node_of, nodes, pid_of, recipe, run, until

from agentgym import models
from agentgym.asynchrony import Table
from agentgym.batch import TrainSequence, pack
from agentgym.cluster import ClusterLearner, ClusterPolicy, Opened
from agentgym.errors import InfraError, UsageError
from agentgym.host import HostPool
from agentgym.learner import Learner
from agentgym.limits import Limits
from agentgym.policy import Sampling
from agentgym.rollout import attempts
from agentgym.store import RunFolder
from agentgym.track import read_metrics
from agentgym.types import Ending, Task

pytestmark = [pytest.mark.timeout(300)]
BROKEN = f"{Path(__file__).parents[1] / 'faults' / 'broken.py'}:SPEC"


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Any, list[Any]]]:
    """Two nodes of three cores beside the head; a test that takes one away puts another in its place."""
    with nodes(3, 3) as found:
        yield found


def played(folder: Path) -> list[tuple[Any, ...]]:
    """What a run's log says of every attempt, but for how long it took."""
    found: list[tuple[Any, ...]] = []
    for entry in RunFolder(folder).trajectories:
        t = entry.trajectory
        words = [(turn.completion.text, turn.completion.version, turn.reward) for turn in t.turns]
        found.append((entry.phase, t.id, t.seed, t.ending, t.score, words, entry.advantages))
    return found


def learned(folder: Path) -> list[dict[str, float]]:
    """Metrics that are a function of weights and data alone."""
    skipped = ("time", "cluster/")
    return [
        {k: v for k, v in line.values.items() if not k.startswith(skipped)}
        for line in read_metrics(folder / "metrics.jsonl")
    ]


def weights(folder: Path) -> str:
    """Of everything that the last checkpoint holds of the learner."""
    newest = max((folder / "checkpoints").glob("step-*"))
    return hashlib.sha256((newest / "tensors.safetensors").read_bytes()).hexdigest()


def test_a_run_that_loses_a_worker_a_rank_and_a_node_is_the_same_run(cluster: Any, tmp_path: Path) -> None:
    """Bit for bit the run of one process, as each worker plays one attempt at a time here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # As many as each actor has: sums are in another order with more.
    try:
        alone = run(recipe(rollout={"slots": 1}), tmp_path / "alone", Listener())
    finally:
        torch.set_num_threads(threads)
    machine, others = cluster
    listener = Listener()

    def ready(session: Any) -> None:
        until(lambda: session.policy._crew.up == 2)
        workers, ranks = [member.actor for member in session.policy._crew.members], session.learner._ranks
        victim, ids = pid_of(workers[0]), {node.node_id: node for node in others}

        def remove() -> None:
            node = ids[node_of(workers[1])]
            machine.remove_node(node, allow_graceful=False)
            until(lambda: node.node_id not in alive())  # Ray takes its time to see it.
            others[others.index(node)] = machine.add_node(num_cpus=3, object_store_memory=STORE)

        listener.at("play 1", 2, lambda: kill(victim))
        listener.at("learn 1", 0, lambda: kill(pid_of(ranks[0])))
        listener.at("play 2", 0, remove)

    made = recipe(cluster={"address": "auto", "rollout_workers": 2, "learner_ranks": 1})
    broken = run(made, tmp_path / "broken", listener, ready)

    assert listener.done
    assert played(broken) == played(alone)
    assert learned(broken) == learned(alone)
    assert weights(broken) == weights(alone)
    last = read_metrics(broken / "metrics.jsonl")[-1].values
    assert last["cluster/lost_workers"] >= 2
    assert last["cluster/lost_nodes"] == 1
    assert last["cluster/lost_ranks"] >= 1
    assert last["cluster/replayed_attempts"] >= 1
    kinds = {json.loads(line)["kind"] for line in (broken / "cluster.jsonl").read_text().splitlines()}
    assert {"lost_workers", "lost_ranks", "lost_nodes", "replayed_attempts"} <= kinds
    assert any("rollout worker 0 is lost, 1 of 2 left" in note for note in listener.notes)


@pytest.mark.usefixtures("cluster")
def test_engines_and_hosts_that_die_while_rollouts_go_on_beside_the_learner(tmp_path: Path) -> None:
    listener = Listener()

    def ready(session: Any) -> None:
        listener.at("play 1", 1, lambda: kill(pid_of(session.policy.engines[0])))
        listener.at("play 2", 0, lambda: kill(pid_of(session.policy.hosts[0])))

    made = recipe(
        rollout={"schedule": "eager", "slots": 6},
        asynchrony={"staleness": 1},
        cluster={"address": "auto", "rollout_workers": 1, "engines": 1, "hosts": 1},
    )
    folder = run(made, tmp_path / "run", listener, ready)
    entries = [entry for entry in RunFolder(folder).trajectories if entry.phase == "train"]
    names = [entry.trajectory.id for entry in entries]
    cfg = made.trainer
    assert listener.done
    assert len(names) == len(set(names)) == cfg.iterations * cfg.tasks * cfg.group
    assert all(entry.trajectory.ending is not Ending.INFRA_ERROR for entry in entries)
    versions = {turn.completion.version for entry in entries for turn in entry.trajectory.turns}
    assert min(versions) > 0
    last = read_metrics(folder / "metrics.jsonl")[-1].values
    assert last["cluster/lost_engines"] >= 1
    assert last["cluster/lost_hosts"] >= 1
    assert last["cluster/lost_workers"] == 0


@pytest.mark.usefixtures("cluster")
def test_an_attempt_that_kills_its_worker_takes_no_other_with_it(tmp_path: Path) -> None:
    made = recipe(
        env={"id": BROKEN, "dialect": "plain", "options": {}},
        rollout={"slots": 4, "retries": 0},
        cluster={"address": "auto", "rollout_workers": 1, "restarts": 4, "deadline": 8},
    )
    loaded = models.load(made.model.ref)
    faults = [{}, {"break": "leave"}, {}, {"break": "hang", "once": str(tmp_path / "hung")}]
    todo = attempts([Task(f"t{i}", data=data) for i, data in enumerate(faults)], 1, 0)
    opened = Opened(made, loaded, tmp_path)
    table = Table(BROKEN, None, HostPool(BROKEN), limits=Limits(turns=6), dialect="plain")  # type: ignore[arg-type]
    policy = ClusterPolicy(opened, table, "inline")
    try:
        found = policy.player.play(todo, Sampling(max_tokens=4))
        ends = [t.ending for t in found]
        assert ends == [Ending.SUCCESS, Ending.INFRA_ERROR, Ending.SUCCESS, Ending.SUCCESS]
        assert "3 workers were lost" in (found[1].error or "")
        assert not found[1].trainable
        assert found[1].retries == 2

        until(lambda: policy._crew.up == 1)
        kill(pid_of(policy._crew.members[0].actor))  # One restart more than Ray was allowed.
        with pytest.raises(InfraError, match="none of 1 rollout workers is left"):
            policy.player.play(attempts([Task("t")], 1, 0, prefix="again/"), Sampling(max_tokens=4))
    finally:
        policy.close()


def batch(seed: int) -> list[TrainSequence]:
    """Random sequences with random credit."""
    rng = np.random.default_rng(seed)
    found = []
    for length in rng.integers(8, 40, 6):
        action = rng.random(length) < 0.4
        action[0], action[-1] = False, True
        found.append(
            TrainSequence(
                tokens=rng.integers(0, 256, length),
                action=action,
                advantage=rng.normal(size=length).astype(np.float32),
                logprob=-rng.random(length).astype(np.float32),
                turn=np.where(action, np.cumsum(~action), -1),
            )
        )
    return found


@pytest.mark.usefixtures("cluster")
def test_two_ranks_of_which_one_is_killed_learn_what_one_learner_learns(tmp_path: Path) -> None:
    made = recipe(cluster={"address": "auto", "learner_ranks": 2}, trainer={"lr": 1e-4})
    one, two = (models.load(made.model.ref, seed=made.seed) for _ in range(2))
    alone = Learner(one.model, made.trainer)
    opened = Opened(made, two, tmp_path)
    try:
        ranks = ClusterLearner(opened, made, two)
        for step in range(4):
            if step == 1:
                ranks.state()  # As a checkpoint reads it; step 1 is in nobody's memory but the journal's.
            if step == 2:
                kill(pid_of(ranks._ranks[1]))
            packs = pack(batch(step), 64)
            wanted, got = alone.step(packs), ranks.step(packs)
            assert got["loss"] == pytest.approx(wanted["loss"], abs=1e-4)
            assert got["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=1e-3)
        assert ranks.version == alone.version == 4
        assert ranks.restarts == 1
        # A step that was lost or taken twice would move a weight by about the learning rate. (Where a gradient is next
        # to nothing, Adam makes as much of its sign, and that is up to the order of sums.)
        for name, tensor in one.model.state_dict().items():
            assert float((tensor - two.model.state_dict()[name]).abs().mean()) < 2e-6, name
        fresh = Learner(models.load(made.model.ref, seed=made.seed).model, made.trainer)
        fresh.load_state(*ranks.state())  # One learner goes on from what two ranks saved.
        packs = pack(batch(9), 64)
        assert fresh.step(packs)["loss"] == pytest.approx(ranks.step(packs)["loss"], abs=1e-4)
    finally:
        opened.close()


def test_nodes_that_cannot_run_this_are_named(cluster: Any, tmp_path: Path) -> None:
    made, loaded = recipe(cluster={"address": "auto"}), models.load(recipe().model.ref)
    added = []
    for name, text in (("other", "__version__ = '9.9'"), ("missing", "raise ModuleNotFoundError('no agentgym')")):
        (tmp_path / name / "agentgym").mkdir(parents=True)
        (tmp_path / name / "agentgym" / "__init__.py").write_text(text)
        path = {"PYTHONPATH": str(tmp_path / name)}
        added.append(cluster[0].add_node(num_cpus=1, object_store_memory=STORE, env_vars=path))
    try:
        with pytest.raises(UsageError) as raised:
            Opened(made, loaded)
    finally:
        for node in added:
            cluster[0].remove_node(node)
    said = str(raised.value)
    assert f"({added[0].node_id[:8]}) has agentgym 9.9, this process 0." in said
    assert f"({added[1].node_id[:8]}) has agentgym none (ModuleNotFoundError: no agentgym)" in said
    assert "pip install" in said


def test_without_ray_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['ray'] = None; from agentgym.cluster.connect import library; library()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MissingExtraError" in done.stderr
    assert "pip install 'agentgym-suite[ray]'" in done.stderr


def test_a_cluster_that_is_not_there() -> None:
    code = (
        "from agentgym.cluster.connect import Connection\n"
        "from agentgym.errors import UsageError\n"
        "try: Connection('127.0.0.1:1')\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "cluster.address = '127.0.0.1:1': no cluster could be joined there" in done.stdout, done.stderr[-2000:]
