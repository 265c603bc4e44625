"""The training loop, to be read from top to bottom.

A run is a list of stages: evaluate the untrained model, learn from demonstrations, evaluate, improve by reinforcement
learning, evaluate. Each stage is a function of the run's seed and of the weights and nothing else, so a checkpoint
after every stage that changes weights is all that resuming needs: logs are cut back to where they stood then, and the
remaining stages are run. With `asynchrony.staleness` above 0 groups are played while the learner steps: then timing has
a say as well, and a checkpoint also names the groups that are on their way, which are played again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentgym.asynchrony import Drawn, Flow
from agentgym.batch import TrainSequence, demonstrations, pack, sequences
from agentgym.credit import TurnTable
from agentgym.env import Ability
from agentgym.errors import CreditError
from agentgym.progress import Progress, Silent
from agentgym.recipe import Recipe
from agentgym.rollout import attempts
from agentgym.seeding import derive, generator
from agentgym.session import Session
from agentgym.store import RunFolder
from agentgym.types import Task, Trajectory


@dataclass(frozen=True)
class Stage:
    """One step of a run."""

    name: str
    """`eval:untrained`, `warmstart:0`, `train:3`, ..."""
    run: Callable[[Session], None]
    learns: bool
    """Whether it changes the weights: a checkpoint follows."""


@dataclass(frozen=True)
class Summary:
    """What a run came to."""

    run: RunFolder
    evals: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """Metrics of each evaluation stage, by the stage's name, in order."""
    seconds: float = 0.0


def stages(recipe: Recipe) -> list[Stage]:
    """All stages of a run in order."""
    plan: list[Stage] = []

    def evaluation(name: str) -> None:
        if recipe.eval.tasks:
            plan.append(Stage(f"eval:{name}", lambda s, name=name: evaluate_stage(s, name), learns=False))

    evaluation("untrained")
    if recipe.warmstart.tasks:
        for epoch in range(recipe.warmstart.epochs):
            plan.append(Stage(f"warmstart:{epoch}", lambda s, e=epoch: warmstart_stage(s, e), learns=True))
        evaluation("warm")
    for i in range(recipe.trainer.iterations):
        plan.append(Stage(f"train:{i}", lambda s, i=i: train_stage(s, i), learns=True))
        last = i + 1 == recipe.trainer.iterations
        if recipe.eval.every and (i + 1) % recipe.eval.every == 0 and not last:
            evaluation(f"iteration-{i + 1}")
    if recipe.trainer.iterations:
        evaluation("trained")
    return plan


def train(recipe: Recipe, run: RunFolder, progress: Progress | None = None) -> Summary:
    """Run a recipe from where its folder stands: from the start in a fresh one, else from its last checkpoint.

    Raises:
        UsageError: something in the recipe cannot be done as asked.
        StoreError: the folder cannot be continued.
        KeyboardInterrupt: stopped by hand; everything up to the last finished stage is saved.
    """
    began = time.monotonic()
    with Session(recipe, run, progress or Silent()) as session:
        plan = stages(recipe)
        first = session.restore()
        session.prepare()
        for index, stage in enumerate(plan[first:], start=first):
            stage.run(session)
            if stage.learns:
                session.save(index + 1)
        session.finish()
    return Summary(run, run.evaluations(), time.monotonic() - began)


def evaluate_stage(s: Session, name: str) -> None:
    """Success on held-out tasks; the same tasks and seeds at every call."""
    cfg = s.recipe.eval
    if s.flow is not None:
        s.flow.player.pause()
    tasks = s.heldout[: cfg.tasks]
    todo = attempts(list(tasks), cfg.attempts, derive(s.recipe.seed, "eval"), prefix="eval:")
    played = s.play(todo, f"evaluate ({name})", temperature=cfg.temperature)
    s.record(played, phase=f"eval:{name}")
    s.log(f"eval:{name}", s.metrics_of(played, "eval"))


def warmstart_stage(s: Session, epoch: int) -> None:
    """Supervised learning on what the oracle did, in an order of its own for every epoch."""
    cfg = s.recipe.warmstart
    played = s.demonstrations(cfg.tasks)
    if epoch == 0:
        s.record(played, phase="demo")
    demos = demonstrations(t for t in played if t.success)
    order = generator(s.recipe.seed, "warmstart", epoch).permutation(len(demos))
    batches = [order[i : i + cfg.batch] for i in range(0, len(order), cfg.batch)]
    s.progress.start(f"warm start {epoch + 1}/{cfg.epochs}", len(batches))
    for batch in batches:
        packs = pack([demos[int(i)] for i in batch], s.recipe.trainer.token_budget)
        metrics = s.learn(packs, mode="sft", lr=cfg.lr)
        s.log(f"warmstart:{epoch}", metrics)
        s.progress.advance(1, loss=metrics["learn/loss"])


def train_stage(s: Session, i: int) -> None:
    """One iteration: play groups of attempts, give every turn its credit, take the optimizer's steps."""
    cfg = s.recipe.trainer
    sampled, drawn = sample_groups(s, i) if s.flow is None else stream_groups(s, s.flow, i)
    played = sampled
    for _, module in s.selecting:
        played = module.extend(played, lambda todo: s.play_more(todo, f"play {i + 1}/{cfg.iterations}"), i)
    table = credit_stage(s, played)
    advantages = table.per_trajectory("advantage", len(played))
    scored = s.scored(table, len(played))
    s.record(played, phase="train", iteration=i, advantages=advantages, columns=scored)

    training: dict[str, list[TrainSequence]] = {}
    for trajectory, advantage in zip(played, advantages, strict=True):
        if advantage is not None and (cfg.keep_flat or any(advantage)):
            training.setdefault(trajectory.group, []).extend(sequences(trajectory, advantage))
    count = sum(map(len, training.values()))
    # Success is the policy's own: a stored success, or one that had a hint, says nothing about it.
    metrics = s.metrics_of(sampled, "train") | drawn | {"train/sequences": count}
    for name, scorer in s.scorers:
        metrics |= {f"{name}/{key}": value for key, value in scorer.learn(played, table).items()}
    for name, module in s.selecting:
        metrics |= {f"{name}/{key}": value for key, value in module.metrics().items()}

    # A group stays together: its attempts begin alike, and what they share is computed once.
    groups = list(training.values())
    parts = [
        sorted(order[k :: cfg.minibatches])
        for epoch in range(cfg.epochs)
        for order in (generator(s.recipe.seed, "minibatch", i, epoch).permutation(len(groups)),)
        for k in range(min(cfg.minibatches, len(groups)))
    ]
    s.progress.start(f"learn {i + 1}/{cfg.iterations}", len(parts))
    for part in parts:
        packs = pack([sequence for j in part for sequence in groups[int(j)]], cfg.token_budget)
        learned = s.learn(packs, mode="policy", lr=cfg.lr)
        metrics |= learned
        s.progress.advance(1, loss=learned["learn/loss"])
    if s.flow is not None:
        s.publish()
        s.flow.order(lambda place: tasks_from(s, place, 1)[0], (cfg.iterations - i - 1) * cfg.tasks)
    s.log(f"train:{i}", metrics)


def credit_stage(s: Session, played: Sequence[Trajectory]) -> TurnTable:
    """Select trajectories, ask the scorers for their columns, and run the credit modules; writes `advantage`."""
    reports_progress = Ability.PROGRESS in s.spec.abilities
    everything = table = TurnTable.from_trajectories(played, s.spec.components, reports_progress)
    for _, module in s.selecting:
        kept = module.keep(table, played)
        if not kept.all():
            table = table.where(kept)
    chosen = table
    for name, scorer in s.scorers:
        try:
            table = table.with_columns(scorer.score(played, table))
        except CreditError as error:
            raise CreditError(f"scorer {name!r}: {error}") from error
    table = s.pipeline(table)
    factor = math.prod(module.scale(everything, chosen) for _, module in s.selecting)
    return table if factor == 1.0 else table.with_columns({"advantage": factor * table["advantage"]})


def sample_groups(s: Session, i: int) -> tuple[list[Trajectory], dict[str, float]]:
    """Play an iteration's groups; those whose outcomes are all equal are counted and, if asked, replaced (DAPO).

    Returns:
        The trajectories, and metrics: how many of the groups that were played were flat; with selection modules also
        how many tasks were passed over, and how many were played although no module wanted any.
    """
    cfg = s.recipe.trainer
    kept: list[Trajectory] = []
    flat, unwanted, skipped, wanted = 0, 0, s.skipped, cfg.tasks
    for again in range(cfg.refill + 1):
        drawn = draw_tasks(s, i * (cfg.refill + 1) + again, wanted)
        unwanted += sum(not d.wanted for d in drawn)
        todo = attempts(
            [d.task for d in drawn], cfg.group, derive(s.recipe.seed, "train", i, again), prefix=f"{i}.{again}:"
        )
        played = s.play(todo, f"play {i + 1}/{cfg.iterations}", temperature=s.recipe.sampling.temperature)
        for epoch in sorted({d.epoch for d in drawn}):
            seen = [t for k, t in enumerate(played) if drawn[k // cfg.group].epoch == epoch]
            for _, module in s.selecting:
                module.observe(seen, epoch)
        dull = flat_groups(played)
        flat += len(dull)
        last = again == cfg.refill
        kept += [t for t in played if last or t.group not in dull]
        wanted = len(dull)
        if not wanted:
            break
    metrics: dict[str, float] = {"train/flat_groups": flat}
    if s.selecting:
        metrics |= {"train/skipped_tasks": s.skipped - skipped, "train/unwanted_tasks": unwanted}
    return kept, metrics


def stream_groups(s: Session, flow: Flow, i: int) -> tuple[list[Trajectory], dict[str, float]]:
    """An iteration's groups as they come in from the background; else as `sample_groups`.

    What is dropped as too old nobody sees: no selection module observes it, and it is not in the log.
    """
    cfg = s.recipe.trainer
    skipped = s.skipped
    s.progress.start(f"play {i + 1}/{cfg.iterations}", cfg.tasks)
    batch = flow.batch(
        lambda place: tasks_from(s, place, 1)[0],
        needed=(cfg.iterations - i) * cfg.tasks,
        replace_flat=cfg.refill * cfg.tasks,
        flat=lambda group: bool(flat_groups(group)),
        on_group=lambda group: s.progress.advance(1, success=sum(t.success for t in group) / len(group)),
    )
    for epoch in sorted({order.epoch for order, _ in batch.seen}):
        seen = [t for order, group in batch.seen if order.epoch == epoch for t in group]
        for _, module in s.selecting:
            module.observe(seen, epoch)
    metrics = batch.metrics | {"train/flat_groups": sum(len(flat_groups(group)) for _, group in batch.seen)}
    if s.selecting:
        unwanted = sum(not order.wanted for order, _ in batch.seen)
        metrics |= {"train/skipped_tasks": s.skipped - skipped, "train/unwanted_tasks": unwanted}
    return [t for group in batch.groups for t in group], metrics


def flat_groups(played: Sequence[Trajectory]) -> set[str]:
    """Groups in which every attempt that may be trained on has the same score: nothing to compare."""
    scores: dict[str, set[float]] = {}
    for trajectory in played:
        seen = scores.setdefault(trajectory.group, set())
        if trajectory.trainable:
            seen.add(trajectory.score)
    return {group for group, seen in scores.items() if len(seen) <= 1}


def draw_tasks(s: Session, draw: int, count: int) -> list[Drawn]:
    """`count` training tasks for a draw; draws are as wide as an iteration."""
    return tasks_from(s, draw * s.recipe.trainer.tasks, count)


def tasks_from(s: Session, first: int, count: int) -> list[Drawn]:
    """`count` training tasks from a place in line on: epochs over the task set, each in an order of its own.

    Tasks that a selection module does not want are passed over and counted in `s.skipped`: where a draw begins is a
    function of its place and of that count. In an epoch in which no task at all is wanted, all are played.
    """
    size = len(s.tasks)

    def wants(task: Task, epoch: int) -> bool:
        return all(module.wants(task, epoch) for _, module in s.selecting)

    picked: list[Drawn] = []
    epoch, place = divmod(first + s.skipped, size)
    while len(picked) < count:
        order, others = generator(s.recipe.seed, "tasks", epoch).permutation(size)[place:], False
        for task in (s.tasks[int(index)] for index in order):
            wanted = wants(task, epoch)
            others = others or wanted or any(wants(other, epoch) for other in s.tasks)
            if wanted or not others:
                picked.append(Drawn(task, epoch, wanted))
            else:
                s.skipped += 1
            if len(picked) == count:
                break
        epoch, place = epoch + 1, 0
    return picked
