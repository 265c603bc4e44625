"""Cabinets drawn from a seed: the chain, its word, and cards that lead astray."""

from __future__ import annotations

from agentgym.errors import UsageError
from agentgym.seeding import derive, generator
from agentgym.tasks import TaskSet
from agentgym.types import Task

WORDS = ("bim", "dol", "fen", "gax", "hup", "jor", "kel", "lum", "nit", "pov", "ruz", "wex")
SIZES = {"train": 400, "heldout": 100}


def tasks(split: str, drawers: int = 5, hops: int = 2) -> TaskSet:
    """Tasks of a split; the same index gives the same cabinet on every machine.

    Args:
        split: `train` or `heldout`.
        drawers: how many there are, 2 to 12.
        hops: how many of them the chain goes through.

    Raises:
        UsageError: an unknown split, or numbers that do not fit.
    """
    if not 2 <= drawers <= 12 or not 1 <= hops <= drawers:
        raise UsageError(f"cabinet needs 2 to 12 drawers and 1 to `drawers` hops, not {drawers} and {hops}")
    return TaskSet(split, SIZES.get(split, 0), lambda index: _task(split, index, drawers, hops))


def _task(split: str, index: int, drawers: int, hops: int) -> Task:
    rng = generator(0, "cabinet", split, index, drawers, hops)
    letters = "abcdefghijkl"[:drawers]
    order = [letters[int(i)] for i in rng.permutation(drawers)]
    words = [WORDS[int(i)] for i in rng.permutation(len(WORDS))]
    chain = order[:hops]
    cards = {letter: after for letter, after in zip(chain, [*chain[1:], words[0]], strict=True)}
    for n, letter in enumerate(order[hops:]):  # Astray: to another drawer, or to a word that is wrong.
        others = [other for other in letters if other != letter]
        cards[letter] = others[int(rng.integers(len(others)))] if rng.random() < 0.5 else words[1 + n % 11]
    calls = [{"name": "open", "arguments": {"drawer": letter}} for letter in chain]
    return Task(
        id=f"cabinet-{drawers}-{hops}-{split}-{index}",
        prompt="say open X or answer WORD.",
        data={
            "cards": {letter: cards[letter] for letter in letters},
            "chain": "".join(chain),
            "answer": words[0],
            "rubric": [f"the card in drawer {letter} says {cards[letter]}" for letter in chain],
            "calls": [*calls, {"name": "answer", "arguments": {"word": words[0]}}],
        },
        split=split,
        seed=derive(0, "cabinet-task", split, index),
    )
