"""Turn-level credit as advantage estimators of verl.

    from agentgym.integrations import verl
    verl.register("rloo")                      # algorithm.adv_estimator=agentgym-rloo

Written against verl 0.9.1 (`verl/trainer/ppo/core_algos.py`, `ray_trainer.py`, `v1/trainer_base.py`):
`register_adv_est(name)` takes a function that `compute_advantage` calls with `token_level_rewards`, `response_mask`,
`config` and `index` (the uid) by keyword, and that returns advantages and returns, both `[B, T]`. In rollouts of many
turns the response mask is 0 on what tools and users wrote, so turns are its runs. Two things follow: rollout correction
that rejects single tokens makes holes in the mask, which part a turn in two; and an agent loop that gives several
outputs for one attempt has each of them counted as an attempt.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agentgym.errors import UsageError
from agentgym.integrations import common
from agentgym.integrations.common import Credit, Estimator, to_numpy

CORE = "verl.trainer.ppo.core_algos"
READ = ("prompts", "responses", "response_mask", "attention_mask")
"""What `observing` reads of a batch: `[B, P]`, `[B, T]`, `[B, T]` and `[B, P + T]`."""


def estimator(credit: Credit, columns: Sequence[str] = ()) -> Estimator:
    """The advantage function for a credit, without registering it.

    Raises:
        CreditError: it needs columns other than the required ones and `columns`.
    """
    return Estimator(common.pipeline(credit, columns))


def register(credit: Credit = "rloo", name: str | None = None, columns: Sequence[str] = ()) -> str:
    """Make a credit one of verl's advantage estimators, in this process: the one in which the trainer runs.

    Args:
        credit: a module's name, or a recipe's list of modules.
        name: what `algorithm.adv_estimator` will call it; `agentgym-MODULE` by default.
        columns: columns that `common.facts` will bring for each batch.

    Returns:
        The name.

    Raises:
        UsageError: verl is not installed.
        CreditError: the credit needs columns that will not be there.
    """
    chosen, function = common.title(credit, name), estimator(credit, columns)
    common.need(CORE, "verl").register_adv_est(chosen)(function)
    return chosen


def register_all() -> list[str]:
    """Register every module that needs nothing but rewards and groups (and states: see `observing`); their names."""
    return [register(name) for name in common.standalone()]


def observing(compute_advantage: Callable[..., Any]) -> Callable[..., Any]:
    """verl's `compute_advantage(data, ...)`, telling our estimators which state each turn began in.

    A state is the observation right before the turn, read from the batch's `prompts`, `responses`, `attention_mask` and
    `response_mask`; see `common.state_keys`. Needed by `anchor-state` and `novelty`:

        ray_trainer.compute_advantage = verl.observing(ray_trainer.compute_advantage)

    The older trainer (`trainer.use_v1=False`) has these in its batch; the newer one, the default of verl 0.9, fetches
    neither prompts nor responses, and the wrapped function refuses its batches.
    """

    @functools.wraps(compute_advantage)
    def observed(data: Any, *args: Any, **kwargs: Any) -> Any:
        batch = data.batch
        missing = [name for name in READ if name not in batch.keys()]  # noqa: SIM118 (not a dict: a TensorDict)
        if missing:
            raise UsageError(
                f"verl's batch has no {', '.join(missing)}, so states cannot be told: set trainer.use_v1=False, or use "
                "credit that compares no states, or bring them with agentgym.integrations.common.facts(states=...)"
            )
        prompts, responses = to_numpy(batch["prompts"]), to_numpy(batch["responses"])
        model = np.concatenate([np.zeros(prompts.shape), to_numpy(batch["response_mask"])], axis=1)
        tokens = np.concatenate([prompts, responses], axis=1)
        with common.facts(states=common.state_keys(tokens, model, batch["attention_mask"])):
            return compute_advantage(data, *args, **kwargs)

    return observed
