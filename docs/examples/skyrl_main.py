"""SkyRL's trainer with agentgym's credit: run this in place of `skyrl.train.entrypoints.main_base`, with its arguments.

    python docs/examples/skyrl_main.py trainer.algorithm.advantage_estimator=agentgym-anchor-state \\
        generator.step_wise_trajectories=false ...

Not run by this project's tests: it needs GPUs. The functions it calls are tested.
"""

from __future__ import annotations

import sys
from typing import Any

import ray
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.entrypoints.main_base import BasePPOExp, validate_cfg
from skyrl.train.trainer import RayPPOTrainer
from skyrl.train.utils import initialize_ray

from agentgym.integrations import skyrl


class Trainer(RayPPOTrainer):
    """Tells our estimators where turns are: SkyRL hands estimators no loss mask."""

    compute_advantages_and_returns = skyrl.observing(RayPPOTrainer.compute_advantages_and_returns)


class Experiment(BasePPOExp):
    """SkyRL's experiment with that trainer."""

    def get_trainer(self, *args: Any, **kwargs: Any) -> Any:
        return Trainer(*args, **kwargs)


@ray.remote(num_cpus=1)
def entrypoint(config: Any) -> None:
    """The process in which advantages are computed."""
    Experiment(config).run()


if __name__ == "__main__":
    skyrl.register([{"use": "anchor-state", "gamma": 0.95}], name="agentgym-anchor-state")
    settings = SkyRLTrainConfig.from_cli_overrides(sys.argv[1:])
    validate_cfg(settings)
    initialize_ray(settings)
    ray.get(entrypoint.remote(settings))
