"""What a training run holds open: model, learner, sampler, environments, logs; and how it is saved and restored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agentgym import checkpoint, models, records, registry
from agentgym.batch import Packed
from agentgym.errors import CreditError, StoreError, UsageError
from agentgym.evaluate import summarise
from agentgym.host import HostPool
from agentgym.learner import Learner, Mode, keep_refused
from agentgym.limits import Limits
from agentgym.policy import Policy, Sampling
from agentgym.progress import Progress
from agentgym.recipe import Recipe
from agentgym.rollout import Attempt, attempts, collect
from agentgym.scorers import ScorerContext, Working
from agentgym.seeding import derive
from agentgym.select import Selecting, SelectionContext
from agentgym.store import RunFolder
from agentgym.track import Tracker
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
        self.tracker = Tracker(run.path)
        self.step = 0
        self.skipped = 0
        self.scorers: list[tuple[str, Working]] = []
        self.selecting: list[tuple[str, Selecting]] = []
        self._demos: list[Trajectory] | None = None

    def __enter__(self) -> Session:
        recipe = self.recipe
        self.loaded = models.load(
            recipe.model.ref, dtype=recipe.model.dtype, device=recipe.model.device, seed=recipe.seed
        )
        self.learner = Learner(self.loaded.model, recipe.trainer, on_refused=keep_refused(self.run.path / "refused"))
        self.policy: Any = recipe.open_sampler(loaded=self.loaded, max_batch=recipe.rollout.slots)
        kind = self.spec.host if recipe.rollout.host == "auto" else recipe.rollout.host
        self.hosts = HostPool(
            recipe.env.id,
            dict(recipe.env.options),
            kind=kind,
            processes=recipe.rollout.processes,
            step_deadline=recipe.rollout.step_deadline,
        )
        self._open_plugins()
        return self

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
            task, self.loaded, recipe.seed, recipe.trainer.token_budget, models.cache_root() / "scorers"
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
        for named in self.scorers:
            named[1].close()
        self.policy.close()
        self.hosts.close()
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
        drawing = self.recipe.sampling
        sampling = Sampling(temperature=temperature, top_p=drawing.top_p, max_tokens=drawing.max_tokens)
        return self._collect(todo, label, self.policy, sampling)

    def play_more(self, todo: Sequence[Attempt], label: str) -> list[Trajectory]:
        """Play further training attempts, as selection modules want them."""
        return self.play(todo, label, self.recipe.sampling.temperature)

    def demonstrations(self, count: int) -> list[Trajectory]:
        """The oracle's trajectories on the first `count` training tasks, with tokens to learn from."""
        if self._demos is None:
            oracle = registry.load("policies", "oracle")(dialect=self.dialect, chat=self.loaded.chat)
            todo = attempts(list(self.tasks[:count]), 1, derive(self.recipe.seed, "demo"), prefix="demo:")
            self._demos = self._collect(todo, "demonstrate", oracle, Sampling())
        return self._demos

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
        """One optimizer step; the sampler's cache is of the old weights and goes.

        Returns:
            The learner's metrics; those that depend on the machine's speed begin with `time/`.
        """
        if hasattr(self.policy, "sleep"):
            self.policy.sleep()  # A GPU that sampler and learner share is the learner's now.
        metrics = self.learner.step(packs, mode=mode, lr=lr)
        self.policy.version = self.learner.version
        self.policy.reset_cache()
        return {(f"time/{k}" if k in TIMED else f"learn/{k}"): v for k, v in metrics.items()}

    # Recording ------------------------------------------------------------------------------------------------------

    def record(
        self,
        played: Sequence[Trajectory],
        phase: str,
        iteration: int | None = None,
        advantages: Sequence[np.ndarray[Any, Any] | None] | None = None,
    ) -> None:
        """Append trajectories, with the credit each turn got, to the run's log."""
        for index, trajectory in enumerate(played):
            credit = advantages[index] if advantages is not None else None
            self.run.trajectories.append(
                trajectory,
                phase=phase,
                iteration=iteration,
                advantages=None if credit is None else [float(a) for a in credit],
            )

    def metrics_of(self, played: Sequence[Trajectory], prefix: str) -> dict[str, float]:
        """Success, score, turns, tokens and endings of a batch of trajectories."""
        return {f"{prefix}/{name}": value for name, value in summarise(played).metrics().items()}

    def log(self, stage: str, metrics: Mapping[str, float]) -> None:
        """One line of metrics, with what the sampler says of itself."""
        self.step += 1
        own: dict[str, float] = self.policy.metrics() if hasattr(self.policy, "metrics") else {}
        self.tracker.log(self.step, {**metrics, **own}, stage=stage)

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
        checkpoint.save(self.run.checkpoints, stages_done, tensors, meta)

    def restore(self) -> int:
        """Go back to the last good checkpoint, or to the start; gives the number of stages that are done."""
        found = checkpoint.load_latest(self.run.checkpoints)
        if found is None:
            self.run.trajectories.cut(0)
            self.tracker.cut(0)
            return 0
        for warning in found.warnings:
            self.progress.note(warning)
        if found.meta["base"] != self.loaded.fingerprint:
            raise StoreError(
                f"{found.path}: the checkpoint continues another base model than {self.recipe.model.ref!r} is now"
            )
        self.learner.load_state(found.tensors, found.meta["learner"])
        self._restore_plugins(found.path, found.tensors, found.meta)
        self.policy.version = self.learner.version
        self.policy.reset_cache()
        self.step = int(found.meta["log_step"])
        self.skipped = int(found.meta.get("skipped", 0))  # Older checkpoints lack it: nothing could be skipped then.
        self.run.trajectories.cut(int(found.meta["trajectories_offset"]))
        self.tracker.cut(self.step)
        return int(found.meta["stages_done"])

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
