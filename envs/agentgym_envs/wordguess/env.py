"""The game: a secret word, a few guesses, and after each a mark under every letter."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from agentgym.env import TextEnv
from agentgym.errors import UsageError
from agentgym.types import Observation, Step, Task
from agentgym_envs.wordguess.words import LENGTH, WORDS

FIRST = "trace"
"""What the oracle begins with: of all words, the one after which fewest are left on average."""


def marks(guess: str, secret: str) -> str:
    """`+` for a letter in its place, `?` for one that is elsewhere, `-` for one that is not there (any more).

    >>> marks("level", "lemon"), marks("speed", "erase")
    ('++---', '?-??-')
    """
    left = Counter(b for a, b in zip(guess, secret, strict=True) if a != b)
    found = list[str]()
    for a, b in zip(guess, secret, strict=True):
        elsewhere = a != b and left[a] > 0
        left[a] -= elsewhere
        found.append("+" if a == b else "?" if elsewhere else "-")
    return "".join(found)


class WordGuess(TextEnv):
    """Actions: a word of the list. Reward 1 for the secret; after the last guess the episode is lost."""

    def __init__(self, guesses: int = 6) -> None:
        """Args: `guesses` is how many there are; what is no word of the list, or was guessed, uses up none."""
        super().__init__()
        if guesses < 1:
            raise UsageError(f"guesses must be at least 1, not {guesses}")
        self._most = guesses

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `answer`, the secret."""
        self._secret = str(task.data.get("answer", "")).lower()
        if self._secret not in WORDS:
            raise UsageError(f"task {task.id!r} is not of wordguess: its answer is no word of the list")
        self._guessed: list[str] = []
        return self._look("")

    def act(self, action: str) -> Step:
        """Make one guess."""
        guess = action.strip().lower()
        if guess not in WORDS or guess in self._guessed:
            why = "you said that before" if guess in WORDS else f"not a word of {LENGTH} letters that I know"
            return Step.fault(self._look(why), "invalid", progress=self._progress())
        self._guessed.append(guess)
        seen = self._look(f"{guess} {marks(guess, self._secret)}")
        if guess == self._secret:
            return Step.success(seen, 1.0, progress=1.0)
        if len(self._guessed) == self._most:
            return Step.failure(seen, 0.0, progress=self._progress())
        return Step.on(seen, progress=self._progress())

    def oracle(self) -> str | None:
        """A player who knows the list but not the secret: the word that fits and tells most in the worst case."""
        if not self._guessed:
            return FIRST
        fits = [w for w in WORDS if all(marks(g, w) == marks(g, self._secret) for g in self._guessed)]
        return min(fits, key=lambda w: (max(Counter(marks(w, other) for other in fits).values()), w))

    def snapshot(self) -> Any:
        """The guesses."""
        return tuple(self._guessed)

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot; the episode is open again."""
        self._guessed, self._open = list(snapshot), True
        return self._look("")

    def _progress(self) -> float:
        """The most letters that were in their place at once, of all."""
        return max((marks(g, self._secret).count("+") for g in self._guessed), default=0) / LENGTH

    def _look(self, said: str) -> Observation:
        # What is known does not depend on the order of guesses, and neither does what can happen next.
        known = ",".join(f"{g}{marks(g, self._secret)}" for g in sorted(self._guessed))
        left = self._most - len(self._guessed)
        text = f"{said}; guesses left: {left}" if said else f"guesses left: {left}"
        return Observation(text=text, state=known or "nothing")
