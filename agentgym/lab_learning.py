"""The learning comparison: the same small model, game, seeds and number of samples, once for each credit module.

The Credit Lab (`agentgym.lab`) says what a module does to the gradient; this says what that is worth in the real loop,
on games that pay at the end only (`agentgym.lab.games`). It stands above `agentgym.train`, which it calls.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from agentgym import config
from agentgym.errors import AgentgymError, UnknownNameError, UsageError
from agentgym.lab import learning
from agentgym.lab.games import GAMES, Game
from agentgym.lab.learning import REFERENCE
from agentgym.lab.runs import Run, by_game, read, save
from agentgym.recipe import Recipe, check_recipe
from agentgym.store import RunFolder
from agentgym.track import read_metrics
from agentgym.train import train

MADE = "<!-- Made by `agentgym lab --learning --out docs/cards`; changes are lost when it is made again. -->"


def recipe(game: Game, module: str, seed: int, quick: bool = False) -> Recipe:
    """The recipe of one run: the same for all modules of a game but for credit and scorers.

    Raises:
        UnknownNameError: the game has no setup for that module.
        UsageError: a module or scorer of it cannot be loaded, or does not find its columns.
    """
    if module not in game.setups:
        raise UnknownNameError(f"module of the learning comparison on {game.env}", module, game.setups)
    setup = game.setups[module]
    said = {"name": f"learning-{module}", "seed": seed, **game.recipe(quick)}
    said |= {"credit": setup.credit, "scorers": setup.scorers}
    made = config.parse(Recipe, said, f"learning comparison: {game.env}: {module}")
    check_recipe(made)
    return made


def run(game: Game, module: str, seed: int, quick: bool = False) -> Run:
    """Train once, in a folder that is thrown away."""
    made = recipe(game, module, seed, quick)
    with tempfile.TemporaryDirectory() as place:
        with RunFolder.create("run", root=Path(place), config_text=config.dump(made)) as folder:
            summary = train(made, folder)
        curve = [
            line.values["train/success"] for line in read_metrics(folder.metrics) if "train/success" in line.values
        ]
    heldout = summary.evals["eval:trained"]["eval/success"]
    samples = made.trainer.tasks * made.trainer.group
    return Run(game.env, module, seed, fingerprint(made), tuple(curve), samples, heldout)


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
    """Train with each module, and with the reference in each game that one of them plays, and give all runs.

    Args:
        modules: all of all games, if not given.
        seeds: runs of each.
        quick: a much shorter training, to try it.
        kept: file of finished runs: those of the same recipes are not trained again.
        note: is told what was done, and what was left out and why.

    Raises:
        UnknownNameError: no game has a setup for a module.
        UsageError: fewer than two seeds, or a module that was asked for by name cannot be trained.
        StoreError: the file holds something else.
    """
    if seeds < 2:
        raise UsageError("--seeds: differences need at least 2 seeds to be tested")
    there = {run.recipe: run for run in (read(kept) if kept is not None else [])}
    found: list[Run] = []
    for game, module in _asked(modules):
        try:
            fingerprints = [fingerprint(recipe(game, module, seed, quick)) for seed in range(seeds)]
        except (AgentgymError, ImportError) as error:
            if modules is not None:
                raise
            note(f"{module}: left out: {error}")
            continue
        for seed, wanted in enumerate(fingerprints):
            if wanted not in there:
                there[wanted] = run(game, module, seed, quick)
                if kept is not None:
                    save(kept, list(there.values()))
            done = there[wanted]
            found.append(done)
            note(
                f"{game.env}, {module}, seed {seed}: "
                f"success {done.area:.3f} while learning, {done.heldout:.3f} held out"
            )
    return found


def _asked(modules: Sequence[str] | None) -> list[tuple[Game, str]]:
    """Games and the modules to train in them, the reference of each game first."""
    known = {module for game in GAMES.values() for module in game.setups}
    for module in modules or ():
        if module not in known:
            raise UnknownNameError("module of the learning comparison", module, known)
    found: list[tuple[Game, str]] = []
    for game in GAMES.values():
        here = [module for module in game.setups if modules is None or module in modules]
        found += [(game, module) for module in dict.fromkeys([REFERENCE, *here])] if here else []
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
    return (
        "\n\n".join(
            [
                "# Learning comparison",
                "What credit is worth in the real loop, on games that pay at their end only. All runs of a game have "
                "the same model from random weights, the same supervised start for their seed and the same number of "
                "attempts; only credit and scorers differ. Compared is mean success over all training attempts (the "
                "area under the learning curve); intervals are 95 % by Student's t over seeds. Differences are tested "
                f"against `{REFERENCE}` in the same game, whose runs begin from the same weights, by a paired t-test "
                "over seeds, and corrected for the number of comparisons in that game.",
                "![success over samples](learning.svg)",
                *(_section(GAMES[name], part) for name, part in by_game(runs).items()),
                "## What this cannot say",
                "One learning rate for all modules of a game: those whose advantages are larger take larger steps, up "
                "to the clipped gradient norm. Two small games, which share no numbers: an order of modules here is "
                "no order of modules elsewhere, and modules of different games cannot be compared.",
            ]
        )
        + "\n"
    )


def _section(game: Game, runs: Sequence[Run]) -> str:
    """A game's part of the page."""
    first = recipe(game, REFERENCE, 0)
    total = runs[0].samples * len(runs[0].curve)
    table = [f"| {' | '.join(learning.TITLES)} |", "|---" * len(learning.TITLES) + "|"]
    table += [f"| {' | '.join(row)} |" for row in learning.rows(runs)]
    return "\n\n".join(
        [
            f"## {game.env}",
            f"`{first.model.ref}` learns `{game.env}` {game.about}: {first.warmstart.tasks} demonstrations, then "
            f"{total} attempts in {len(runs[0].curve)} iterations. {len({run.seed for run in runs})} seeds each. "
            + game.note,
            learning.conclusions(runs),
            "\n".join(table),
        ]
    )
