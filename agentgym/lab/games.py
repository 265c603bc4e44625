"""What the learning comparison trains: the games, and how each module is trained with in the game that suits it.

A game must have what a module reads. Most modules read rewards, states and progress, which any game has; those that
read a private answer, tool calls or tests play another game than the rest, beside the same reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Entries = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Setup:
    """How a module is trained with: its pipeline and its scorers, as a recipe has them."""

    credit: Entries
    scorers: Entries = ()


@dataclass(frozen=True)
class Game:
    """A game of the comparison, with what all of its runs share."""

    env: str
    """Its environment's id."""
    about: str
    """The game and what it pays, as the page says it behind the environment's id."""
    note: str
    """What stands for what in its setups, for the page."""
    table: Mapping[str, Mapping[str, Any]]
    """Tables of the recipe, the environment's options among them."""
    quick: Mapping[str, Mapping[str, Any]]
    """What a trial changes of them."""
    setups: Mapping[str, Setup]
    """What is trained, by module."""

    def recipe(self, quick: bool) -> dict[str, dict[str, Any]]:
        """The tables of a recipe that all modules share."""
        return {name: {**keys, **(self.quick.get(name, {}) if quick else {})} for name, keys in self.table.items()}


def _alone(use: str, *scorers: str, **parameters: Any) -> Setup:
    return Setup(({"use": use, **parameters},), tuple({"use": s} for s in scorers))


def _before(estimator: str, use: str, *scorers: str | Mapping[str, Any], **parameters: Any) -> Setup:
    written = tuple({"use": s} if isinstance(s, str) else s for s in scorers)
    return Setup(({"use": use, **parameters}, {"use": estimator}), written)


MODEL = {"ref": "scratch:tiny?hidden=64&layers=2", "device": "cpu"}
HOST = {"host": "inline", "slots": 64}
PROGRESS = {"column": "progress", "weight": 0.1}

KEYDOOR = Game(
    env="keydoor-v0",
    about="with 4 rooms, which pays once, when the door opens",
    note="Where a module wants a judge, the game's own measure of progress stands for one.",
    table={
        "env": {"id": "keydoor-v0", "options": {"rooms": 4}},
        "model": MODEL,
        "limits": {"turns": 12},
        "sampling": {"max_tokens": 6},
        "rollout": HOST,
        "warmstart": {"tasks": 39, "epochs": 16, "lr": 3e-3, "batch": 8},
        "trainer": {"iterations": 12, "tasks": 6, "group": 8, "lr": 1e-3, "aggregation": "token"},
        "eval": {"tasks": 9, "attempts": 4, "temperature": 1.0},
    },
    quick={
        "warmstart": {"tasks": 4, "epochs": 2},
        "trainer": {"iterations": 2, "tasks": 4, "group": 4},
        "eval": {"attempts": 1},
    },
    setups={
        "grpo": _alone("grpo"),
        "outcome": _alone("outcome"),
        "discounted-return": _alone("discounted-return", gamma=0.95),
        "dr-grpo": _alone("dr-grpo"),
        "rloo": _alone("rloo"),
        "reinforce++": _alone("reinforce++", baseline="group"),
        "turn-group": _alone("turn-group"),
        "gae": _alone("gae", "turn-critic"),
        "min-form": _alone("min-form"),
        "anchor-state": _alone("anchor-state"),
        "gated-accumulation": _before("rloo", "gated-accumulation", low=[PROGRESS]),
        "hierarchical-gate": _before(
            "rloo",
            "hierarchical-gate",
            levels=[{"columns": {"progress": 0.1}, "threshold": 0.05}, {"columns": {"reward": 1.0}}],
        ),
        "progress": _before("discounted-return", "progress", "progress-estimator"),
        "implicit-step": _alone("implicit-step", "implicit-reward"),
        "implicit-process": Setup(
            ({"use": "implicit-process"},), ({"use": "implicit-reward", "objective": "outcome"},)
        ),
        "entropy-modulated": Setup(({"use": "grpo"}, {"use": "entropy-modulated"}), ({"use": "turn-entropy"},)),
        "renorm": _before("turn-group", "renorm", column="progress"),
        "citation-rubric": _before("grpo", "citation-rubric", column="progress"),
        "scheduled-mix": _before("grpo", "scheduled-mix", "schedule", column="progress", steps=10),
        "novelty": _before("anchor-state", "novelty", "visits"),
        "potential": _before("anchor-state", "potential"),
        "format": _before("grpo", "format"),
        "length": _before("grpo", "length", free=4, limit=8, penalty=0.1),
        "invalid-action": _before("grpo", "invalid-action"),
        "subgoal": _before("anchor-state", "subgoal", column="progress"),
    },
)
"""Rewards, states and progress: what most modules read."""

CABINET = Game(
    env="cabinet-v0",
    about="with 3 drawers, where the right answer alone is the outcome, at the end",
    note="No column of this game comes from a judge: answers are scored by the policy, or by its first weights where a "
    "module wants them frozen; calls are compared with the task's reference, labelled by rule, and tests weighed by "
    "how rarely they pass.",
    table={
        "env": {"id": "cabinet-v0", "options": {"drawers": 3, "hops": 2}},
        "model": MODEL,
        "limits": {"turns": 5},
        "sampling": {"max_tokens": 12},
        "rollout": HOST,
        "warmstart": {"tasks": 200, "epochs": 8, "lr": 3e-3, "batch": 8},
        "trainer": {
            "iterations": 24,
            "tasks": 16,
            "group": 8,
            "minibatches": 8,
            "lr": 5e-4,
            "aggregation": "token",
        },
        "eval": {"tasks": 20, "attempts": 4, "temperature": 1.0},
    },
    quick={
        "warmstart": {"tasks": 4, "epochs": 2},
        "trainer": {"iterations": 2, "tasks": 4, "group": 4, "minibatches": 2},
        "eval": {"tasks": 4, "attempts": 1},
    },
    setups={
        "grpo": _alone("grpo"),
        "information-gain": _alone("information-gain", "answer-logprob"),
        "log-ratio-td": _before(
            "discounted-return",
            "log-ratio-td",
            {"use": "answer-logprob", "weights": "initial", "normalise": "sum"},
            weight=0.1,
        ),
        "likelihood": _before("grpo", "likelihood", "answer-logprob", weight=0.5, scale="probability"),
        "tool-correctness": _before("grpo", "tool-correctness", "tool-calls", weight=0.1, format_weight=0.1),
        "behaviour-step": _before("grpo", "behaviour-step", {"use": "behaviour", "explorations": 3}, enough=2),
        "partial-success": _before("grpo", "partial-success", "test-difficulty", weight=0.5),
    },
)
"""A private answer, tool calls with a reference, and tests: what the other modules read."""

GAMES: dict[str, Game] = {game.env: game for game in (KEYDOOR, CABINET)}
"""By environment, in the order of the page."""
