"""Train a small random model with TRL's GRPO trainer on an agentgym environment, with anchor-state credit for turns.

    pip install 'agentgym-suite[train,trl]'
    python docs/examples/trl_cabinet.py --steps 20
"""

from __future__ import annotations

import argparse
import os
import tempfile
from typing import Any

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # rollout_func may still change; this is for TRL 1.16.

from datasets import Dataset
from trl import GRPOConfig

from agentgym import models, registry
from agentgym.integrations.trl import grpo_trainer, rollout_fields
from agentgym.limits import Limits
from agentgym.policy import Sampling
from agentgym.rollout import attempts, collect
from agentgym.seeding import derive

ENV, OPTIONS, GROUP = "cabinet-v0", {"drawers": 3, "hops": 2}, 4


def train(steps: int, output: str, seed: int = 0) -> Any:
    """Train and give the trainer back."""
    tasks = {task.id: task for task, _ in zip(registry.tasks(ENV, "train", **OPTIONS), range(64))}
    loaded = models.load("scratch:tiny?hidden=64&layers=2", device="cpu", seed=seed)
    loaded.chat.tokenizer.pad_token = loaded.chat.tokenizer.eos_token
    policy = registry.load("policies", "transformers")(loaded=loaded)

    def rollout(prompts: list[str], trainer: Any) -> dict[str, list[Any]]:
        """Play: TRL gives each task's id `GROUP` times in a row, as its own grouping has it."""
        policy.reset_cache()  # The weights are new since the last call.
        chosen = [tasks[task] for task in prompts[::GROUP]]
        todo = attempts(chosen, GROUP, derive(seed, "play", trainer.state.global_step))
        played = collect(
            todo, env=ENV, policy=policy, limits=Limits(turns=5), sampling=Sampling(temperature=1.0, max_tokens=12)
        )
        return rollout_fields(played)

    def outcome(completions: Any, score: list[float | None], **_: Any) -> list[float | None]:
        """The environment's own score; None, and so no training, for attempts that an infra error ended."""
        return score

    trainer = grpo_trainer()(
        model=loaded.model,
        processing_class=loaded.chat.tokenizer,
        train_dataset=Dataset.from_dict({"prompt": list(tasks)}),
        reward_funcs=outcome,
        rollout_func=rollout,
        credit=[{"use": "anchor-state", "gamma": 0.95}],
        turn_rewards=lambda turn_rewards, **_: turn_rewards,  # What `rollout_fields` returned under these names.
        turn_states=lambda turn_states, **_: turn_states,
        args=GRPOConfig(
            output_dir=output,
            max_steps=steps,
            num_generations=GROUP,
            per_device_train_batch_size=4 * GROUP,
            learning_rate=1e-3,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            seed=seed,
        ),
    )
    try:
        trainer.train()
    finally:
        policy.close()
    return trainer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    with tempfile.TemporaryDirectory() as folder:
        train(parser.parse_args().steps, folder)
