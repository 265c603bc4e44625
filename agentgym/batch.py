"""From trajectories to packed batches: whole sequences end to end, without one token of padding.

Multi-turn trajectories differ tenfold in length, so a right-padded batch computes mostly padding. Here sequences are
laid end to end in packs of at most a token budget; attention is kept inside each (`agentgym.attention`), positions
restart at zero, and logits are computed only where the model itself wrote a token.
"""

# torch and safetensors are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.attention import Segment
from agentgym.errors import UsageError
from agentgym.types import Sample, Trajectory

SHARE_FROM = 16
"""Common beginnings shorter than this are not shared: the saving would be less than the bookkeeping."""
PACK_COST = 128
"""A pack more costs about as much as so many tokens: its gradients are added to the float32 masters'."""
_COLUMNS = ("tokens", "positions", "select", "target", "advantage", "logprob", "sequence", "turn")


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
    """Whole sequences laid end to end: T input tokens, A action tokens to be predicted.

    What sequences have in common at their beginning (system prompt, a group's first observation, equal play) stands
    there once; a later sequence's segment names it as its context.
    """

    tokens: Tensor
    """`[T]` int64."""
    positions: Tensor
    """`[T]` int64, of each token in its sequence."""
    segments: tuple[Segment, ...]
    """They cover the T tokens, each once: what attention may look at."""
    lengths: tuple[int, ...]
    """Input length of each sequence; they add up to T, or to more where beginnings are shared."""
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

    @property
    def turns(self) -> int:
        """How many different (sequence, turn) are in the pack; a sequence is never split, so packs add up."""
        return len(torch.unique(self.unit))

    def to(self, device: torch.device | str) -> Packed:
        """The same pack on another device."""
        moved = {name: getattr(self, name).to(device) for name in _COLUMNS}
        return Packed(segments=self.segments, lengths=self.lengths, **moved)


def pack(batch: Sequence[TrainSequence], token_budget: int, share: bool = True) -> list[Packed]:
    """Lay sequences end to end into packs of at most `token_budget` tokens.

    Whole sequences only: one that is longer than the budget has a pack of its own. What comes after a sequence's last
    action token is left out, and so is a sequence without action tokens: no gradient flows there. Sequences are laid
    in the order of their tokens, so that those with a common beginning are neighbours and it is computed once; loss
    and gradients are the same as without sharing. One pack ends and the next begins where the least is computed
    again, between groups rather than inside them. The result depends on nothing but the arguments.

    Args:
        batch: what to pack.
        token_budget: most tokens of a pack, after sharing.
        share: whether to compute common beginnings once.

    Raises:
        UsageError: the budget is not positive.
    """
    if token_budget < 1:
        raise UsageError(f"token_budget must be at least 1, got {token_budget}")
    kept = [(i, q) for i, q in enumerate(batch) if q.length]
    common = [0] * len(kept)
    if share:
        # Big-endian bytes compare as the numbers do, and a hundred times faster than lists.
        keys = {i: q.tokens[: q.length].astype(">u8").tobytes() for i, q in kept}
        kept.sort(key=lambda entry: (keys[entry[0]], entry[0]))
        common[1:] = [_common(a, b) for (_, a), (_, b) in pairwise(kept)]
    starts = _starts([q.length for _, q in kept], common, token_budget)
    packs: list[Packed] = []
    for first, last in pairwise([*starts, len(kept)]):
        layout = _Layout()
        for k in range(first, last):
            layout.add(*kept[k], common[k] if k > first else 0)
        packs.append(layout.finish())
    return packs


def _common(a: TrainSequence, b: TrainSequence) -> int:
    """How many input tokens two sequences begin with in common; 0 if too few to be worth a context."""
    both = min(a.length, b.length)
    differ = np.flatnonzero(a.tokens[:both] != b.tokens[:both])
    same = int(differ[0]) if len(differ) else both
    return same if same >= SHARE_FROM else 0


def _starts(lengths: Sequence[int], common: Sequence[int], budget: int) -> list[int]:
    """Which sequences begin a pack, so that tokens computed plus `PACK_COST` a pack are as few as can be.

    With F the running sum of what each adds to the one before it, a pack of sequences i to j - 1 has
    `common[i] + F[j] - F[i]` tokens. The best way to lay the first j is the best over i of the first i and such a
    pack; what fits is a window that moves with j, and its least element a deque: linear time.

    Args:
        lengths: tokens of each sequence, in order.
        common: tokens that each shares with the one before it.
        budget: most tokens of a pack of more than one sequence.

    >>> _starts([50, 40, 40, 50, 40], [0, 30, 30, 0, 30], budget=100)
    [0, 3]
    """
    before = [0, *accumulate(n - c for n, c in zip(lengths, common, strict=True))]
    best, came = [0], [0]
    window: deque[tuple[int, int]] = deque()
    for stop in range(1, len(lengths) + 1):
        newest = stop - 1
        value = best[newest] + common[newest] - before[newest]
        while window and window[-1][0] > value:
            window.pop()
        window.append((value, newest))
        while window[0][1] < newest and common[window[0][1]] - before[window[0][1]] + before[stop] > budget:
            window.popleft()
        value, start = window[0]
        best.append(value + before[stop] + PACK_COST)
        came.append(start)
    starts: list[int] = []
    at = len(lengths)
    while at:
        at = came[at]
        starts.append(at)
    return starts[::-1]


class _Layout:
    """A pack in the making."""

    def __init__(self) -> None:
        self.size = 0
        self.segments: list[Segment] = []
        self.lengths: list[int] = []
        self.columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _COLUMNS}
        self.places = np.empty(0, dtype=np.int64)
        """Where the input tokens of the sequence before stand in the pack."""

    def add(self, index: int, q: TrainSequence, shared: int) -> None:
        """Lay one sequence, which has `shared` tokens in common with the one before; at least one is an action."""
        at, fresh = np.flatnonzero(q.action), q.length - shared
        if fresh and shared and self.places[shared - 1] == self.size - 1:
            # It goes on where the pack ends: one longer segment is one matrix product where two would be many small.
            self.segments[-1] = self.segments[-1]._replace(stop=self.size + fresh)
        elif fresh:
            self.segments.append(Segment(self.size, self.size + fresh, _spans(self.places[:shared])))
        self.places = np.concatenate([self.places[:shared], np.arange(self.size, self.size + fresh)])
        self.size += fresh
        self.lengths.append(q.length)
        row = (
            q.tokens[shared : q.length],
            np.arange(shared, q.length),
            self.places[at - 1],
            q.tokens[at],
            q.advantage[at],
            q.logprob[at],
            np.full(len(at), index),
            q.turn[at],
        )
        for name, values in zip(_COLUMNS, row, strict=True):
            self.columns[name].append(values)

    def finish(self) -> Packed:
        """The pack."""
        tensors = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in self.columns.items()}
        return Packed(segments=tuple(self.segments), lengths=tuple(self.lengths), **tensors)


def _spans(places: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Ascending places as spans of consecutive ones.

    >>> _spans(np.array([0, 1, 2, 7, 8]))
    ((0, 3), (7, 9))
    """
    if not len(places):
        return ()
    cuts = np.flatnonzero(np.diff(places) != 1) + 1
    return tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(places, cuts))
