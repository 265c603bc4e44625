"""What of a trajectory a judge is shown: the data that prompts name, as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from agentgym.errors import CreditError
from agentgym.scorers.prompts import shorten
from agentgym.types import Task, Trajectory

EARLIER = 20
"""How many of the actions before a turn are shown with it."""


def turn_data(trajectory: Trajectory, task: Task, n: int, shows: Sequence[str], most: int) -> dict[str, Any]:
    """What a judge of turn n is shown.

    Args:
        trajectory: the attempt.
        task: what was to be solved; of it only the prompt that the model saw is shown.
        n: the turn.
        shows: names of `task`, `earlier` (actions), `before` (what was seen), `answer` (what the model wrote), `after`
            (what it saw then).
        most: characters of each text.
    """
    turn = trajectory.turns[n]
    actions = [_action(t.action, most) for t in trajectory.turns[max(0, n - EARLIER) : n]]
    data = {
        "task": shorten(task.prompt, most),
        "earlier": actions,
        "before": shorten(turn.observation.text, most),
        "answer": shorten(turn.completion.text, most),
        "after": _after(trajectory, n, most),
    }
    return {name: data[name] for name in shows}


def trajectory_data(trajectory: Trajectory, task: Task, shows: Sequence[str], most: int) -> dict[str, Any]:
    """What a judge of the whole attempt is shown: names of `task`, `statements`, `turns`, `final`.

    Raises:
        CreditError: statements are to be shown, and the task has none.
    """
    turns = [
        {"seen": shorten(t.observation.text, most), "answer": shorten(t.completion.text, most)}
        for t in trajectory.turns
    ]
    data: dict[str, Any] = {
        "task": shorten(task.prompt, most),
        "turns": turns,
        "final": _after(trajectory, len(trajectory.turns) - 1, most),
    }
    if "statements" in shows:
        data["statements"] = statements_of(trajectory, task)
    return {name: data[name] for name in shows}


def statements_of(trajectory: Trajectory, task: Task) -> list[str]:
    """`task.data["rubric"]`, the statements that an answer's evidence must contain.

    Raises:
        CreditError: there are none; names the task and the trajectory.
    """
    listed = task.data.get("rubric")
    if not isinstance(listed, list | tuple) or not listed:
        raise CreditError(
            f"trajectory {trajectory.id!r}: task {task.id!r} has no statements to check: the prompt 'rubric' needs "
            "task.data['rubric'], a list of texts"
        )
    found = list(cast(Sequence[Any], listed))
    if not all(isinstance(statement, str) for statement in found):
        raise CreditError(f"trajectory {trajectory.id!r}: task {task.id!r}: data['rubric'] must be a list of texts")
    return cast(list[str], found)


def _after(trajectory: Trajectory, n: int, most: int) -> str:
    """What was seen after turn n; empty where nothing was."""
    if n + 1 < len(trajectory.turns):
        return shorten(trajectory.turns[n + 1].observation.text, most)
    return shorten(trajectory.final.text, most) if trajectory.final is not None else ""


def _action(action: str | None, most: int) -> str:
    return "(could not be read)" if action is None else shorten(action, most)
