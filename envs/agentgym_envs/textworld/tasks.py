"""Task sets: which games there are. A task names a game by its parameters; the file is made when it is played.

Training games have even seeds and held-out games odd ones, so that no game is in both.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agentgym.errors import UsageError
from agentgym.tasks import TaskSet
from agentgym.types import Task

HINTS = ("full", "last", "none")


def _tasks(split: str, games: int, engine: str, name: str, hint: str, settings: dict[str, Any]) -> TaskSet:
    if hint not in HINTS:
        raise UsageError(f"hint must be one of {', '.join(HINTS)}, not {hint!r}")
    if games < 1:
        raise UsageError(f"games must be at least 1, not {games}")
    parity = 1 if split == "heldout" else 0

    def make(index: int) -> Task:
        seed = 2 * index + parity + 1000
        game = {"engine": engine, "seed": seed, "hint": hint, "settings": settings}
        return Task(id=f"{name}-{seed}", data={"game": game}, split=split, seed=seed)

    return TaskSet(split, games, make)


def coin(split: str, level: int = 5, hint: str = "full", games: int = 100) -> TaskSet:
    """Coin collector: `level` rooms to the coin. From 101 on there are distracting rooms, from 201 on more of them.

    Args:
        split: `train` or `heldout`.
        level: 1 to 300.
        hint: what the first observation says of the way: `full` all of it, `last` only the goal, `none` nothing.
        games: number of games in the split.
    """
    if not 1 <= level <= 300:
        raise UsageError(f"level must be from 1 to 300, not {level}")
    return _tasks(split, games, "coin_collector", f"coin-{level}-{hint}", hint, {"level": level})


def treasure(split: str, level: int = 3, hint: str = "full", games: int = 100) -> TaskSet:
    """Treasure hunter: 1 to 10 without doors, 11 to 20 with doors and containers, 21 to 30 with locks."""
    if not 1 <= level <= 30:
        raise UsageError(f"level must be from 1 to 30, not {level}")
    return _tasks(split, games, "treasure_hunter", f"treasure-{level}-{hint}", hint, {"level": level})


def simple(split: str, rewards: str = "balanced", goal: str = "detailed", games: int = 100) -> TaskSet:
    """The simple game: `rewards` dense, balanced or sparse; `goal` detailed, brief or none."""
    for name, value, known in (
        ("rewards", rewards, ("dense", "balanced", "sparse")),
        ("goal", goal, ("detailed", "brief", "none")),
    ):
        if value not in known:
            raise UsageError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    settings = {"rewards": rewards, "goal": goal, "test": split == "heldout"}
    return _tasks(split, games, "simple", f"simple-{rewards}-{goal}", "full", settings)


def cooking(
    split: str,
    recipe: int = 1,
    take: int = 1,
    go: int = 1,
    open: bool = False,
    cook: bool = False,
    cut: bool = False,
    drop: bool = False,
    games: int = 100,
) -> TaskSet:
    """The cooking game: `recipe` ingredients of which `take` must be found, `go` rooms (1, 6, 9 or 12), and skills."""
    if go not in (1, 6, 9, 12):
        raise UsageError(f"go must be 1, 6, 9 or 12, not {go}")
    if not 0 <= take <= recipe:
        raise UsageError(f"take must be from 0 to recipe ({recipe}), not {take}")
    skills = {"open": open, "cook": cook, "cut": cut, "drop": drop}
    settings = {"recipe": recipe, "take": take, "go": go, **skills, "recipe_seed": 0, "split": None}
    name = "cooking-" + "-".join([f"r{recipe}", f"t{take}", f"g{go}", *(k for k, v in skills.items() if v)])
    return _tasks(split, games, "cooking", name, "full", settings)


def file(split: str, path: str | Iterable[str] = ()) -> TaskSet:
    """Game files by path: a `.z8` file, a folder of them, or a list; every other one is held out (a single one is in both).

    Raises:
        UsageError: no path is given, or there is no game in it.
    """
    paths = [path] if isinstance(path, str) else list(path)
    if not paths:
        raise UsageError("textworld-file-v0 needs the option path: a .z8 file or a folder of them")
    found: list[Path] = []
    for entry in map(Path, paths):
        if entry.is_dir():
            found += sorted(entry.glob("*.z8"))
        elif entry.is_file():
            found.append(entry)
        else:
            raise UsageError(f"{entry}: there is no such game file (a .z8 file or a folder of them is expected)")
    if not found:
        raise UsageError(f"{paths[0]}: the folder has no .z8 file")
    mine = found if len(found) == 1 else found[1::2] if split == "heldout" else found[::2]
    return TaskSet.of(split, [Task(id=p.stem, data={"path": str(p.resolve())}, split=split) for p in mine])


