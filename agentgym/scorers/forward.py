"""Forward passes for scorers: many questions about many token sequences, answered in as few packed passes as fit.

Sequences that begin alike (a group's prompt, the turns of one attempt, probes that hang on its prefixes) are computed
once, by the packing that training uses: each looks at its own prefix only. Nothing is generated, nothing is trained.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.attention import hidden_states
from agentgym.batch import Packed, TrainSequence, pack
from agentgym.credit.table import TurnTable
from agentgym.errors import CreditError
from agentgym.head import token_logprobs
from agentgym.scorers.places import Query, state_queries
from agentgym.types import Trajectory

Float = NDArray[np.float64]


def packs_of(queries: Sequence[Query], token_budget: int, weights: Float | None = None) -> list[Packed]:
    """Queries as packs; an answer's row stands in the pack's column `turn`.

    Args:
        queries: what to ask; those that ask nothing are left out.
        token_budget: most tokens of a pack, shared beginnings counted once.
        weights: `[rows]`, put into the pack's column `advantage`; 0 if not given.
    """
    made: list[TrainSequence] = []
    for query in queries:
        if len(query.at):
            action, turn = np.zeros(len(query.tokens), dtype=np.bool_), np.full(len(query.tokens), -1)
            action[query.at], turn[query.at] = True, query.row
            advantage = np.zeros(len(query.tokens), dtype=np.float32)
            if weights is not None:
                advantage[query.at] = weights[query.row]
            made.append(TrainSequence(query.tokens, action, advantage, np.zeros_like(advantage), turn))
    return pack(made, token_budget)


class Forward:
    """Asks one model, with gradients off, on the device where it is."""

    def __init__(self, model: Any, token_budget: int) -> None:
        """`model` is a transformers causal language model; at most `token_budget` tokens go in one pass."""
        self.model, self.token_budget = model, token_budget

    def logprobs(self, queries: Sequence[Query], rows: int) -> Float:
        """Log-probability of the asked tokens, in nats, summed by row `[rows]`; 0 where nothing was asked.

        Raises:
            CreditError: the model's answer is not a finite number.
        """
        return self._token_sums(queries, rows, 0)

    def entropies(self, queries: Sequence[Query], rows: int) -> Float:
        """Entropy of the distributions that the asked tokens were drawn from, in nats, summed by row `[rows]`.

        Raises:
            CreditError: the model's answer is not a finite number.
        """
        return self._token_sums(queries, rows, 1)

    def states(self, queries: Sequence[Query], rows: int) -> NDArray[np.float32]:
        """Last hidden state before each asked token `[rows, d]`; one question a row.

        Raises:
            CreditError: a state is not finite.
        """
        found = np.zeros((rows, int(self.model.config.hidden_size)), dtype=np.float32)
        with torch.no_grad():
            for p, hidden in self._passes(queries):
                found[p.turn.cpu().numpy()] = hidden.to(torch.float32).cpu().numpy()
        _refuse(found, "hidden states")
        return found

    def _token_sums(self, queries: Sequence[Query], rows: int, which: int) -> Float:
        sums = np.zeros(rows)
        with torch.no_grad():
            for p, hidden in self._passes(queries):
                values = token_logprobs(self.model, hidden, p.target)[which].to(torch.float64).cpu().numpy()
                sums += np.bincount(p.turn.cpu().numpy(), weights=values, minlength=rows)
        _refuse(sums, ("log-probabilities", "entropies")[which])
        return sums

    def _passes(self, queries: Sequence[Query]) -> Iterator[tuple[Packed, Tensor]]:
        """Each pack, and the states `[A, d]` before its asked tokens."""
        device = next(self.model.parameters()).device
        for p in packs_of(queries, self.token_budget):
            moved = p.to(device)
            yield moved, hidden_states(self.model, moved.tokens, moved.positions, moved.segments)[moved.select]


class TurnStates:
    """One hidden state for each turn of a table, computed once for scoring and for the learning that follows it."""

    def __init__(self, forward: Forward, end: bool) -> None:
        """`end`: the state at the last token of a turn's action, else the one at the last token before the action."""
        self.forward, self.end = forward, end
        self._of: list[Trajectory] = []
        self._states = np.zeros((0, 0), dtype=np.float32)

    def __call__(self, played: Sequence[Trajectory], table: TurnTable) -> NDArray[np.float32]:
        """States `[n, d]`, float32; those of the last call where it was about the very same trajectories.

        Raises:
            CreditError: a turn without tokens, or a state that is not finite.
        """
        asked = [played[i] for i in table["trajectory"][table.trajectories.first].tolist()]
        same = len(asked) == len(self._of) and all(a is b for a, b in zip(asked, self._of, strict=True))
        if not (same and asked):
            self._states = self.forward.states(state_queries(played, table, self.end), len(table))
            self._of = asked
        return self._states


def _refuse(values: NDArray[Any], what: str) -> None:
    if not np.isfinite(values).all():
        raise CreditError(f"the model's {what} are not finite: its weights are broken, or its precision is too low")
