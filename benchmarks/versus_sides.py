"""One side of `versus_trl.py`, alone in a process: `python benchmarks/versus_sides.py SIDE JOB.json`.

A process of its own for each side, so that memory and threads are that side's. SIDE is `warm` (makes the model both
begin with), `ours` or `trl`. What was measured is written to the job's `out`, step by step.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CONTEXT = 2048
"""Tokens that the small model can read; no game of the benchmark comes near it."""

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ 'user' if m['role'] == 'tool' else m['role'] }}\n{{ m['content'] }}"
    "{% for c in m['tool_calls'] or [] %}{{ c['function']['name'] }} {{ c['function']['arguments'] | tojson }}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML for both sides. A tool's answer looks like a user's message, so that TRL's tool loop and our turns give the
same tokens; TRL wants a template that can show tool calls as well."""

PARSED = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "close_pattern": r"<\|im_end\|>\s*",
            "repeats": True,
            "content": "text",
            "transform": {"type": "function", "function": {"name": "act", "arguments": {"command": "{content}"}}},
        }
    },
}
"""Has TRL read any answer as a call of the tool `act`: the bare command of our `plain` dialect."""


@dataclass(frozen=True)
class Job:
    """What a side has to do; the same for both."""

    out: str
    model: str
    seed: int = 0
    steps: int = 30
    tasks: int = 8
    group: int = 8
    lr: float = 1.5e-4
    rooms: int = 3
    turns: int = 8
    answer: int = 8
    """Most tokens of an answer."""
    threads: int = 1
    batch: int = 16
    """Sequences that TRL learns from at once; it generates for all of a step at once in any case."""
    checkpointing: bool = False
    """TRL's default is to compute activations twice, which saves memory; off is faster."""
    keep_flat: bool = True
    """Whether ours trains on groups without any advantage as well, as TRL does."""
    demonstrations: int = 60
    epochs: int = 40
    order: tuple[tuple[str, ...], ...] = ()
    """Ids of the tasks of each step."""


@dataclass
class Parts:
    """What one step took and gave."""

    seconds: float = 0.0
    busy: float = 0.0
    """Seconds of processor time, of all threads: what a machine that does other things as well cannot spoil."""
    generate: float = 0.0
    """In the model, while answering."""
    sampling: float = 0.0
    """Generation, conversation, environments."""
    learning: float = 0.0
    """Forward and backward passes, the optimizer."""
    tokens: int = 0
    """Prompts, observations and answers: all that a learner reads."""
    answered: int = 0
    """Those of them that the model wrote."""
    computed: int = 0
    """Positions that went through forward and backward passes, with padding or without what is shared."""
    reward: float = 0.0
    tasks: tuple[str, ...] = ()


@dataclass
class Clock:
    """Seconds by name; `timed` wraps a bound method."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - began

        return call

    def take(self, name: str) -> float:
        return self.seconds.pop(name, 0.0)


def memory() -> tuple[float, float]:
    """Resident memory in MiB: now, and the most so far."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        return int(lines["VmRSS"].split()[0]) / 1024, int(lines["VmHWM"].split()[0]) / 1024
    except (OSError, KeyError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
        return peak, peak


def recipe(job: Job, warm: bool = False) -> Any:
    """Ours as a recipe. `warm`: demonstrations only, from the model's own weights."""
    from agentgym.recipe import Recipe

    made: dict[str, Any] = {
        "name": "versus",
        "seed": job.seed,
        "env": {"id": "keydoor-v0", "options": {"rooms": job.rooms}},
        "model": {"ref": job.model, "dtype": "float32", "device": "cpu"},
        "limits": {"turns": job.turns},
        "sampling": {"max_tokens": job.answer},
        "rollout": {"host": "inline", "slots": job.tasks * job.group},
        "credit": [{"use": "grpo"}],
        "trainer": {
            "iterations": 0 if warm else job.steps,
            "tasks": job.tasks,
            "group": job.group,
            "lr": job.lr,
            "aggregation": "sequence",
            "ratio": "self",
            "keep_flat": job.keep_flat,
        },
        "eval": {"tasks": 0},
    }
    if warm:
        made["warmstart"] = {"tasks": job.demonstrations, "epochs": job.epochs, "lr": 3e-3, "batch": 8}
    return Recipe.model_validate(made)


def warm(job: Job, folder: Path) -> Mapping[str, Any]:
    """Make the model that both sides begin with, with the chat template of both."""
    from transformers import AutoTokenizer

    from agentgym.store import RunFolder
    from agentgym.train import train

    train(recipe(job, warm=True), RunFolder.create("warm", folder))
    made = folder / "warm" / "model"
    tokenizer: Any = AutoTokenizer.from_pretrained(made)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(made)
    return {"model": str(made)}


def ours(job: Job, folder: Path) -> Mapping[str, Any]:
    """Our loop, stage by stage as `agentgym train` runs it, without checkpoints (TRL writes none here, either)."""
    from agentgym.progress import Silent
    from agentgym.session import Session
    from agentgym.store import RunFolder
    from agentgym.train import train_stage

    steps: list[Parts] = []
    with Session(recipe(job), RunFolder.create("run", folder), Silent()) as session:
        s: Any = session
        session.prepare()
        loaded, clock, now = memory()[0], Clock(), Parts()
        play, learn = s.play, s.learn

        def count(*args: Any, **kwargs: Any) -> Any:
            played = play(*args, **kwargs)
            samples = [sample for trajectory in played for sample in trajectory.samples]
            now.tokens += sum(len(sample.tokens) for sample in samples)
            now.answered += sum(turn >= 0 for sample in samples for turn in sample.turn)
            now.reward = sum(t.score for t in played) / len(played)
            now.tasks = tuple(dict.fromkeys(t.task_id for t in played))
            return played

        def learnt(*args: Any, **kwargs: Any) -> Any:
            metrics = learn(*args, **kwargs)
            now.computed += int(metrics["learn/tokens_computed"])
            return metrics

        s.play, s.learn = clock.timed("sampling", count), clock.timed("learning", learnt)
        s.policy._answer = clock.timed("generate", s.policy._answer)
        for i in range(job.steps):
            now = Parts()
            began, busy = time.perf_counter(), time.process_time()
            train_stage(session, i)
            now.seconds, now.busy = time.perf_counter() - began, time.process_time() - busy
            now.generate, now.sampling, now.learning = map(clock.take, ("generate", "sampling", "learning"))
            steps.append(now)
    return {"steps": [asdict(step) for step in steps], "loaded": loaded, "peak": memory()[1]}


class Game:
    """The same game by TRL's environment interface: public methods but `reset` and `get_reward` are tools."""

    def __init__(self, job: Job) -> None:
        from agentgym import dialects, registry

        self._job = job
        self._env = registry.make("keydoor-v0", rooms=job.rooms)
        self._tasks = {task.id: task for task in registry.tasks("keydoor-v0", "train", rooms=job.rooms)}
        self._dialect = dialects.get("plain")
        self._turns, self._score = 0, 0.0

    def reset(self, task: str, **_: Any) -> str:
        """Start a game; TRL puts the answer at the end of the last user message."""
        self._turns, self._score = 0, 0.0
        return self._env.reset(seed=0, options={"task": self._tasks[task]})[0].text

    def act(self, command: str) -> str:
        """Do something in the game.

        Args:
            command: what to do.
        """
        parsed = self._dialect.parse(command)
        self._turns += 1
        over = self._turns == self._job.turns
        if parsed.action is None:
            said = self._dialect.reply(parsed.fault or "no action")
        else:
            step = self._env.step(parsed.action)
            self._score += step.reward
            said, over = step.observation.text, over or step.terminated or step.truncated
        # An environment cannot tell TRL that it has ended: the model would go on answering. But a tool's answer that
        # is longer than the room that is left is taken back, and the rollout ends with the model's last answer.
        return " x" * CONTEXT if over else said

    def get_reward(self) -> float:
        """What the game came to."""
        return self._score


def trl_trainer(job: Job, folder: Path, **changed: Any) -> Any:
    """TRL's trainer, set to what the recipe says and to what makes it fast without vLLM."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    from agentgym import registry

    tokenizer: Any = AutoTokenizer.from_pretrained(job.model)
    tokenizer.pad_token, tokenizer.response_template = tokenizer.eos_token, PARSED
    prompts = {task.id: task.prompt for task in registry.tasks("keydoor-v0", "train", rooms=job.rooms)}
    ids = [name for step in job.order for name in step]
    opening = [[{"role": "system", "content": prompts[n]}, {"role": "user", "content": ""}] for n in ids]
    settings: dict[str, Any] = {
        "output_dir": str(folder / "trl"),
        "use_cpu": True,
        "bf16": False,
        "seed": job.seed,
        "max_steps": job.steps,
        "num_generations": job.group,
        "per_device_train_batch_size": job.batch,
        "gradient_accumulation_steps": job.tasks * job.group // job.batch,
        "shuffle_dataset": False,
        "max_completion_length": CONTEXT - 256,
        "generation_kwargs": {"max_new_tokens": job.answer, "use_cache": True},
        "temperature": 1.0,
        "beta": 0.0,
        "loss_type": "grpo",
        "scale_rewards": "group",
        "epsilon": 0.2,
        "epsilon_high": 0.28,
        "learning_rate": job.lr,
        "lr_scheduler_type": "constant",
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "gradient_checkpointing": job.checkpointing,
        "dataloader_pin_memory": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    return GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32),
        args=GRPOConfig(**settings | changed),
        train_dataset=Dataset.from_dict({"prompt": opening, "task": ids}),
        processing_class=tokenizer,
        environment_factory=lambda: Game(job),
    )


def trl(job: Job, folder: Path) -> Mapping[str, Any]:
    """TRL's loop, timed by wrapping its methods."""
    from transformers import TrainerCallback

    made = trl_trainer(job, folder)
    loaded, clock, steps = memory()[0], Clock(), list[Parts]()
    now, began, busy = Parts(), 0.0, 0.0
    generate, score, compute = made._generate, made._calculate_rewards, made.compute_loss

    def count(prompts: Any) -> Any:
        out = generate(prompts)
        now.tokens += sum(map(len, out[0])) + sum(map(len, out[1]))
        now.answered += sum(map(sum, out[2]))
        return out

    def scored(*args: Any) -> Any:
        rewards = score(*args)
        now.reward = float(rewards.mean())
        return rewards

    def positions(model: Any, inputs: Any, **kwargs: Any) -> Any:
        now.computed += sum(inputs[name].numel() for name in ("prompt_ids", "completion_ids"))
        return compute(model, inputs, **kwargs)

    class Times(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            nonlocal now, began, busy
            end, worked = time.perf_counter(), time.process_time()
            now.seconds, began, now.busy, busy = end - began, end, worked - busy, worked
            now.generate, now.sampling = clock.take("generate"), clock.take("sampling")
            now.learning = clock.take("training_step") - clock.take("prepare") + clock.take("optimizer")
            now.tasks = job.order[len(steps)]
            steps.append(now)
            now = Parts()

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            nonlocal began, busy
            began, busy = time.perf_counter(), time.process_time()

        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            self.stepping = time.perf_counter()

        def on_optimizer_step(self, *_: Any, **__: Any) -> None:
            clock.seconds["optimizer"] += time.perf_counter() - self.stepping

    made._generate = clock.timed("sampling", count)
    made._generate_single_turn = clock.timed("generate", made._generate_single_turn)
    made._calculate_rewards, made.compute_loss = scored, positions
    made.training_step = clock.timed("training_step", made.training_step)
    made._prepare_inputs = clock.timed("prepare", made._prepare_inputs)
    made.add_callback(Times())
    made.train()
    return {"steps": [asdict(step) for step in steps], "loaded": loaded, "peak": memory()[1]}


def read_job(path: str | Path) -> Job:
    said = json.loads(Path(path).read_text())
    return Job(**{**said, "order": tuple(map(tuple, said["order"]))})


def main() -> None:
    side, job = sys.argv[1], read_job(sys.argv[2])
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}
    import torch

    torch.set_num_threads(job.threads)
    out = Path(job.out)
    found = {"warm": warm, "ours": ours, "trl": trl}[side](job, out.parent / out.stem)
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
