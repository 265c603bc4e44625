"""The game: drawers with cards, a chain of cards that point to each other, and a word at its end.

Small, but with everything that a credit module or scorer reads: a private answer, reward components, progress, tool
calls with a reference, and tests that pass or fail. Modules are tried on it where larger worlds would take minutes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from agentgym.env import TextEnv
from agentgym.errors import UsageError
from agentgym.types import Observation, Step, Task

STEP = 0.1
"""Reward for opening the next drawer of the chain."""


class State(NamedTuple):
    """What has happened."""

    opened: str
    """Letters of the drawers that were opened, sorted."""
    said: str
    """The answer that was given; empty before."""


class Cabinet(TextEnv):
    """Actions: `open X`, `answer WORD`. Reward 1 for the right answer, 0.1 for each next drawer of the chain.

    The outcome is 1 or 0, the answer alone; the two rewards are the components `answer` and `step`.
    """

    _state: State

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `cards` (letter to a letter or a word), `chain` (its letters in order), `answer`."""
        data = task.data
        try:
            self._cards = {str(k): str(v) for k, v in dict(data["cards"]).items()}
            self._chain, self._answer = str(data["chain"]), str(data["answer"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"task {task.id!r} is not of cabinet: it needs cards, chain and answer") from error
        if not self._chain or not set(self._chain) <= self._cards.keys():
            raise UsageError(f"task {task.id!r}: the chain {self._chain!r} names drawers that are not there")
        self._state = State("", "")
        return self._look(f"start at {self._chain[0]}")

    def act(self, action: str) -> Step:
        """Play one action; what is not possible here is a fault and changes nothing."""
        verb, _, object_ = action.strip().lower().partition(" ")
        if verb == "open" and object_ in self._cards:
            return self._open_drawer(object_)
        if verb == "answer" and object_:
            return self._answered(object_)
        return Step.fault(self._look("you can not"), "invalid", **self._told([], {"answer": 0.0, "step": 0.0}))

    def oracle(self) -> str | None:
        """Open what of the chain is closed, in order; then answer."""
        closed = [letter for letter in self._chain if letter not in self._state.opened]
        return f"open {closed[0]}" if closed else f"answer {self._answer}"

    def snapshot(self) -> Any:
        """The state as a plain tuple."""
        return tuple(self._state)

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot; the episode is open again."""
        self._state = State(*snapshot)
        self._open = True
        return self._look("")

    def _open_drawer(self, letter: str) -> Step:
        reached = self._reached()
        following = self._chain[reached] if reached < len(self._chain) else ""
        pay = STEP if letter == following else 0.0
        self._state = State("".join(sorted({*self._state.opened, letter})), "")
        card = self._cards[letter]
        said = f"{letter}: see {card}" if card in self._cards else f"{letter}: {card}"
        calls = [{"name": "open", "arguments": {"drawer": letter}}]
        return Step.on(self._look(said), pay, **self._told(calls, {"answer": 0.0, "step": pay}))

    def _answered(self, word: str) -> Step:
        self._state = self._state._replace(said=word)
        right = word == self._answer
        calls = [{"name": "answer", "arguments": {"word": word}}]
        told = self._told(calls, {"answer": float(right), "step": 0.0})
        return (
            Step.success(self._look("right"), 1.0, **told) if right else Step.failure(self._look("wrong"), 0.0, **told)
        )

    def _reached(self) -> int:
        """Drawers of the chain opened so far without a gap."""
        for n, letter in enumerate(self._chain):
            if letter not in self._state.opened:
                return n
        return len(self._chain)

    def _told(self, calls: list[dict[str, Any]], rewards: dict[str, float]) -> dict[str, Any]:
        right = self._state.said == self._answer
        reached = self._reached()
        tests = {f"drawer {n + 1}": n < reached for n in range(len(self._chain))} | {"answer": right}
        progress = 1.0 if right else reached / (len(self._chain) + 1)
        return {"rewards": rewards, "calls": calls, "tests": tests, "progress": progress, "outcome": float(right)}

    def _look(self, said: str) -> Observation:
        s = self._state
        seen = [self._cards[letter] for letter in s.opened if self._cards[letter] not in self._cards]
        actions = (*(f"open {letter}" for letter in self._cards), *(f"answer {word}" for word in sorted(set(seen))))
        return Observation(text=said, state=f"{self.task.id if self.task else ''}|{s.opened}|{s.said}", actions=actions)
