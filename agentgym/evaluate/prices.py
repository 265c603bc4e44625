"""What an evaluation costs: a table of prices, and the tokens that were used.

No price ships with the suite: prices change, and a wrong one is worse than none. The table is the user's own TOML file,
in dollars per million tokens:

    [models."my-model"]
    input = 0.40
    cached = 0.10
    output = 1.60
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pydantic

from agentgym import config
from agentgym.errors import UnknownNameError
from agentgym.evaluate.turns import written
from agentgym.types import Trajectory, Turn

CHARACTERS = 4
"""Characters that count as one token where nobody counted tokens."""
MILLION = 1_000_000


class Price(config.Config):
    """Dollars per million tokens of one model."""

    input: float = pydantic.Field(ge=0)
    """Of the prompt."""
    output: float = pydantic.Field(ge=0)
    """Of what the model writes."""
    cached: float | None = pydantic.Field(default=None, ge=0)
    """Of the part of the prompt that was cached; as `input` if not given."""


class PriceTable(config.Config):
    """Prices by the name of the model."""

    models: dict[str, Price]

    def of(self, model: str, where: str) -> Price:
        """The price of a model; `where` is the file that the message names.

        Raises:
            UnknownNameError: the table has no such model; names the nearest.
        """
        if model not in self.models:
            raise UnknownNameError(f"model in the price table {where}:", model, self.models)
        return self.models[model]


def load_prices(path: str | Path) -> PriceTable:
    """A table of prices from a TOML file.

    Raises:
        ConfigError: the file is missing or no such table; names the key.
    """
    return config.load(PriceTable, path)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were used."""

    calls: int = 0
    input: int = 0
    """Of prompts, the cached ones included."""
    cached: int = 0
    output: int = 0
    estimated: int = 0
    """Calls for which nobody counted all tokens: those are taken from the length of the text."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.input + other.input,
            self.cached + other.cached,
            self.output + other.output,
            self.estimated + other.estimated,
        )

    @property
    def tokens(self) -> int:
        """All tokens, read and written."""
        return self.input + self.output

    def cost(self, price: Price) -> float:
        """Dollars.

        >>> Usage(1, input=1000, cached=400, output=100).cost(Price(input=1.0, cached=0.5, output=10.0))
        0.0018
        """
        cached = price.input if price.cached is None else price.cached
        fresh = (self.input - self.cached) * price.input
        return (fresh + self.cached * cached + self.output * price.output) / MILLION


def usage_of_turn(turn: Turn, before: int = 0) -> Usage:
    """What one turn used.

    Args:
        turn: the turn.
        before: characters of the conversation before the turn's observation, for prompts that nobody counted.
    """
    completion = turn.completion
    output, read = written(turn), completion.prompt_tokens
    guessed = output is None or not read
    return Usage(
        calls=1,
        input=read or -(-(before + len(turn.observation.text)) // CHARACTERS),
        cached=min(completion.cached_tokens, read),
        output=-(-len(completion.text) // CHARACTERS) if output is None else output,
        estimated=int(guessed),
    )


def usage_of(played: Iterable[Trajectory]) -> Usage:
    """What trajectories used. Tries that broke and were played again are not on record, and so not counted."""
    total = Usage()
    for trajectory in played:
        before = 0
        for turn in trajectory.turns:
            total += usage_of_turn(turn, before)
            before += len(turn.observation.text) + len(turn.completion.text)
    return total


def dollars(amount: float) -> str:
    """Money as a person reads it.

    >>> dollars(12.3456), dollars(0.00123), dollars(0.0)
    ('$12.35', '$0.0012', '$0.00')
    """
    return f"${amount:.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.2g}"
