"""A trajectory as if it had been played under another prompt: the same observations and the same sampled tokens."""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from agentgym import dialects
from agentgym.errors import CreditError
from agentgym.ledger import CONTEXT, ChatTokenizer, Ledger
from agentgym.types import Completion, Message, Sample, Task, Trajectory, Turn

if TYPE_CHECKING:
    from agentgym.models import Loaded


def opening(task: Task, system: str, dialect: str) -> tuple[Message, ...]:
    """The system message of an episode, as the rollout engine composes it; none where there is nothing to say.

    Args:
        task: whose prompt it has.
        system: the recipe's text before it.
        dialect: name of the dialect whose instructions come after it.
    """
    parts = [part for part in (system, task.prompt, dialects.get(dialect).instructions) if part]
    return (Message("system", "\n\n".join(parts)),) if parts else ()


def samples_under(trajectory: Trajectory, head: Sequence[Message], chat: ChatTokenizer) -> tuple[Sample, ...]:
    """The trajectory's training samples, had its conversation begun with `head`.

    Observations are encoded anew, which gives the same ids as when they were played; what the model wrote is taken as
    it was sampled, ids and log-probabilities.

    Raises:
        CreditError: a turn has no sampled tokens.
    """
    ledger: Ledger | None = None
    for number, (turn, ledger) in enumerate(_observed(trajectory, head, chat)):
        if turn.completion.tokens is None:
            raise CreditError(f"trajectory {trajectory.id!r}, turn {number}: played by a policy without a tokenizer")
        ledger.act(turn.completion)
    return () if ledger is None else ledger.samples()


def demonstrated(trajectory: Trajectory, head: Sequence[Message], chat: ChatTokenizer, dialect: str) -> Trajectory:
    """An attempt that somebody else made, as a lesson: with samples in which each good turn is said in a dialect.

    Turns with a fault are in the conversation and are not learnt.

    Args:
        trajectory: the attempt, by a person or any policy.
        head: what the conversation begins with.
        chat: tokenizer of the model that learns.
        dialect: name of the one that it speaks: what was said in another is said anew.
    """
    form = dialects.get(dialect)
    ledger: Ledger | None = None
    faulty: set[int] = set()
    turns: list[Turn] = []
    for number, (turn, ledger) in enumerate(_observed(trajectory, head, chat)):
        text = turn.completion.text
        if turn.action is not None and form.parse(text).action != turn.action:
            text = form.render(turn.action)
        if turn.action is None or turn.info.get("fault"):
            faulty.add(number)
        ledger.demonstrate(text)
        turns.append(replace(turn, completion=Completion(text)))
    samples = () if ledger is None else ledger.samples()
    kept = tuple(replace(s, turn=tuple(CONTEXT if t in faulty else t for t in s.turn)) for s in samples)
    return replace(trajectory, turns=tuple(turns), samples=kept)


def _observed(trajectory: Trajectory, head: Sequence[Message], chat: ChatTokenizer) -> Iterator[tuple[Turn, Ledger]]:
    """Each turn with the ledger of the conversation up to its observation; whoever asks adds what the model said."""
    ledger: Ledger | None = None
    for turn in trajectory.turns:
        seen = Message(turn.observation.role, turn.observation.text)
        if ledger is None:
            ledger = Ledger(chat, (*head, seen))
        else:
            ledger.observe((seen,))
        yield turn, ledger


def written(samples: Sequence[Sample]) -> list[list[int]]:
    """The ids that the model wrote, turn after turn, over all samples: what must be the same under any prompt."""
    by_turn: dict[int, list[int]] = {}
    for sample in samples:
        for token, turn in zip(sample.tokens, sample.turn, strict=True):
            if turn != CONTEXT:
                by_turn.setdefault(turn, []).append(token)
    return [by_turn[turn] for turn in sorted(by_turn)]


def recomputed(trajectory: Trajectory, loaded: Loaded, token_budget: int) -> Trajectory:
    """The trajectory with the log-probabilities that the model, as it is now, gives its tokens.

    One packed forward pass; samples and turns both get the new values.

    Args:
        trajectory: with samples of the prompt that counts.
        loaded: the model.
        token_budget: most tokens of a pack.
    """
    import torch

    from agentgym.attention import hidden_states
    from agentgym.batch import TrainSequence, pack
    from agentgym.head import token_logprobs

    flat = [0.0] * len(trajectory.turns)
    batch = [TrainSequence.from_sample(sample, flat) for sample in trajectory.samples]
    logprobs = [np.array(sample.logprobs) for sample in trajectory.samples]
    device = next(loaded.model.parameters()).device
    for p in pack(batch, token_budget):
        p = p.to(device)
        with torch.no_grad():
            hidden = hidden_states(loaded.model, p.tokens, p.positions, p.segments)
            values = token_logprobs(loaded.model, hidden[p.select], p.target)[0].double().cpu().numpy()
        which = p.sequence.cpu().numpy()
        for index in np.unique(which):  # Within a sequence a pack has the action tokens in order.
            logprobs[index][batch[index].action] = values[which == index]
    samples = tuple(
        replace(sample, logprobs=tuple(values.tolist()))
        for sample, values in zip(trajectory.samples, logprobs, strict=True)
    )
    by_turn: list[list[float]] = [[] for _ in trajectory.turns]
    for sample in samples:
        for turn, value in zip(sample.turn, sample.logprobs, strict=True):
            if turn != CONTEXT:
                by_turn[turn].append(value)
    turns = tuple(
        replace(turn, completion=replace(turn.completion, logprobs=tuple(values)))
        for turn, values in zip(trajectory.turns, by_turn, strict=True)
    )
    return replace(trajectory, samples=samples, turns=turns)
