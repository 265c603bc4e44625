"""The learning comparison: the same small model, game, seeds and number of samples, once for each credit module.

The Credit Lab (`agentgym.lab`) says what a module does to the gradient; this says what that is worth in the real loop,
on a game that pays at the end only. It stands above `agentgym.train`, which it calls.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgym import config
from agentgym.errors import AgentgymError, UnknownNameError, UsageError
from agentgym.lab import learning
from agentgym.lab.learning import REFERENCE, Run
from agentgym.recipe import Recipe, check_recipe
from agentgym.store import RunFolder
from agentgym.track import read_metrics
from agentgym.train import train

MADE = "<!-- Made by `agentgym lab --learning --out docs/cards`; changes are lost when it is made again. -->"


@dataclass(frozen=True)
class Setup:
    """How a module is trained with: its pipeline and its scorers, as a recipe has them."""

    credit: tuple[Mapping[str, Any], ...]
    scorers: tuple[Mapping[str, Any], ...] = ()


def _alone(use: str, *scorers: str, **parameters: Any) -> Setup:
    return Setup(({"use": use, **parameters},), tuple({"use": s} for s in scorers))


def _before(estimator: str, use: str, *scorers: str, **parameters: Any) -> Setup:
    return Setup(({"use": use, **parameters}, {"use": estimator}), tuple({"use": s} for s in scorers))


PROGRESS = {"column": "progress", "weight": 0.1}

SETUPS: dict[str, Setup] = {
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
    "implicit-process": Setup(({"use": "implicit-process"},), ({"use": "implicit-reward", "objective": "outcome"},)),
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
}
"""What is trained, by module. Where a module wants a judge, the game's own measure of progress stands for one."""

NOT_COMPARED: dict[str, str] = {
    "information-gain": "the game has no private answer whose probability could be asked",
    "log-ratio-td": "the game has no private answer whose probability could be asked",
    "likelihood": "the game has no private answer whose probability could be asked",
    "tool-correctness": "the game has no tool calls and no reference for them",
    "behaviour-step": "the game has no tool calls that could be labelled",
    "partial-success": "the game has no tests that could be passed in part",
}
"""Modules that this game cannot show, with the reason."""


def recipe(module: str, seed: int, quick: bool = False) -> Recipe:
    """The recipe of one run: the same for all modules but for credit and scorers.

    Raises:
        UnknownNameError: no setup for that module.
        UsageError: a module or scorer of it cannot be loaded, or does not find its columns.
    """
    if module not in SETUPS:
        why = f" ({NOT_COMPARED[module]})" if module in NOT_COMPARED else ""
        raise UnknownNameError("module of the learning comparison", module, SETUPS, why)
    setup = SETUPS[module]
    made = config.parse(
        Recipe,
        {
            "name": f"learning-{module}",
            "seed": seed,
            "env": {"id": "keydoor-v0", "options": {"rooms": 4}},
            "model": {"ref": "scratch:tiny?hidden=64&layers=2", "device": "cpu"},
            "limits": {"turns": 12},
            "sampling": {"max_tokens": 6},
            "rollout": {"host": "inline", "slots": 64},
            "warmstart": {"tasks": 4 if quick else 39, "epochs": 2 if quick else 16, "lr": 3e-3, "batch": 8},
            "credit": setup.credit,
            "scorers": setup.scorers,
            "trainer": {
                "iterations": 2 if quick else 12,
                "tasks": 4 if quick else 6,
                "group": 4 if quick else 8,
                "lr": 1e-3,
                "aggregation": "token",
            },
            "eval": {"tasks": 9, "attempts": 1 if quick else 4, "temperature": 1.0},
        },
        f"learning comparison: {module}",
    )
    check_recipe(made)
    return made


def run(module: str, seed: int, quick: bool = False) -> Run:
    """Train once, in a folder that is thrown away."""
    made = recipe(module, seed, quick)
    with tempfile.TemporaryDirectory() as place:
        with RunFolder.create("run", root=Path(place), config_text=config.dump(made)) as folder:
            summary = train(made, folder)
        curve = [
            line.values["train/success"] for line in read_metrics(folder.metrics) if "train/success" in line.values
        ]
    heldout = summary.evals["eval:trained"]["eval/success"]
    return Run(module, seed, fingerprint(made), tuple(curve), made.trainer.tasks * made.trainer.group, heldout)


def fingerprint(made: Recipe) -> str:
    """Which recipe a run is of: what it says, not what is left at its defaults, so that a new key makes none old."""
    said = json.dumps(made.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def compare(
    modules: Sequence[str] | None,
    seeds: int,
    quick: bool = False,
    kept: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> list[Run]:
    """Train with each module and with the reference, and give all runs.

    Args:
        modules: all that can be trained, if not given.
        seeds: runs of each.
        quick: a much shorter training, to try it.
        kept: file of finished runs: those of the same recipes are not trained again.
        note: is told what was done, and what was left out and why.

    Raises:
        UsageError: fewer than two seeds, or a module that was asked for by name cannot be trained.
        StoreError: the file holds something else.
    """
    if seeds < 2:
        raise UsageError("--seeds: differences need at least 2 seeds to be tested")
    there = {run.recipe: run for run in (learning.read(kept) if kept is not None else [])}
    found: list[Run] = []
    for module in dict.fromkeys([REFERENCE, *(SETUPS if modules is None else modules)]):
        try:
            fingerprints = [fingerprint(recipe(module, seed, quick)) for seed in range(seeds)]
        except (AgentgymError, ImportError) as error:
            if modules is not None:
                raise
            note(f"{module}: left out: {error}")
            continue
        for seed, wanted in enumerate(fingerprints):
            if wanted not in there:
                there[wanted] = run(module, seed, quick)
                if kept is not None:
                    learning.save(kept, list(there.values()))
            found.append(there[wanted])
            note(
                f"{module}, seed {seed}: success {found[-1].area:.3f} while learning, {found[-1].heldout:.3f} held out"
            )
    return found


def write(folder: Path, runs: Sequence[Run]) -> list[Path]:
    """The page `learning.md` with its plot.

    Raises:
        UsageError: the folder cannot be written.
    """
    page, plot = folder / "learning.md", folder / "learning.svg"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plot.write_text(learning.plot(runs), encoding="utf-8")
        page.write_text(f"{MADE}\n\n{_page(runs)}", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be written: {error}") from error
    return [page, plot]


def _page(runs: Sequence[Run]) -> str:
    first = recipe(REFERENCE, 0)
    seeds, total = len({run.seed for run in runs}), runs[0].samples * len(runs[0].curve)
    table = [f"| {' | '.join(learning.TITLES)} |", "|---" * len(learning.TITLES) + "|"]
    table += [f"| {' | '.join(row)} |" for row in learning.rows(runs)]
    return (
        "\n\n".join(
            [
                "# Learning comparison",
                f"`{first.model.ref}` from random weights learns `{first.env.id}` with {first.env.options['rooms']} "
                "rooms, which pays once, when the door opens. Every run has the same supervised start for its seed "
                f"({first.warmstart.tasks} demonstrations) and then {total} attempts in {len(runs[0].curve)} "
                f"iterations; only credit and scorers differ. {seeds} seeds each. Compared is mean success over all "
                "training attempts (the area under the learning curve); intervals are 95 % by Student's t over seeds.",
                "![success over samples](learning.svg)",
                "## Which differences are real",
                f"Paired t-test over seeds against `{REFERENCE}`, whose runs begin from the same weights. "
                + learning.conclusions(runs),
                "\n".join(table),
                "One learning rate for all: modules whose advantages are larger take larger steps, up to the clipped "
                "gradient norm. One small game: an order of modules here is no order of modules elsewhere. Where a "
                "module wants a judge, the game's own measure of progress stands for one.",
                "## Not compared",
                "\n".join(f"- `{module}`: {why}." for module, why in NOT_COMPARED.items()),
            ]
        )
        + "\n"
    )
