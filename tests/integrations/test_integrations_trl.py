"""TRL for real: its `GRPOTrainer` trains a small random model on a processor with our advantages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentgym.errors import CreditError, UsageError
from agentgym.integrations import common
from agentgym.integrations import trl as ours
from agentgym.models.scratch import make
from agentgym.types import Completion, Ending, Observation, Sample, Trajectory, Turn

MISSING = importlib.util.find_spec("trl") is None
needs_trl = pytest.mark.skipif(MISSING, reason="TRL is not installed: pip install 'agentgym-suite[trl]'")

MODEL, END = 7, 257  # A token that stands for the model's words, and the end-of-sequence token.
SCORES = {"a": [100.0, 0.0, 300.0, 40.0], "b": [0.0, 0.0, 250.0, 0.0]}
"""Outcomes of the four attempts at each task: far apart, so that TRL's larger epsilon is beyond the fifth decimal."""


def play(task: str, attempt: int, turns: int) -> dict[str, Any]:
    """An episode: a turn of the model, then what its choice led to, and so on. No draw: choices are the attempt's."""
    completion, mask, states = [], [], [f"{task} start"]
    for turn in range(turns):
        choice = (attempt >> turn) & 1
        completion += [MODEL + choice] * (1 + attempt % 3)
        mask += [1] * (1 + attempt % 3)
        if turn + 1 < turns:
            completion += [40 + choice]
            mask += [0]
            states.append(f"room {choice}")
    return {
        "prompt_ids": [60, ord(task)],
        "completion_ids": [*completion, END],
        "logprobs": [0.0] * (len(mask) + 1),
        "env_mask": [*mask, 1],
        "score": SCORES[task][attempt],
        "turn_rewards": [0.0] * (turns - 1) + [SCORES[task][attempt]],
        "turn_states": states,
    }


def rollouts(turns: int, **changed: list[Any]) -> Any:
    """TRL's `rollout_func`; `changed` replaces what some field says, by task."""

    def rollout(prompts: list[str], _: Any) -> dict[str, list[Any]]:
        seen: dict[str, int] = {}
        played = []
        for task in prompts:
            seen[task] = seen.get(task, -1) + 1
            played.append(play(task, seen[task] % 4, turns))
            played[-1] |= {name: values[seen[task] % 4] for name, values in changed.items()}
        return {name: [one[name] for one in played] for name in played[0]}

    return rollout


def score(completions: Any, score: list[float | None], **_: Any) -> list[float | None]:
    return score


class Keeping:
    """Between `TurnCredit` and TRL's trainer: keeps what TRL's own advantages were, and then ours, and the losses."""

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        parent: Any = super()
        self.output = parent._generate_and_score_completions(inputs)
        self.theirs = self.output["advantages"].clone()
        return self.output

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        parent: Any = super()
        loss = parent._compute_loss(model, inputs)
        self.seen = [*getattr(self, "seen", []), (inputs["advantages"].clone(), float(loss.detach()))]
        return loss


def trainer(tmp_path: Path, rollout: Any, credit: Any = None, steps: int = 1, **arguments: Any) -> Any:
    """TRL's trainer on eight completions, two tasks of four, ours where a credit is given."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    model, tokenizer = make("scratch:tiny?hidden=32&layers=1", 0)
    tokenizer.pad_token = "<|im_end|>"
    kinds = (ours.TurnCredit, Keeping, GRPOTrainer) if credit is not None else (Keeping, GRPOTrainer)
    own = {k: arguments.pop(k) for k in ("turn_rewards", "turn_states") if k in arguments}
    config = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=arguments.pop("batch", 8),
        num_generations=4,
        max_steps=steps,
        learning_rate=1e-3,
        max_completion_length=32,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
        seed=5,
        **arguments,
    )
    extra = {} if credit is None else {"credit": credit, **own}
    made = type("Trainer", kinds, {})
    return made(
        model=model,
        reward_funcs=score,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}),
        processing_class=tokenizer,
        rollout_func=rollout,
        **extra,
    )


def advantages(made: Any) -> tuple[Any, Any, Any]:
    """Ours `[8, T]`, the mask of the model's tokens, and TRL's own `[8]`, in the order of generation."""
    output = made.output
    mask = output["completion_mask"] * output.get("tool_mask", 1)
    return output["advantages"].numpy(), mask.numpy(), made.theirs.numpy()


@needs_trl
def test_two_steps_with_anchor_state_credit_learn_from_turns(tmp_path: Path) -> None:
    made = trainer(tmp_path, rollouts(3), credit="anchor-state", steps=2)
    before = {name: value.clone() for name, value in made.model.named_parameters()}
    made.train()
    assert made.state.global_step == 2
    assert all(np.isfinite(entry["loss"]) for entry in made.state.log_history if "loss" in entry)
    assert any(not torch.equal(value, before[name]) for name, value in made.model.named_parameters())
    got, mask, theirs = advantages(made)
    assert got.shape == mask.shape
    assert theirs.shape == (8,)
    assert (got[mask == 0] == 0).all()
    spread = [row[on == 1].max() - row[on == 1].min() for row, on in zip(got, mask, strict=True)]
    assert max(spread) > 1  # TRL's are equal along a completion; these are not.


@needs_trl
@pytest.mark.parametrize("told", [True, False], ids=["states told", "states from tokens"])
def test_advantages_are_the_pipelines_on_the_same_episodes(tmp_path: Path, told: bool) -> None:
    own = {"turn_states": lambda turn_states, **_: turn_states} if told else {}
    made = trainer(tmp_path, rollouts(3), credit=[{"use": "anchor-state", "gamma": 0.5}], **own)
    made.train()
    got, mask, _ = advantages(made)
    tasks = [chr(p[-1]) for p in made.output["prompt_ids"].tolist()]
    played = [play(task, i % 4, 3) for i, task in enumerate(tasks)]
    table = common.turn_table(
        np.zeros(mask.shape),
        mask,
        [i // 4 for i in range(8)],
        outcomes=[p["score"] for p in played],
        states=[p["turn_states"] for p in played],
        columns={"reward": [p["turn_rewards"] for p in played]},
    )
    wanted = table.advantages(common.pipeline([{"use": "anchor-state", "gamma": 0.5}]))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4)  # Of numbers up to 300, in float32.


@needs_trl
def test_grpo_credit_on_one_turn_episodes_is_trls_own(tmp_path: Path) -> None:
    made = trainer(tmp_path, rollouts(1), credit="grpo")
    made.train()
    got, mask, theirs = advantages(made)
    np.testing.assert_allclose(got, theirs[:, None] * mask, rtol=0, atol=1e-5)
    assert abs(theirs).max() > 1
    assert made._logs["advantages"] == pytest.approx(theirs.tolist(), abs=1e-5)


@needs_trl
def test_centred_credit_on_one_turn_episodes_is_trls_own_to_the_digit(tmp_path: Path) -> None:
    made = trainer(tmp_path, rollouts(1), credit="dr-grpo", scale_rewards="none")
    made.train()
    got, mask, theirs = advantages(made)
    np.testing.assert_array_equal(got, theirs[:, None] * mask)


@needs_trl
def test_equal_advantages_give_an_equal_loss_and_others_another(tmp_path: Path) -> None:
    def losses(credit: Any, turns: int) -> float:
        made = trainer(tmp_path, rollouts(turns), credit=credit, scale_rewards="none", loss_type="grpo")
        made.train()
        return made.seen[0][1]

    assert losses("dr-grpo", 1) == pytest.approx(losses(None, 1), abs=1e-4)
    assert losses("dr-grpo", 3) == pytest.approx(losses(None, 3), abs=1e-4)
    # Where the ratio is 1, the loss is minus the mean, over completions, of their tokens' mean advantage.
    made = trainer(tmp_path, rollouts(3), credit="anchor-state", loss_type="grpo")
    made.train()
    got, mask, _ = advantages(made)
    wanted = -((got * mask).sum(axis=1) / mask.sum(axis=1)).mean()
    assert made.seen[0][1] == pytest.approx(wanted, rel=1e-4)
    assert abs(wanted - losses(None, 3)) > 0.1


@needs_trl
def test_unscored_completions_are_in_no_statistic(tmp_path: Path) -> None:
    made = trainer(tmp_path, rollouts(1, score=[None, 4.0, 1.0, 1.0]), credit="dr-grpo", scale_rewards="none")
    made.train()
    got, mask, theirs = advantages(made)
    assert theirs.tolist() == [0, 2, -1, -1] * 2
    np.testing.assert_array_equal(got, theirs[:, None] * mask)


@needs_trl
def test_infinite_rewards_and_wrong_turn_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CreditError, match="batch row 1, token 2: the reward is inf"):
        trainer(tmp_path, rollouts(1, score=[0.0, float("inf"), 1.0, 1.0]), credit="grpo").train()
    told = {"turn_rewards": lambda turn_rewards, **_: turn_rewards}
    with pytest.raises(CreditError, match="reward: batch row 0 has 2 turns, and 1 values"):
        trainer(tmp_path, rollouts(2, turn_rewards=[[1.0], None, None, None]), credit="rloo", **told).train()
    with pytest.raises(CreditError, match="gave 1 lists for 8 completions"):
        trainer(tmp_path, rollouts(2), credit="rloo", turn_rewards=lambda **_: [None]).train()


@needs_trl
def test_turn_rewards_or_the_outcome_on_the_last_turn(tmp_path: Path) -> None:
    credit = [{"use": "discounted-return", "gamma": 0.5}]
    given: list[Any] = [[1.0, 2.0], None, None, None]
    told = {"turn_rewards": lambda turn_rewards, **_: turn_rewards}
    made = trainer(tmp_path, rollouts(2, turn_rewards=given), credit=credit, **told)
    made.train()
    got, _, _ = advantages(made)
    assert got[0, :4].tolist() == [2.0, 0.0, 2.0, 2.0]
    assert got[2, [0, 4]].tolist() == [SCORES[chr(made.output["prompt_ids"][2, -1])][2] * g for g in (0.5, 1.0)]


@needs_trl
@pytest.mark.parametrize("loss", ["dapo", "dr_grpo", "bnpo", "cispo"])
def test_other_losses_take_an_advantage_for_each_token(tmp_path: Path, loss: str) -> None:
    made = trainer(tmp_path, rollouts(2), credit="anchor-state", loss_type=loss)
    made.train()
    assert made.seen[0][0].dim() == 2
    assert np.isfinite(made.seen[0][1])


@needs_trl
def test_several_batches_from_one_generation_keep_rows_together(tmp_path: Path) -> None:
    made = trainer(tmp_path, rollouts(2), credit="rloo", steps=4, batch=4, steps_per_generation=2, num_iterations=2)
    made.train()
    generated = made.output["advantages"]
    trained = torch.cat([seen for seen, _ in made.seen])
    assert sorted(map(tuple, trained.tolist())) == sorted(map(tuple, generated.tolist() * 2))  # Two iterations.


@needs_trl
def test_the_ready_made_class_is_trls_with_ours_before_it() -> None:
    from trl import GRPOTrainer

    made = ours.grpo_trainer()
    assert made.__mro__[1:3] == (ours.TurnCredit, GRPOTrainer)


def test_wrong_credit_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(CreditError, match="needs the column 'value'"):
        ours.TurnCredit(credit="gae")


@pytest.mark.skipif(not MISSING, reason="TRL is installed")
def test_without_trl_the_class_says_what_to_install() -> None:
    with pytest.raises(UsageError, match="install trl first"):
        ours.grpo_trainer()


def trajectory(ending: Ending = Ending.SUCCESS, samples: int = 1) -> Trajectory:
    turns = tuple(Turn(Observation(text), Completion("go"), "go", reward=r) for text, r in SEEN)
    sample = Sample(tokens=(1, 2, 7, 3, 8, 8), turn=(-1, -1, 0, -1, 1, 1), logprobs=(0.0, 0.0, -1.0, 0.0, -2.0, -3.0))
    return Trajectory("t", "env", "task", "g", 0, 0, turns, ending, Observation("end"), samples=(sample,) * samples)


SEEN = (("hall", 0.0), ("cellar", 1.0))


def test_trajectories_become_what_a_rollout_function_returns() -> None:
    good, broken = trajectory(), trajectory(Ending.INFRA_ERROR)
    fields = ours.rollout_fields([good, broken])
    first = {name: values[0] for name, values in fields.items()}
    assert first == {
        "prompt_ids": [1, 2],
        "completion_ids": [7, 3, 8, 8],
        "logprobs": [-1.0, 0.0, -2.0, -3.0],
        "env_mask": [1, 0, 1, 1],
        "score": good.score,
        "turn_rewards": [0.0, 1.0],
        "turn_states": ["hall", "cellar"],
    }
    assert fields["score"][1] is None  # Not 0: nobody knows how it would have ended.
    assert fields["env_mask"][1] == [0]
    with pytest.raises(CreditError, match="has 2 token sequences"):
        ours.rollout_fields([trajectory(samples=2)])


@needs_trl
def test_a_broken_trajectory_in_a_batch_is_not_trained_on(tmp_path: Path) -> None:
    good = {k: v[0] for k, v in ours.rollout_fields([trajectory()]).items()}
    broken = {k: v[0] for k, v in ours.rollout_fields([trajectory(Ending.INFRA_ERROR)]).items()}
    played = [broken, {**good, "score": 3.0}, {**good, "score": 0.0}, {**good, "score": 0.0}] * 2

    def rollout(prompts: list[str], _: Any) -> dict[str, list[Any]]:
        return {name: [one[name] for one in played] for name in good}

    made = trainer(tmp_path, rollout, credit="dr-grpo", turn_states=lambda turn_states, **_: turn_states)
    made.train()
    got, _, _ = advantages(made)
    assert got.tolist() == [[0] * 4, [2, 0, 2, 2], [-1, 0, -1, -1], [-1, 0, -1, -1]] * 2
    assert all(torch.isfinite(value).all() for value in made.model.parameters())
