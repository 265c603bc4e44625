"""What a policy is: requests in, completions out.

A policy never sees an environment, only what it said. `tokens` are present when the policy has a tokenizer: then they
are exactly what it must sample from, and `messages` is only for reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from agentgym.ledger import ChatTokenizer
from agentgym.types import Completion, Message, Observation


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens."""

    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    max_tokens: int = 64
    """Most new tokens in one turn."""
    stop: tuple[str, ...] = ()
    """Texts that end the turn, beside the end-of-turn token."""


@dataclass(frozen=True, slots=True)
class Request:
    """One turn to be answered."""

    trajectory: str
    """Id of the trajectory: what the policy may key a prefix cache by."""
    turn: int
    messages: tuple[Message, ...]
    """The conversation so far, the newest observation last."""
    observation: Observation
    """The newest observation (scripted policies read its admissible actions)."""
    seed: int
    """Seed of this turn's sampling: the answer depends on nothing else that is random."""
    sampling: Sampling
    tokens: tuple[int, ...] | None = None
    """The prompt as token ids, from the ledger; `None` for a text-only policy."""
    oracle: str | None = None
    """The environment's own next solving action, given only to policies with `wants_oracle`."""
    deadline: float | None = None
    """`time.monotonic()` value after which the answer is of no use."""


@runtime_checkable
class Policy(Protocol):
    """Answers batches of requests.

    Attributes:
        batching: `"batch"` policies compute many requests at once and are called with all that wait;
            `"each"` policies (servers, scripts) are called with one request as soon as there is one.
        max_batch: most requests in one call.
        tokenizer: how conversations become tokens, or `None` for a text-only policy.
        wants_oracle: whether requests should carry the oracle's action.
        version: version of the weights that answer now.
    """

    batching: Literal["each", "batch"]
    max_batch: int
    tokenizer: ChatTokenizer | None
    wants_oracle: bool
    version: int

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer each request, in order.

        Raises:
            PolicyError: it could not, after its own retries.
        """
        ...

    def forget(self, trajectory: str) -> None:
        """The trajectory is over: whatever is cached for it can go."""
        ...

    def close(self) -> None:
        """Free what is held; may be called twice."""
        ...
