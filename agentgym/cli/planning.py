"""What a recipe would do, counted without doing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentgym import registry
from agentgym.errors import StoreError, UsageError
from agentgym.recipe import Recipe
from agentgym.track import read_metrics
from agentgym.train import stages


def plan(recipe: Recipe, root: Path) -> dict[str, Any]:
    """Stages, episodes, turns and tokens of a run. Episodes that end early make all but the stages an upper bound.

    The time is that of the newest finished run of the same recipe under `root`, `None` where there is none: it depends
    on the machine and the model in ways that only a run shows.

    Raises:
        UsageError: the recipe asks for more held-out tasks than there are.
    """
    trainer, evals, warm = recipe.trainer, recipe.eval, recipe.warmstart
    names = [stage.name for stage in stages(recipe)]
    limit = recipe.limits.turns or registry.spec(recipe.env.id).max_turns
    evaluations = sum(name.startswith("eval:") for name in names)
    training = trainer.iterations * trainer.tasks * trainer.group * (trainer.refill + 1)
    evaluating = evaluations * evals.tasks * evals.attempts
    tasks = registry.tasks(recipe.env.id, "train", **recipe.env.options)
    heldout = registry.tasks(recipe.env.id, "heldout", **recipe.env.options)
    if evals.tasks > len(heldout):
        raise UsageError(f"eval.tasks asks for {evals.tasks} held-out tasks; there are {len(heldout)}")
    played = training + evaluating
    return {
        "env": recipe.env.id,
        "model": recipe.model.ref,
        "credit": [str(entry.get("use")) for entry in recipe.credit],
        "train_tasks": len(tasks),
        "heldout_tasks": len(heldout),
        "stages": names,
        "demonstrations": warm.tasks,
        "warmstart_steps": warm.epochs * -(-warm.tasks // warm.batch) if warm.tasks else 0,
        "training_episodes_at_most": training,
        "evaluation_episodes": evaluating,
        "turns_at_most": played * limit,
        "tokens_written_at_most": played * limit * recipe.sampling.max_tokens,
        "optimizer_steps_at_most": trainer.iterations * trainer.minibatches,
        "minutes_last_time": last_time(root, recipe.name, names),
    }


def last_time(root: Path, name: str, stage_names: list[str]) -> float | None:
    """Minutes that the newest run of the same name and the same stages took between its first and last metrics."""
    newest: tuple[float, float] | None = None
    for path in root.glob(f"{name}*/metrics.jsonl"):
        try:
            lines = read_metrics(path)
        except StoreError:
            continue
        if lines and {line.stage for line in lines} == set(stage_names):
            took = (lines[-1].time, (lines[-1].time - lines[0].time) / 60)
            newest = took if newest is None else max(newest, took)
    return None if newest is None else round(newest[1], 1)


def plan_rows(work: dict[str, Any]) -> list[tuple[str, str]]:
    """The plan for a person."""
    shown: list[tuple[str, str]] = []
    for key, value in work.items():
        if key == "stages":
            text = f"{len(value)}: {', '.join(value[:4])}" + (f", ..., {value[-1]}" if len(value) > 4 else "")
        elif value is None:
            text = "not known before a first run"
        elif isinstance(value, list):
            text = ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
        else:
            text = f"{value:,}" if isinstance(value, int) else str(value)
        shown.append((key.replace("_", " "), text))
    return shown
