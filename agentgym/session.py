"""What a training run holds open: model, learner, sampler, environments, logs; and how it is saved and restored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agentgym import checkpoint, models, records, registry
from agentgym.asynchrony import Flow, Player, Table
from agentgym.asynchrony.twin import follow, twin
from agentgym.batch import Packed
from agentgym.cluster import ClusterLearner, ClusterPolicy, Opened
from agentgym.credit import TurnTable
from agentgym.errors import CreditError, StoreError, UsageError
from agentgym.evaluate import summarise
from agentgym.host import HostPool
from agentgym.learner import Learner, Mode, RankedLearner, keep_refused, open_learner
from agentgym.limits import Limits
from agentgym.policy import Policy, Sampling
from agentgym.progress import Progress
from agentgym.recipe import Recipe
from agentgym.rollout import Attempt, attempts, collect
from agentgym.scorers import ScorerContext, Working
from agentgym.seeding import derive
from agentgym.select import Selecting, SelectionContext
from agentgym.select.rebuild import demonstrated, opening
from agentgym.store import RunFolder
from agentgym.track import Tracker, read_metrics
from agentgym.types import Task, Trajectory

if TYPE_CHECKING:
    from torch import Tensor

TIMED = ("seconds", "tokens_per_second")


class Session:
    """A run in progress; a context manager.

    Attributes:
        tasks: training tasks.
        heldout: held-out tasks, disjoint from them.
        pipeline: the credit modules.
        skipped: how many tasks in line were passed over, because a selection module did not want them.
        flow: groups on their way while the learner steps; `None` where playing and learning take turns.
    """

    def __init__(self, recipe: Recipe, run: RunFolder, progress: Progress) -> None:
        self.recipe, self.run, self.progress = recipe, run, progress
        self.spec = registry.spec(recipe.env.id)
        self.dialect = recipe.env.dialect or self.spec.dialect
        self.pipeline = recipe.pipeline()
        self.tasks = registry.tasks(recipe.env.id, "train", **recipe.env.options)
        self.heldout = registry.tasks(recipe.env.id, "heldout", **recipe.env.options)
        if len(self.heldout) < recipe.eval.tasks:
            raise UsageError(f"eval.tasks asks for {recipe.eval.tasks} held-out tasks; there are {len(self.heldout)}")
        self.limits = Limits(
            turns=recipe.limits.turns or self.spec.max_turns,
            tokens=recipe.limits.tokens,
            seconds=recipe.limits.seconds,
        )
        config = recipe.model_dump(mode="json", exclude_none=True)
        self.tracker = Tracker(run.path, track=recipe.track, config=config, note=progress.note)
        self.step = 0
        self.skipped = 0
        self.scorers: list[tuple[str, Working]] = []
        self.selecting: list[tuple[str, Selecting]] = []
        self.flow: Flow | None = None
        self._demos: list[Trajectory] | None = None

    def __enter__(self) -> Session:
        recipe = self.recipe
        self.loaded = models.load(
            recipe.model.ref, dtype=recipe.model.dtype, device=recipe.model.device, seed=recipe.seed
        )
        refused = keep_refused(self.run.path / "refused")
        cluster = Opened(recipe, self.loaded, self.run.path, self.progress.note) if recipe.cluster.address else None
        self.learner: Learner | RankedLearner | ClusterLearner
        if cluster is not None and recipe.cluster.learner_ranks:
            self.learner = ClusterLearner(cluster, recipe, self.loaded, refused)
        else:
            self.learner = open_learner(self.loaded.model, recipe.trainer, on_refused=refused)
        # Weights that a step changes must not be those that are sampled from meanwhile. A sampler with a `publish` of
        # its own has its own copy of them elsewhere.
        elsewhere = cluster is not None or hasattr(recipe.sampler_class(), "publish")
        self._sampled = twin(self.loaded) if recipe.asynchrony.staleness and not elsewhere else self.loaded
        self.policy: Any = None
        if cluster is None:
            self.policy = recipe.open_sampler(loaded=self._sampled, max_batch=recipe.rollout.slots)
        if hasattr(self.policy, "follow"):
            self.policy.follow(self.learner)
        kind = self.spec.host if recipe.rollout.host == "auto" else recipe.rollout.host
        self.hosts = HostPool(
            recipe.env.id,
            dict(recipe.env.options),
            kind=kind,
            processes=recipe.rollout.processes,
            step_deadline=recipe.rollout.step_deadline,
        )
        if cluster is not None:
            self.policy = ClusterPolicy(cluster, self._table(), self.spec.host)
        self._open_plugins()
        if recipe.asynchrony.staleness:
            self._open_flow()
        return self

    def _table(self) -> Table:
        cfg = self.recipe.rollout
        return Table(
            env=self.recipe.env.id,
            policy=self.policy,
            hosts=self.hosts,
            limits=self.limits,
            dialect=self.dialect,
            slots=cfg.slots,
            retries=cfg.retries,
            system=self.recipe.env.system,
        )

    def _open_flow(self) -> None:
        recipe, cfg = self.recipe, self.recipe.rollout
        self.flow = Flow(
            self.policy.player if recipe.cluster.address else Player(self._table()),
            self._drawing(recipe.sampling.temperature),
            staleness=recipe.asynchrony.staleness,
            queue=recipe.asynchrony.queue,
            tasks=recipe.trainer.tasks,
            group=recipe.trainer.group,
            seed=recipe.seed,
        )
        if self.hosts.kind == "process" and not recipe.cluster.address:
            # From here, not from the thread that plays: a process ends with the thread that began it.
            self.hosts.warm(cfg.slots)
        self.publish()

    def _open_plugins(self) -> None:
        recipe = self.recipe
        by_id: dict[str, Task] = {}

        def task(name: str) -> Task:
            if not by_id:  # At first use: a task set makes its tasks when they are asked for.
                by_id.update((known.id, known) for known in [*self.tasks, *self.heldout])
            if name not in by_id:
                raise CreditError(f"{recipe.env.id} has no task {name!r} with these options")
            return by_id[name]

        scoring = ScorerContext(
            task,
            self.loaded,
            recipe.seed,
            recipe.trainer.token_budget,
            models.cache_root() / "scorers",
            sampler=self.policy,
        )
        choosing = SelectionContext(
            task,
            self.loaded,
            recipe.seed,
            recipe.env.id,
            recipe.env.options,
            system=recipe.env.system,
            dialect=self.dialect,
            token_budget=recipe.trainer.token_budget,
            demonstrate=self._show,
            write=lambda trajectory: records.dumps(records.to_json(trajectory)),
            read=lambda text: records.from_json(json.loads(text)),
        )
        self.scorers = [(name, scorer.open(scoring)) for name, scorer in recipe.open_scorers()]
        self.selecting = [(name, module.open(choosing)) for name, module in recipe.open_selection()]

    def __exit__(self, *_: object) -> None:
        if self.flow is not None:
            self.flow.player.close()
        for named in self.scorers:
            named[1].close()
        self.policy.close()
        self.learner.close()
        self.hosts.close()
        with suppress(OSError):  # Said when it was written; what a full disk did not take it does not take now.
            self.tracker.close()
        self.run.close()

    def prepare(self) -> None:
        """Make ahead what the environment wants made ahead of play (game files, say)."""
        if self.spec.prepare is None:
            return
        recipe = self.recipe
        training = len(self.tasks) if recipe.trainer.iterations else min(len(self.tasks), recipe.warmstart.tasks)
        wanted = [*self.tasks[:training], *self.heldout[: recipe.eval.tasks]]
        self.progress.start("prepare games", len(wanted))
        registry.resolve(self.spec.prepare)(wanted, recipe.rollout.processes, self.progress.advance)

    # Playing --------------------------------------------------------------------------------------------------------

    def play(self, todo: Sequence[Attempt], label: str, temperature: float) -> list[Trajectory]:
        """Play attempts with the model as it is now; the result is in the order of `todo`."""
        if self.policy.version != self.learner.version:
            self.publish()  # Supervised steps do not publish one by one where there is a flow.
        return self._collect(todo, label, self.policy, self._drawing(temperature))

    def _drawing(self, temperature: float) -> Sampling:
        drawing = self.recipe.sampling
        return Sampling(temperature=temperature, top_p=drawing.top_p, max_tokens=drawing.max_tokens)

    def play_more(self, todo: Sequence[Attempt], label: str) -> list[Trajectory]:
        """Play further training attempts, as selection modules want them."""
        return self.play(todo, label, self.recipe.sampling.temperature)

    def demonstrations(self, count: int) -> list[Trajectory]:
        """The oracle's trajectories on the first `count` training tasks, with tokens to learn from; or recorded ones.

        Raises:
            UsageError: there is nothing to learn from in the folder that the recipe names.
        """
        if self._demos is None and self.recipe.warmstart.demonstrations:
            self._demos = self._recorded(Path(self.recipe.warmstart.demonstrations), count)
        if self._demos is None:
            oracle = registry.load("policies", "oracle")(dialect=self.dialect, chat=self.loaded.chat)
            todo = attempts(list(self.tasks[:count]), 1, derive(self.recipe.seed, "demo"), prefix="demo:")
            self._demos = self._collect(todo, "demonstrate", oracle, Sampling())
        return self._demos

    def _recorded(self, folder: Path, count: int) -> list[Trajectory]:
        """The first successes of another run's log at this environment's tasks, as this model would have said them."""
        with RunFolder(folder) as other:
            played = [e.trajectory for e in other.trajectories if e.trajectory.success]
        known = {task.id: task for task in self.tasks}
        fitting = [t for t in played if t.env == self.recipe.env.id and t.task_id in known][:count]
        if not fitting:
            raise UsageError(
                f"warmstart.demonstrations: {folder} has {len(played)} successful attempts, none of them at a training "
                f"task of {self.recipe.env.id} with these options"
            )
        said = self.recipe.env.system
        return [
            demonstrated(t, opening(known[t.task_id], said, self.dialect), self.loaded.chat, self.dialect)
            for t in fitting
        ]

    def _show(self, todo: Sequence[Attempt]) -> list[Trajectory]:
        """The oracle's way through tasks, in words only."""
        oracle = registry.load("policies", "oracle")(dialect=self.dialect)
        return self._collect(todo, "ask the oracle", oracle, Sampling())

    def _collect(self, todo: Sequence[Attempt], label: str, policy: Policy, sampling: Sampling) -> list[Trajectory]:
        self.progress.start(label, len(todo))
        done = {"n": 0, "success": 0, "score": 0.0}

        def one(trajectory: Trajectory) -> None:
            done["n"] += 1
            done["success"] += trajectory.success
            done["score"] += trajectory.score
            self.progress.advance(1, success=done["success"] / done["n"], reward=done["score"] / done["n"])

        player = self.flow.player if self.flow is not None else getattr(policy, "player", None)
        if player is not None:
            return player.play(todo, sampling, None if policy is self.policy else policy, one)
        return collect(
            todo,
            env=self.recipe.env.id,
            policy=policy,
            limits=self.limits,
            sampling=sampling,
            dialect=self.dialect,
            hosts=self.hosts,
            slots=self.recipe.rollout.slots,
            retries=self.recipe.rollout.retries,
            schedule=self.recipe.rollout.schedule,
            system=self.recipe.env.system,
            on_trajectory=one,
        )

    # Learning -------------------------------------------------------------------------------------------------------

    def learn(self, packs: Sequence[Packed], mode: Mode, lr: float) -> dict[str, float]:
        """One optimizer step; without a flow the sampler has the new weights at once.

        Returns:
            The learner's metrics; those that depend on the machine's speed begin with `time/`.
        """
        if self.flow is None and hasattr(self.policy, "sleep"):
            self.policy.sleep()  # A GPU that sampler and learner share is the learner's now.
        metrics = self.learner.step(packs, mode=mode, lr=lr)
        if self.flow is None:
            self.publish()
        return {(f"time/{k}" if k in TIMED else f"learn/{k}"): v for k, v in metrics.items()}

    def publish(self) -> None:
        """Have the sampler answer with the learner's weights; its cache is of the old ones and goes.

        With a flow episodes stay in flight. A policy that has `publish(version)` takes the weights its own way, in the
        middle of answers perhaps; others get theirs copied between two of their answers.
        """

        def change() -> None:
            if self.flow is not None:
                follow(self._sampled, self.loaded)
            self.policy.version = self.learner.version
            self.policy.reset_cache()

        if self.flow is None:
            change()
        elif hasattr(self.policy, "publish"):
            self.policy.publish(self.learner.version)
            self.flow.published(self.learner.version)
        else:
            self.flow.player.swap(change)
            self.flow.published(self.learner.version)

    # Recording ------------------------------------------------------------------------------------------------------

    def record(
        self,
        played: Sequence[Trajectory],
        phase: str,
        iteration: int | None = None,
        advantages: Sequence[np.ndarray[Any, Any] | None] | None = None,
        columns: Mapping[str, Sequence[np.ndarray[Any, Any] | None]] | None = None,
    ) -> None:
        """Append trajectories to the run's log, with the credit each turn got and the columns that scorers wrote."""
        for index, trajectory in enumerate(played):
            credit = advantages[index] if advantages is not None else None
            self.run.trajectories.append(
                trajectory,
                phase=phase,
                iteration=iteration,
                advantages=None if credit is None else [float(a) for a in credit],
                columns={name: own.tolist() for name, of in (columns or {}).items() if (own := of[index]) is not None},
            )

    def scored(self, table: TurnTable, count: int) -> dict[str, list[np.ndarray[Any, Any] | None]]:
        """Numbers that scorers and information gain wrote: by the column's name, those of each trajectory."""
        names = {"information_gain"}.union(*(scorer.written() for _, scorer in self.recipe.open_scorers()))
        kept = sorted(name for name in names & set(table.columns) if table[name].dtype.kind == "f")
        return {name: table.per_trajectory(name, count) for name in kept}

    def metrics_of(self, played: Sequence[Trajectory], prefix: str) -> dict[str, float]:
        """Success, score, turns, tokens and endings of a batch of trajectories."""
        return {f"{prefix}/{name}": value for name, value in summarise(played).metrics().items()}

    def log(self, stage: str, metrics: Mapping[str, float]) -> None:
        """One line of metrics, with what the sampler says of itself."""
        self.step += 1
        own: dict[str, float] = self.policy.metrics() if hasattr(self.policy, "metrics") else {}
        try:
            self.tracker.log(self.step, {**metrics, **own}, stage=stage)
        except OSError as error:
            raise StoreError(f"{self.run.metrics} cannot be written: {error}") from error

    # Saving ---------------------------------------------------------------------------------------------------------

    def save(self, stages_done: int) -> None:
        """A checkpoint: trainable weights, optimizer, and where the logs stand."""
        tensors, learner = self.learner.state()
        scorers: list[dict[str, Any]] = []
        for position, (name, scorer) in enumerate(self.scorers):
            own, values = scorer.state()
            tensors |= {f"scorer.{position}.{key}": value for key, value in own.items()}
            scorers.append({"name": name, "state": values})
        meta = {
            "stages_done": stages_done,
            "log_step": self.step,
            "skipped": self.skipped,
            "trajectories_offset": self.run.trajectories.offset,
            "base": self.loaded.fingerprint,
            "learner": learner,
            "scorers": scorers,
            "selection": [{"name": name, "state": module.state()} for name, module in self.selecting],
        }
        if self.flow is not None:
            meta["asynchrony"] = self.flow.state()
        checkpoint.save(self.run.checkpoints, stages_done, tensors, meta)

    def restore(self) -> int:
        """Go back to the last good checkpoint, or to the start; gives the number of stages that are done."""
        found = checkpoint.load_latest(self.run.checkpoints, self._unusable)
        if found is None:
            self.run.trajectories.cut(0)
            self.tracker.cut(0)
            return 0
        for warning in found.warnings:
            self.progress.note(warning)
        if not found.warnings:
            checkpoint.tidy(self.run.checkpoints)  # A kill may have come in the middle of removing an old one.
        if found.meta["base"] != self.loaded.fingerprint:
            raise StoreError(
                f"{found.path}: the checkpoint continues another base model than {self.recipe.model.ref!r} is now"
            )
        self.learner.load_state(found.tensors, found.meta["learner"])
        self._restore_plugins(found.path, found.tensors, found.meta)
        if self.flow is not None and "asynchrony" in found.meta:
            self.flow.load_state(found.meta["asynchrony"], self.tasks)
        self.publish()
        self.step = int(found.meta["log_step"])
        self.skipped = int(found.meta.get("skipped", 0))  # Older checkpoints lack it: nothing could be skipped then.
        self.run.trajectories.cut(int(found.meta["trajectories_offset"]))
        self.tracker.cut(self.step)
        return int(found.meta["stages_done"])

    def _unusable(self, meta: Mapping[str, Any]) -> str | None:
        """Why a whole checkpoint cannot be continued from: a log does not reach to where it was made any more."""
        log, needed = self.run.trajectories, int(meta["trajectories_offset"])
        if log.offset < needed:
            return f"{log.path} has {log.offset} whole bytes, and had {needed} when it was made"
        if not self.run.metrics.exists():
            return None  # Removed by somebody who wants to go on without.
        try:
            last = max((line.step for line in read_metrics(self.run.metrics)), default=0)
        except StoreError as error:
            return f"{error}; remove {self.run.metrics} to go on without its lines"
        if last < int(meta["log_step"]):
            return (
                f"{self.run.metrics} has lost lines: it ends at step {last}, not {meta['log_step']}; "
                "remove it to go on without them"
            )
        return None

    def _restore_plugins(self, path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        for kind, there in (("scorers", self.scorers), ("selection", self.selecting)):
            saved = [entry["name"] for entry in meta.get(kind, [])]
            if saved != [name for name, _ in there]:
                raise StoreError(f"{path}: the checkpoint has {kind} {saved}, the recipe {[name for name, _ in there]}")
        for position, (_, scorer) in enumerate(self.scorers):
            prefix = f"scorer.{position}."
            own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            scorer.load_state(own, meta["scorers"][position]["state"])
        for position, (_, module) in enumerate(self.selecting):
            module.load_state(meta["selection"][position]["state"])

    def finish(self) -> None:
        """Write the trained model as an ordinary model folder, so that anything can load it."""
        checkpoint.export(self.loaded.model, self.loaded.chat.tokenizer, self.run.path / "model")
