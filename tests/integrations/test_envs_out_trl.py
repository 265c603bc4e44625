"""TRL for real: its trainer plays our key-and-door through `environment_factory`; only the sampler is scripted."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from agentgym import make, registry
from agentgym.errors import EnvCrashedError, UnknownNameError, UsageError
from agentgym.integrations.env_seat import OVER, Menu, Seat
from agentgym.integrations.env_trl import environment_factory, rows
from agentgym.types import Task

MISSING = importlib.util.find_spec("trl") is None
needs_trl = pytest.mark.skipif(MISSING, reason="TRL is not installed: pip install 'agentgym-suite[trl]'")


def walkthrough(index: int) -> list[str]:
    env, moves, over = make("keydoor-v0"), list[str](), False
    env.reset(options={"task": registry.tasks("keydoor-v0")[index]})
    while not over:
        moves.append(str(env.oracle()))
        over = env.step(moves[-1]).terminated
    return moves


def test_a_class_of_its_own_plays_a_task_by_its_number() -> None:
    factory = environment_factory("keydoor-v0")
    env = factory()
    assert type(env).__name__ == "KeydoorV0"
    assert [name for name in dir(env) if not name.startswith("_")] == ["act", "get_reward", "reset"]
    assert env.reset(**rows("keydoor-v0")[5]).startswith("room ")
    assert env.act("fly") == "you can not. " + env.reset(**rows("keydoor-v0")[5])
    said = [env.act(move) for move in walkthrough(5)]
    assert said[-1].endswith(OVER)
    assert env.get_reward() == 1.0
    assert env.act("left").startswith(OVER)
    assert env.get_reward() == 1.0


def test_rows_are_tasks_and_wrong_numbers_are_told() -> None:
    made = rows("keydoor-v0", "heldout", 3)
    assert [(row["split"], row["index"]) for row in made] == [("heldout", 0), ("heldout", 1), ("heldout", 2)]
    assert made[0]["prompt"][0]["role"] == "system"
    env = environment_factory("keydoor-v0")()
    with pytest.raises(UsageError, match="has tasks 0 to 38, not 99"):
        env.reset(index=99)
    with pytest.raises(UsageError, match="split must be one of train, heldout"):
        env.reset(split="test")
    with pytest.raises(UnknownNameError, match="unknown option of keydoor-v0 'room', did you mean 'rooms'"):
        environment_factory("keydoor-v0", room=5)


def test_the_limit_of_turns_ends_the_episode() -> None:
    seat = Seat(Menu("keydoor-v0", max_turns=2))
    seat.begin(seat.menu.task("train", 0))
    assert not seat.act("nothing").truncated
    assert seat.act("nothing").truncated
    assert (seat.over, seat.success, seat.score, seat.turns) == (True, False, 0.0, 2)


def test_a_world_that_breaks_has_no_score(tmp_path: Path) -> None:
    file = tmp_path / "breaking.py"
    file.write_text(
        "from agentgym.env import EnvSpec, TextEnv\n"
        "from agentgym.errors import EnvCrashedError\n"
        "from agentgym.tasks import TaskSet\n"
        "from agentgym.types import Observation, Task\n"
        "class Breaking(TextEnv):\n"
        "    def begin(self, task, rng):\n"
        "        return Observation('hello')\n"
        "    def act(self, action):\n"
        "        raise EnvCrashedError('gone')\n"
        "def tasks(split):\n"
        "    return TaskSet.of(split, [Task(split, split=split)])\n"
        f"SPEC = EnvSpec('breaking-v0', {str(file)!r} + ':Breaking', {str(file)!r} + ':tasks')\n"
    )
    seat = Seat(Menu(f"{file}:SPEC"))
    assert seat.begin(Task("any")) == "hello"
    step = seat.act("x")
    assert step.truncated
    assert step.info["broken"] == f"{EnvCrashedError.__name__}: gone"
    assert seat.over
    assert seat.score is None
    env = environment_factory(f"{file}:SPEC")()
    env.reset()
    env.act("x")
    assert env.get_reward() is None


@needs_trl
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_trl_plays_and_trains_with_the_factory(tmp_path: Path) -> None:
    import trl
    from datasets import Dataset

    from agentgym.integrations.trl import TurnCredit
    from agentgym.models.scratch import make as scratch

    model, tokenizer = scratch("scratch:tiny?hidden=32&layers=1&context=8192", 0)
    tokenizer.pad_token = "<|im_end|>"
    # A template that TRL knows how to read tool calls from.
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text()
    moves = walkthrough(0)

    class Scripted(TurnCredit, trl.GRPOTrainer):
        """Every other attempt follows the walkthrough; the others give up at once."""

        def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
            said = []
            for number, ids in enumerate(prompt_ids):
                turn = tokenizer.decode(ids).count("<tool_response>")
                call = f'{{"name": "act", "arguments": {{"action": "{moves[min(turn, len(moves) - 1)]}"}}}}'
                plays = turn < len(moves) if turn else number % 2 == 0
                text = f"<tool_call>\n{call}\n</tool_call><|im_end|>" if plays else "no<|im_end|>"
                said.append(tokenizer(text, add_special_tokens=False)["input_ids"])
            return said, None

    config = trl.GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=4,
        max_steps=1,
        learning_rate=1e-3,
        max_completion_length=2000,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
        seed=5,
    )
    made: Any = Scripted(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows("keydoor-v0", size=1)),
        processing_class=tokenizer,
        environment_factory=environment_factory("keydoor-v0"),
        credit="grpo",
    )
    before = [p.detach().clone() for p in model.parameters()]
    made.train()
    assert [env.get_reward() for env in made.environments] == [1.0, 0.0, 1.0, 0.0]
    assert [env._seat.turns for env in made.environments] == [len(moves), 0, len(moves), 0]
    logged = made.state.log_history[0]
    assert logged["rewards/KeydoorV0/mean"] == pytest.approx(0.5)
    assert logged["tools/failure_frequency"] == 0.0
    assert any(not b.equal(p) for b, p in zip(before, model.parameters(), strict=True))
