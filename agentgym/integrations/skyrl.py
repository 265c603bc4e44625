"""Turn-level credit as advantage estimators of SkyRL.

    from agentgym.integrations import skyrl
    skyrl.register("anchor-state")             # trainer.algorithm.advantage_estimator=agentgym-anchor-state

Written against SkyRL at commit a9564572 (`skyrl/backends/skyrl_train/utils/ppo_utils.py`, `skyrl/train/trainer.py`):
`AdvantageEstimatorRegistry.register(name, function)`, called with `token_level_rewards`, `response_mask`, `index`,
`values`, `config`, `gamma`, `lambd` and `grpo_norm_by_std` by keyword. Its `response_mask` is 1 on observations too;
what tells the model's tokens is the batch's `loss_mask`, which estimators are not given. So the trainer's method has to
be wrapped by `observing`, or ours refuse. A turn's reward lies on its last token, as SkyRL puts it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agentgym.errors import UsageError
from agentgym.integrations import common
from agentgym.integrations.common import Credit, Estimator, to_numpy

UTILS = "skyrl.backends.skyrl_train.utils.ppo_utils"


def estimator(credit: Credit, columns: Sequence[str] = ()) -> Estimator:
    """The advantage function for a credit, without registering it. It must be called within `common.facts(mask=...)`.

    Raises:
        CreditError: it needs columns other than the required ones and `columns`.
    """
    return Estimator(common.pipeline(credit, columns), needs_mask=True)


def register(credit: Credit = "anchor-state", name: str | None = None, columns: Sequence[str] = ()) -> str:
    """Make a credit one of SkyRL's advantage estimators; before `initialize_ray`, which sends it to all processes.

    Args:
        credit: a module's name, or a recipe's list of modules.
        name: what `trainer.algorithm.advantage_estimator` will call it; `agentgym-MODULE` by default.
        columns: columns that `common.facts` will bring for each batch.

    Returns:
        The name.

    Raises:
        UsageError: SkyRL is not installed.
        CreditError: the credit needs columns that will not be there.
    """
    chosen, function = common.title(credit, name), estimator(credit, columns)
    common.need(UTILS, "skyrl").AdvantageEstimatorRegistry.register(chosen, function)
    return chosen


def register_all() -> list[str]:
    """Register every module that needs nothing but rewards, groups and states; their names."""
    return [register(name) for name in common.standalone()]


def observing(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The trainer's `compute_advantages_and_returns(self, data)`, telling our estimators where turns are, and states.

        class Trainer(RayPPOTrainer):
            compute_advantages_and_returns = skyrl.observing(RayPPOTrainer.compute_advantages_and_returns)

    Reads `sequences`, `attention_mask` and `loss_mask` of the batch. Rows whose loss mask is all 0, such as padding
    and failed rollouts, are left out of all statistics.
    """

    @functools.wraps(compute)
    def observed(self: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        if self.cfg.generator.step_wise_trajectories:
            raise UsageError(
                "with generator.step_wise_trajectories SkyRL hands estimators the last step of each trajectory only: "
                "there are no turns to give credit to; set it to false"
            )
        mask = to_numpy(data["loss_mask"])
        tokens = to_numpy(data["sequences"])
        before = tokens.shape[1] - mask.shape[1]  # The response's columns are the last ones of the sequence's.
        model = np.pad(mask, ((0, 0), (before, 0)))
        states = common.state_keys(tokens, model, data["attention_mask"])
        with common.facts(mask=mask, states=states):
            return compute(self, data, *args, **kwargs)

    return observed
