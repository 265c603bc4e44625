"""Every word of the list is a task; a fifth of them is held out as secrets, though any may be guessed."""

from __future__ import annotations

from agentgym.seeding import derive
from agentgym.tasks import TaskSet
from agentgym.types import Task
from agentgym_envs.wordguess.words import WORDS


def tasks(split: str) -> TaskSet:
    """All secrets of a split, in an order that is fixed and mixed.

    Raises:
        UsageError: an unknown split.
    """
    mixed = sorted(WORDS, key=lambda word: derive(0, "wordguess", word))
    cut = len(mixed) // 5
    mine = mixed[:cut] if split == "heldout" else mixed[cut:]
    prompt = (
        "guess my word of five letters. + is a letter in its place, ? one that is elsewhere, - one that is not in it."
    )
    return TaskSet.of(
        split,
        [Task(id=f"wordguess-{split}-{n}", prompt=prompt, data={"answer": w}, split=split) for n, w in enumerate(mine)],
    )
