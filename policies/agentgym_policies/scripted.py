"""Policies that need no model: the oracle, random play, a mix of both, and silence.

They make demonstrations, baselines and tests. All answer in a dialect's own words, so that what they say is what a
perfect model would write; given a `chat` tokenizer they also give token ids, which makes oracle play a supervised
training set.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Literal

import numpy as np

from agentgym import dialects
from agentgym.errors import UsageError
from agentgym.ledger import ChatTokenizer
from agentgym.policy import Request
from agentgym.seeding import generator
from agentgym.types import Completion


class Scripted:
    """What all scripted policies share. A subclass says which action it takes: `choose(request)`."""

    batching: Literal["each", "batch"] = "each"
    max_batch = 1
    wants_oracle = False
    version = 0

    def __init__(self, dialect: str = "plain", chat: ChatTokenizer | None = None) -> None:
        """Args: `dialect` the one that will read the answers; `chat` makes answers come with token ids."""
        self.tokenizer = chat
        self._dialect = dialects.get(dialect)

    def choose(self, request: Request) -> str | None:
        """The action to take; `None` to say nothing at all."""
        raise UsageError(f"{type(self).__name__} must define choose(request)")

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer each request at once.

        Raises:
            UsageError: an oracle is needed and the environment has none.
        """
        return [self._completion(self.choose(request), request) for request in requests]

    def _completion(self, action: str | None, request: Request) -> Completion:
        text = "" if action is None else self._dialect.render(action)
        return spoken(text, request, self.tokenizer)

    def forget(self, trajectory: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""


class Oracle(Scripted):
    """Takes the environment's own next solving action."""

    wants_oracle = True

    def choose(self, request: Request) -> str | None:
        """The oracle's action; nothing where the state has no solution any more."""
        if request.oracle is None and request.turn == 0:
            raise UsageError(f"{request.trajectory}: the environment gives no oracle action, so nothing can follow it")
        return request.oracle


class Random(Scripted):
    """Takes a uniformly random admissible action, or says random words where none are listed."""

    def choose(self, request: Request) -> str | None:
        """The action, a function of the request's seed alone."""
        return random_action(request, generator(request.seed))


class NoisyOracle(Oracle):
    """Follows the oracle, but takes a random action with probability `epsilon`, and where the oracle is silent."""

    def __init__(self, epsilon: float = 0.3, dialect: str = "plain", chat: ChatTokenizer | None = None) -> None:
        """Args: `epsilon` in [0, 1]; the rest as `Scripted`."""
        if not 0 <= epsilon <= 1:
            raise UsageError(f"epsilon must be between 0 and 1, not {epsilon}")
        super().__init__(dialect, chat)
        self.epsilon = epsilon

    def choose(self, request: Request) -> str | None:
        """The action, a function of the request's seed and oracle alone."""
        rng = generator(request.seed)
        if rng.random() < self.epsilon or request.oracle is None:
            return random_action(request, rng)
        return request.oracle


class Empty(Scripted):
    """Says nothing, every turn: the floor under every score."""

    def choose(self, request: Request) -> str | None:
        """Nothing."""
        return None


def random_action(request: Request, rng: np.random.Generator) -> str:
    """One of the admissible actions, or one to four random words."""
    actions = request.observation.actions
    if actions:
        return actions[int(rng.integers(len(actions)))]
    letters = np.array(list(string.ascii_lowercase))
    words = ["".join(rng.choice(letters, size=int(rng.integers(1, 8)))) for _ in range(int(rng.integers(1, 5)))]
    return " ".join(words)


def spoken(text: str, request: Request, chat: ChatTokenizer | None) -> Completion:
    """`text` as a completion; with token ids that end the turn, and log-probabilities of 0, if there is a tokenizer."""
    if chat is None:
        return Completion(text)
    tokens = (*chat.encode(text), end_id(chat))
    return Completion(text, tokens, (0.0,) * len(tokens), prompt_tokens=len(request.tokens or ()))


def end_id(chat: ChatTokenizer) -> int:
    """The token that ends an assistant's turn in the chat template."""
    after = chat.glue(("user", "assistant", "user"))[2]
    return next((i for i in after if i in chat.end_ids), min(chat.end_ids))
