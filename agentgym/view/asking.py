"""The run's own model, asked about tokens that were sampled long ago: what it gives them now.

The log keeps what was sampled, not what stood between; the conversation is put together again as it was played, which
gives the same ids. Only this module of the viewer imports torch.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agentgym import checkpoint, config, models, registry
from agentgym.attention import hidden_states
from agentgym.batch import TrainSequence, pack
from agentgym.errors import UsageError
from agentgym.head import token_logprobs
from agentgym.learner import Learner
from agentgym.ledger import CONTEXT
from agentgym.recipe import Recipe
from agentgym.select.rebuild import opening, samples_under
from agentgym.types import Sample, Task, Trajectory

if TYPE_CHECKING:
    from agentgym.view.data import RunData

Values = list[list[float | None]]


class Asked:
    """The newest model of a run; loaded at the first question, and again when there is a newer one."""

    def __init__(self, run: RunData) -> None:
        """Args: `run` whose; nothing is loaded yet."""
        self.run = run
        self._of: Path | None = None
        self._loaded: models.Loaded | None = None
        self._name = ""

    def __call__(self, trajectory: Trajectory, by: str) -> tuple[Values, str]:
        """A number for every sampled token, by turn, and which model gave it.

        Args:
            trajectory: as the log has it.
            by: `ratio`, of the probability now to that when it was sampled, or `entropy`, in nats.

        Raises:
            UsageError: the run has no model, or the conversation cannot be put together again.
        """
        recipe = config.load(Recipe, self.run.folder.config_path)
        loaded = self._newest(recipe)
        samples = trajectory.samples or self._samples(trajectory, recipe, loaded)
        logprobs, entropies = _ask(loaded.model, samples, recipe.trainer.token_budget, len(trajectory.turns))
        if by == "entropy":
            return [list(own) for own in entropies], self._name
        made: Values = []
        for turn, now in zip(trajectory.turns, logprobs, strict=True):
            then = turn.completion.logprobs or ()
            made.append([_ratio(a, b) for a, b in zip(now, then, strict=True)] if len(then) == len(now) else [])
        return made, self._name

    def _newest(self, recipe: Recipe) -> models.Loaded:
        folder = self.run.folder
        if (folder.model / "config.json").exists():
            if self._of != folder.model:
                self._loaded = models.load(str(folder.model), dtype=recipe.model.dtype, device="cpu")
                self._of, self._name = folder.model, "the trained model"
        else:
            found = checkpoint.load_latest(folder.checkpoints)
            if found is None:
                raise UsageError("the run has neither a checkpoint nor a model yet: ask again when it has")
            if self._of != found.path:
                loaded = models.load(recipe.model.ref, dtype=recipe.model.dtype, device="cpu", seed=recipe.seed)
                learner = Learner(loaded.model, recipe.trainer.model_copy(update={"ranks": 1}))
                learner.load_state(found.tensors, found.meta["learner"])
                learner.close()
                self._loaded, self._of = loaded, found.path
                self._name = f"the checkpoint {found.path.name}"
        assert self._loaded is not None
        return self._loaded

    def _samples(self, trajectory: Trajectory, recipe: Recipe, loaded: models.Loaded) -> tuple[Sample, ...]:
        dialect = recipe.env.dialect or registry.spec(recipe.env.id).dialect
        task = _task(self.run, trajectory)
        samples = samples_under(trajectory, opening(task, recipe.env.system, dialect), loaded.chat)
        played = [turn.completion.prompt_tokens for turn in trajectory.turns[:1]]
        if played and played[0] and samples:
            first = next((i for i, turn in enumerate(samples[0].turn) if turn != CONTEXT), 0)
            if first != played[0]:
                raise UsageError(
                    f"the conversation cannot be put together as it was played: its first prompt has {first} tokens "
                    f"now, and had {played[0]}"
                )
        return samples


def tokenizer_of(run: RunData) -> Any:
    """The tokenizer of the recipe's model, where it is made or held by this package; nothing is fetched.

    Raises:
        UsageError: it is another's.
    """
    recipe = config.load(Recipe, run.folder.config_path)
    if recipe.model.ref.startswith("scratch:"):
        return _scratch(recipe.model.ref, recipe.seed)
    raise UsageError(f"the tokenizer of {recipe.model.ref!r} is not in the run's folder")


@cache
def _scratch(ref: str, seed: int) -> Any:
    return models.load(ref, device="cpu", seed=seed).chat.tokenizer


def _task(run: RunData, trajectory: Trajectory) -> Task:
    prompt = run.parts.list_tasks().get(trajectory.task_id)
    if prompt is None:
        raise UsageError(f"the task {trajectory.task_id[:100]!r} is not among those that the environment lists here")
    return Task(trajectory.task_id, prompt[0])


def _ratio(now: float | None, then: float) -> float | None:
    if now is None or not math.isfinite(then):
        return None
    return math.exp(max(-700.0, min(700.0, now - then)))


def _ask(model: Any, samples: Sequence[Sample], token_budget: int, turns: int) -> tuple[Values, Values]:
    """Log-probability and entropy of every sampled token, by turn."""
    batch = [TrainSequence.from_sample(sample, [0.0] * turns) for sample in samples]
    found: list[list[Any]] = [[None, None] for _ in samples]
    device = next(model.parameters()).device
    for p in pack(batch, token_budget):
        p = p.to(device)
        with torch.no_grad():
            hidden = hidden_states(model, p.tokens, p.positions, p.segments)
            both = token_logprobs(model, hidden[p.select], p.target)
        which = p.sequence.cpu().numpy()
        values = [one.double().cpu().numpy() for one in both]
        for index in np.unique(which):  # Within a sequence a pack has the action tokens in order.
            found[index] = [one[which == index] for one in values]
    made: tuple[Values, Values] = ([[] for _ in range(turns)], [[] for _ in range(turns)])
    for sample, sequence, own in zip(samples, batch, found, strict=True):
        placed = np.asarray(sample.turn)[sequence.action]
        for kind in (0, 1):
            if own[kind] is not None:
                for turn, value in zip(placed.tolist(), own[kind].tolist(), strict=True):
                    made[kind][turn].append(value if math.isfinite(value) else None)
    return made
