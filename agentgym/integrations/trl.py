"""Turn-level credit in TRL's `GRPOTrainer`.

    class Trainer(TurnCredit, GRPOTrainer): ...
    Trainer(model, reward_funcs, args=..., train_dataset=..., credit="anchor-state")

Written against TRL 1.16.0, whose loss takes advantages of shape `[B, T]` as well as `[B]`. Two methods are overridden,
both through `super()`: `_calculate_rewards`, to see the rewards, and `_generate_and_score_completions`, to replace the
advantages. Generation, tools, environments, rewards, loss and logs stay TRL's. Turns are the runs of the model's own
tokens in a completion, which TRL's tool mask (or a `rollout_func`'s `env_mask`) tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import CreditError
from agentgym.integrations import common
from agentgym.integrations.common import Credit, to_numpy
from agentgym.types import Trajectory

PerTurn = Callable[..., Sequence[Sequence[Any] | None]]
"""Called like one of TRL's reward functions (prompts, completions, completion_ids and columns by keyword); gives, for
each completion, one value a turn, or `None` for the default."""


class TurnCredit:
    """Mix in before `GRPOTrainer`, or a class derived from it.

    The outcome of a completion is what TRL makes of its reward functions: the weighted sum of those that gave a number.
    A completion that no reward function scored (all `None`, as after an infra error) is left out of all statistics and
    gets advantage 0; so is one that `mask_truncated_completions` masks. TRL's `scale_rewards` and
    `multi_objective_aggregation` play no part: what to divide by is the credit's choice.
    """

    def __init__(
        self,
        *args: Any,
        credit: Credit = "anchor-state",
        turn_rewards: PerTurn | None = None,
        turn_states: PerTurn | None = None,
        **kwargs: Any,
    ) -> None:
        """A trainer.

        Args:
            *args: the trainer's own.
            credit: a module's name, or a recipe's list of modules.
            turn_rewards: rewards of turns; by default the outcome is the last turn's and the others' are 0.
            turn_states: a text for each turn, equal in equal states; by default the tokens of the observation before
                it (see `agentgym.integrations.common.state_keys`).
            **kwargs: the trainer's own.

        Raises:
            CreditError: the credit needs columns that are not there.
        """
        self.credit = common.pipeline(credit)
        self._per_turn = {"reward": turn_rewards, "state": turn_states}
        self._told: dict[str, list[Any]] = {}
        self._outcomes: NDArray[np.float64] = np.zeros(0)
        super().__init__(*args, **kwargs)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        parent: Any = super()
        scored = parent._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        trainer: Any = self
        rewards, weights = to_numpy(scored), to_numpy(trainer.reward_weights)
        unscored = np.isnan(rewards)
        total = np.where(unscored, 0.0, rewards * weights).sum(axis=1)
        self._outcomes = np.where(unscored.all(axis=1), np.nan, total)
        columns = {k: [x.get(k) for x in inputs] for k in inputs[0] if k not in ("prompt", "completion")}
        columns |= {"prompts": prompts, "completions": completions, "completion_ids": completion_ids_list}
        columns["environments"] = trainer.environments
        for name, function in self._per_turn.items():
            told = [None] * len(prompts) if function is None else list(function(**columns))
            if len(told) != len(prompts):
                raise CreditError(f"turn_{name}s gave {len(told)} lists for {len(prompts)} completions")
            self._told[name] = told
        return scored

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        parent: Any = super()
        output = parent._generate_and_score_completions(inputs)
        output["advantages"] = self._advantages(output)
        return output

    def _advantages(self, output: Any) -> Any:
        """Advantages `[B, T]` of this process's completions, compared with those of all processes."""
        trainer: Any = self
        gather = common.need("accelerate.utils", "accelerate").gather_object
        mask = to_numpy(output["completion_mask"])
        if "tool_mask" in output:
            mask = mask * to_numpy(output["tool_mask"])
        prompts = to_numpy(output["prompt_ids"])
        tokens = np.concatenate([prompts, to_numpy(output["completion_ids"])], axis=1)
        real = np.concatenate([to_numpy(output["prompt_mask"]), to_numpy(output["completion_mask"])], axis=1)
        observed = common.state_keys(tokens, np.pad(mask, ((0, 0), (prompts.shape[1], 0))), real)
        states = [
            keys if told is None else list(told) for told, keys in zip(self._told["state"], observed, strict=True)
        ]
        own = list(zip(mask, states, self._told["reward"], strict=True))
        rows: list[tuple[NDArray[np.float64], list[str], list[float] | None]] = gather(own)
        width = max(len(row) for row, _, _ in rows)
        wide = np.stack([np.pad(row, (0, width - len(row))) for row, _, _ in rows])
        size = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
        rewards, outcomes = np.zeros(wide.shape), np.nan_to_num(self._outcomes, nan=0.0, posinf=np.inf, neginf=-np.inf)
        last = wide.shape[1] - 1 - np.argmax(wide[:, ::-1] != 0, axis=1)
        rewards[np.arange(len(rows)), last] = outcomes
        turns = [
            [0.0] * (count - 1) + [outcome] if told is None else list(told)
            for count, outcome, (_, _, told) in zip(common.count_turns(wide), outcomes.tolist(), rows, strict=True)
        ]
        batch = common.turn_table(
            rewards,
            wide,
            np.arange(len(rows)) // size,
            outcomes=outcomes,
            states=[keys for _, keys, _ in rows],
            columns={"reward": turns},
            keep=~np.isnan(self._outcomes),
        )
        values = batch.advantages(self.credit)
        self._log(values, batch.row >= 0)
        start = trainer.accelerator.process_index * len(mask)
        made = values[start : start + len(mask), : mask.shape[1]]
        return common.like(output["completion_ids"], made)

    def _log(self, values: NDArray[np.float64], trained: NDArray[np.bool_]) -> None:
        """Put the mean advantage of each completion's tokens where TRL has logged its own."""
        logs: Any = getattr(self, "_logs", {}).get("advantages")
        if logs is None:
            return
        means = values.sum(axis=1) / np.maximum(trained.sum(axis=1), 1)
        for _ in range(min(len(means), len(logs))):
            logs.pop()
        logs.extend(means.tolist())


def grpo_trainer() -> Any:
    """`TurnCredit` mixed into TRL's `GRPOTrainer`.

    Raises:
        UsageError: TRL is not installed.
    """
    return type("TurnGRPOTrainer", (TurnCredit, common.need("trl", "trl").GRPOTrainer), {})


def rollout_fields(played: Sequence[Trajectory]) -> dict[str, list[Any]]:
    """What TRL's `rollout_func` returns, from agentgym trajectories, one for each prompt it was called with.

    Besides what TRL requires: `env_mask`; `score`, the outcome; `turn_rewards` and `turn_states`, one a turn. TRL hands
    them to reward functions and to `turn_rewards` and `turn_states` by these names. A trajectory that cannot be trained
    on has one masked token and the score `None`.

    Raises:
        CreditError: a trajectory has no tokens, or its turns do not fit one sequence.
    """
    fields: dict[str, list[Any]] = {
        name: []
        for name in ("prompt_ids", "completion_ids", "logprobs", "env_mask", "score", "turn_rewards", "turn_states")
    }
    for trajectory in played:
        row: tuple[Any, ...] = ([0], [0], [0.0], [0], None, [], [])
        if trajectory.trainable:
            if len(trajectory.samples) != 1:
                raise CreditError(
                    f"trajectory {trajectory.id!r} has {len(trajectory.samples)} token sequences; TRL trains on one "
                    "for each rollout: play with a policy that has a tokenizer, within the context's length"
                )
            sample = trajectory.samples[0]
            turn = np.asarray(sample.turn)
            start = int(np.flatnonzero(turn >= 0)[0])
            row = (
                list(sample.tokens[:start]),
                list(sample.tokens[start:]),
                list(sample.logprobs[start:]),
                (turn[start:] >= 0).astype(int).tolist(),
                trajectory.score,
                [t.reward for t in trajectory.turns],
                [t.observation.state_key for t in trajectory.turns],
            )
        for name, value in zip(fields, row, strict=True):
            fields[name].append(value)
    return fields
