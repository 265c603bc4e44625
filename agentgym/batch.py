"""From trajectories to packed batches: whole sequences end to end, without one token of padding.

Multi-turn trajectories differ tenfold in length, so a right-padded batch computes mostly padding. Here sequences are
laid end to end in packs of at most a token budget; attention is kept inside each (`agentgym.attention`), positions
restart at zero, and logits are computed only where the model itself wrote a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.errors import UsageError
from agentgym.types import Sample, Trajectory


@dataclass(frozen=True, eq=False)
class TrainSequence:
    """One token sequence of length L with what is to be learnt from it."""

    tokens: NDArray[np.int64]
    """`[L]` ids, exactly as the sampler saw and wrote them."""
    action: NDArray[np.bool_]
    """`[L]` whether the model wrote the token; never the first one, which nothing predicts."""
    advantage: NDArray[np.float32]
    """`[L]` credit of the token's turn; read at action tokens only."""
    logprob: NDArray[np.float32]
    """`[L]` log-probability under the sampler, at action tokens."""
    turn: NDArray[np.int64]
    """`[L]` turn index of action tokens, -1 elsewhere."""

    def __post_init__(self) -> None:
        shapes = {name: np.shape(getattr(self, name)) for name in ("tokens", "action", "advantage", "logprob", "turn")}
        if len(set(shapes.values())) != 1 or len(shapes["tokens"]) != 1:
            raise UsageError(f"a training sequence needs columns of one shape [L]; got {shapes}")
        if len(self.tokens) and self.action[0]:
            raise UsageError("the first token of a training sequence is marked as action, but nothing predicts it")
        wrong = self.action & ~(np.isfinite(self.advantage) & np.isfinite(self.logprob))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise UsageError(
                f"action token {at} (turn {self.turn[at]}) has advantage {self.advantage[at]} and "
                f"log-probability {self.logprob[at]}: both must be finite"
            )

    @property
    def length(self) -> int:
        """Tokens that have to be computed: all before the last action token (it and what follows predict nothing)."""
        at = np.flatnonzero(self.action)
        return int(at[-1]) if len(at) else 0

    @classmethod
    def from_sample(cls, sample: Sample, advantages: Sequence[float] | NDArray[Any]) -> TrainSequence:
        """A sample of the token ledger with one advantage per turn of its trajectory.

        Raises:
            UsageError: a turn of the sample has no advantage, or one that is not finite.
        """
        turn = np.asarray(sample.turn, dtype=np.int64)
        per_turn = np.asarray(advantages, dtype=np.float32)
        if len(turn) and turn.max(initial=-1) >= len(per_turn):
            raise UsageError(
                f"the sample has turn {turn.max()}, but there are advantages for {len(per_turn)} turns only"
            )
        action = turn >= 0
        advantage = np.zeros(len(turn), dtype=np.float32)
        advantage[action] = per_turn[turn[action]]
        return cls(
            tokens=np.asarray(sample.tokens, dtype=np.int64),
            action=action,
            advantage=advantage,
            logprob=np.asarray(sample.logprobs, dtype=np.float32),
            turn=turn,
        )


def sequences(trajectory: Trajectory, advantages: Sequence[float] | NDArray[Any]) -> list[TrainSequence]:
    """The training sequences of a trajectory, one a ledger sample, given the advantage of each of its turns.

    Raises:
        UsageError: the trajectory met an infra error (never trained on), or has no tokens, or a turn no advantage.
    """
    if not trajectory.trainable:
        raise UsageError(f"trajectory {trajectory.id!r} ended in {trajectory.ending}: it must not be trained on")
    if not trajectory.samples:
        raise UsageError(f"trajectory {trajectory.id!r} has no tokens: it was played by a policy without a tokenizer")
    return [TrainSequence.from_sample(sample, advantages) for sample in trajectory.samples]


def demonstrations(trajectories: Iterable[Trajectory]) -> list[TrainSequence]:
    """Training sequences for supervised learning: every turn counts 1."""
    return [q for t in trajectories for q in sequences(t, [1.0] * len(t.turns))]


@dataclass(frozen=True, eq=False)
class Packed:
    """Whole sequences end to end: T input tokens, A action tokens to be predicted."""

    tokens: Tensor
    """`[T]` int64."""
    positions: Tensor
    """`[T]` int64, restarting at 0 with each sequence."""
    lengths: tuple[int, ...]
    """Input length of each sequence; they add up to T."""
    select: Tensor
    """`[A]` int64: which of the T hidden states predicts the action token."""
    target: Tensor
    """`[A]` int64: the action token."""
    advantage: Tensor
    """`[A]` float32."""
    logprob: Tensor
    """`[A]` float32, under the sampler."""
    sequence: Tensor
    """`[A]` int64: index of the sequence in the list that was packed."""
    turn: Tensor
    """`[A]` int64."""

    @property
    def unit(self) -> Tensor:
        """`[A]` int64: a number for each (sequence, turn)."""
        return self.sequence * (int(self.turn.max()) + 1) + self.turn if len(self.turn) else self.turn

    @cached_property
    def turns(self) -> int:
        """How many different (sequence, turn) are in the pack; a sequence is never split, so packs add up."""
        return len(torch.unique(self.unit))

    def to(self, device: torch.device | str) -> Packed:
        """The same pack on another device."""
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.__dict__.items() if k != "turns"}
        return Packed(**moved)


def pack(batch: Sequence[TrainSequence], token_budget: int) -> list[Packed]:
    """Lay sequences end to end into as few packs of at most `token_budget` tokens as first-fit-decreasing finds.

    Whole sequences only: one that is longer than the budget has a pack of its own. What comes after a sequence's last
    action token is left out, and so is a sequence without action tokens: no gradient flows there. The result depends
    on nothing but the arguments.

    Raises:
        UsageError: the budget is not positive.
    """
    if token_budget < 1:
        raise UsageError(f"token_budget must be at least 1, got {token_budget}")
    lengths = [q.length for q in batch]
    bins: list[list[int]] = []
    room: list[int] = []
    for index in sorted((i for i in range(len(batch)) if lengths[i]), key=lambda i: (-lengths[i], i)):
        fits = next((b for b, free in enumerate(room) if free >= lengths[index]), None)
        if fits is None:
            bins.append([])
            room.append(token_budget)
            fits = len(bins) - 1
        bins[fits].append(index)
        room[fits] -= lengths[index]
    return [_lay([(i, batch[i], lengths[i]) for i in sorted(members)]) for members in bins]


def _lay(members: Sequence[tuple[int, TrainSequence, int]]) -> Packed:
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in Packed.__dataclass_fields__ if name != "lengths"}
    start = 0
    for index, q, length in members:
        at = np.flatnonzero(q.action)
        columns["tokens"].append(q.tokens[:length])
        columns["positions"].append(np.arange(length))
        columns["select"].append(start + at - 1)
        columns["target"].append(q.tokens[at])
        columns["advantage"].append(q.advantage[at])
        columns["logprob"].append(q.logprob[at])
        columns["sequence"].append(np.full(len(at), index))
        columns["turn"].append(q.turn[at])
        start += length
    tensors = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in columns.items()}
    return Packed(lengths=tuple(length for _, _, length in members), **tensors)
