"""Task sets: goals in generated catalogues, and upstream's own with its split."""

from __future__ import annotations

from typing import Any

from agentgym.errors import UsageError
from agentgym.seeding import derive
from agentgym.tasks import TaskSet
from agentgym.types import Task
from agentgym_envs.webshop import catalogue
from agentgym_envs.webshop.goals import Human, Synthetic

PROMPT = (
    "You shop on a web site. Find a product that fits the instruction, choose the options it asks for, and buy it. "
    "Actions: search[words] and click[name of a button, product number or option]. click[buy now] ends the episode."
)
UPSTREAM = {"test": (0, 500), "eval": (500, 1500)}
"""Goals that upstream keeps from training."""
ENOUGH = 2000
"""Fewest goals that are split as upstream's are; of fewer, a fifth is held out."""


def generated(split: str, goals: str = "human", products: int = 1200, seed: int = 0) -> TaskSet:
    """Goals in a generated catalogue. Held-out goals are for products that no training goal is for.

    Args:
        split: `train` or `heldout`.
        goals: `human` (worded in many ways) or `synthetic` (one way, for every combination of options).
        products: how many there are.
        seed: of the catalogue.

    Raises:
        UsageError: a value that is not one of these.
        MissingExtraError: what searches is not installed.
    """
    found = catalogue.goals(catalogue.generated(products, seed), goals)
    named = {"products": products, "seed": seed}
    mine = [n for n, row in enumerate(found.rows()) if _heldout(seed, row) == (split == "heldout")]
    if not mine:
        raise UsageError(f"a catalogue of {products} products has no {split} goals; ask for more products")
    return TaskSet(
        split, len(mine), lambda index: _task(split, f"{goals}-{products}-{seed}", mine[index], found, named)
    )


def real(split: str, path: str = "", goals: str = "human", heldout: str = "test") -> TaskSet:
    """Upstream's goals, in upstream's order and split: the first 500 test, the next 1,000 evaluate, the rest train.

    Where there are fewer than 2,000, a fifth is held out. Upper prices, and prices within a range, are drawn anew by
    every process of upstream; here they are always the same.

    Args:
        split: `train` or `heldout`.
        path: the data folder, or a product file in it; empty: `WEBSHOP_DATA`.
        goals: `human` or `synthetic`.
        heldout: which goals are held out: `test` or `eval`.

    Raises:
        UsageError: there is no such folder, or a file of it is missing, damaged or of another schema.
        MissingExtraError: what searches is not installed.
    """
    if heldout not in UPSTREAM:
        raise UsageError(f"heldout must be one of {', '.join(UPSTREAM)}, not {heldout!r}")
    files = catalogue.in_folder(path)
    found = catalogue.goals(files, goals)
    begin, end = UPSTREAM[heldout] if len(found) >= ENOUGH else (0, -(-len(found) // 5))
    first = 1500 if len(found) >= ENOUGH else end
    mine = range(begin, end) if split == "heldout" else range(first, len(found))
    named = {"path": str(files.products)}
    return TaskSet(split, len(mine), lambda index: _task(split, f"real-{goals}", mine[index], found, named))


def _heldout(seed: int, row: int) -> bool:
    return derive(seed, "webshop", "heldout", row) % 5 == 0


def _task(split: str, name: str, index: int, goals: Human | Synthetic, named: dict[str, Any]) -> Task:
    goal = goals[index]
    data = {"catalogue": named, "goal": goal}
    return Task(id=f"webshop-{name}-{index}-{goal['asin']}", prompt=PROMPT, data=data, split=split)
