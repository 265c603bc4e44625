"""verl's trainer with agentgym's credit: run this in place of `python -m verl.trainer.main_ppo`, with its arguments.

    python docs/examples/verl_main.py trainer.use_v1=False algorithm.adv_estimator=agentgym-anchor-state ...

Not run by this project's tests: it needs GPUs. The functions it calls are tested.
"""

from __future__ import annotations

from typing import Any

import hydra
import ray
from verl.trainer.main_ppo import run_ppo


@ray.remote(num_cpus=1)
class Runner:
    """The process in which advantages are computed. Registries are per process, so it registers here."""

    def run(self, config: Any) -> Any:
        from verl.trainer.main_ppo_v0 import TaskRunner
        from verl.trainer.ppo import ray_trainer

        from agentgym.integrations import verl

        verl.register([{"use": "anchor-state", "gamma": 0.95}], name="agentgym-anchor-state")
        ray_trainer.compute_advantage = verl.observing(ray_trainer.compute_advantage)
        # verl's runner is a ray actor class; what is wanted is the class within, here in this process.
        return TaskRunner.__ray_metadata__.modified_class().run(config)


@hydra.main(config_path="pkg://verl.trainer.config", config_name="ppo_trainer", version_base=None)
def main(config: Any) -> None:
    """As verl's own, with our runner."""
    run_ppo(config, task_runner_class=Runner)


if __name__ == "__main__":
    main()
