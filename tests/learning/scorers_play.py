"""Small real models and trajectories with real token ledgers, for the tests of the scorers that ask a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from agentgym import models
from agentgym.ledger import Ledger
from agentgym.models import Loaded
from agentgym.scorers import ScorerContext
from agentgym.types import Completion, Ending, Message, Observation, Sample, Task, Trajectory, Turn

REF = "scratch:tiny?hidden=32&layers=2&heads=4"


@cache
def shared_model() -> Loaded:
    """For tests that change nothing of it."""
    return load()


def load(seed: int = 1, dtype: str = "float32") -> Loaded:
    return models.load(REF, dtype=dtype, device="cpu", seed=seed)


def context(loaded: Loaded | None, answers: dict[str, Any] | None = None, **more: Any) -> ScorerContext:
    def task(name: str) -> Task:
        data = {} if answers is None or name not in answers else {"answer": answers[name]}
        return Task(name, data=data)

    return ScorerContext(task, loaded, **more)


def play(
    loaded: Loaded,
    seed: int,
    turns: Sequence[int],
    group: int = 2,
    cut: bool = False,
    scores: Sequence[float] | None = None,
) -> list[Trajectory]:
    """One trajectory for each number of turns; neighbours in groups share task and prompt.

    Answers are random ids, sometimes with an end of turn. With `cut` every second trajectory's ledger is in two
    samples, the second beginning with a system message of its own, as if the template had rewritten history.
    """
    rng = np.random.default_rng(seed)
    prompts = ["".join(chr(97 + int(c)) for c in rng.integers(0, 26, 30)) for _ in turns]
    made: list[Trajectory] = []
    for i, count in enumerate(turns):
        prompt = prompts[i // group]
        opening = [Message("system", "play"), Message("user", prompt)]
        ledger, samples, done = Ledger(loaded.chat, opening), list[Sample](), list[Turn]()
        for t in range(count):
            ids = [int(n) for n in rng.integers(0, 256, int(rng.integers(1, 6)))]
            if rng.random() < 0.7:
                ids.append(min(loaded.chat.end_ids))
            logprobs = tuple(-float(x) for x in rng.random(len(ids)))
            completion = Completion("x", tuple(ids), logprobs)
            ledger.act(completion)
            seen = "".join(chr(97 + int(c)) for c in rng.integers(0, 26, int(rng.integers(1, 20))))
            done.append(Turn(Observation(seen), completion, "x"))
            if t + 1 < count:
                ledger.observe([Message("user", seen)])
                if cut and i % 2 and t == count // 2:
                    samples = list(ledger.samples())
                    ledger = Shifted(loaded, [*opening, Message("user", seen)], t + 1)  # type: ignore[assignment]
        score = float(rng.random() < 0.5) if scores is None else scores[i]
        samples += ledger.samples()
        done[-1] = replace(done[-1], reward=score)
        made.append(
            Trajectory(
                f"t{i}", "e", f"task{i // group}", f"g{i // group}", i % group, 0, tuple(done), Ending.FAILURE,
                score=score, success=score > 0, samples=tuple(samples),
            )
        )  # fmt: skip
    return made


class Shifted:
    """A ledger that begins at a later turn."""

    def __init__(self, loaded: Loaded, messages: list[Message], turn: int) -> None:
        self.ledger, self.turn = Ledger(loaded.chat, messages), turn

    def act(self, completion: Completion) -> None:
        self.ledger.act(completion)

    def observe(self, messages: Sequence[Message]) -> None:
        self.ledger.observe(messages)

    def samples(self) -> list[Sample]:
        found = self.ledger.samples()
        return [replace(s, turn=tuple(t + self.turn if t >= 0 else t for t in s.turn)) for s in found]


def plain_pass(model: Any, tokens: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities `[L, V]` of what follows each token, and last hidden states `[L, d]`, the model's own way."""
    with torch.no_grad():
        out = model(input_ids=torch.tensor([list(tokens)]), output_hidden_states=True, use_cache=False)
    return torch.log_softmax(out.logits[0].double(), -1), out.hidden_states[-1][0]


def action_of(trajectory: Trajectory, turn: int) -> tuple[Sample, int, int]:
    """The sample that has a turn's action, where it begins, and where it ends."""
    (sample,) = [s for s in trajectory.samples if turn in s.turn]
    return sample, sample.turn.index(turn), len(sample.turn) - sample.turn[::-1].index(turn)
