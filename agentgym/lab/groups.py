"""Groups of attempts as one turn table: drawn at random, or every group that there can be, with its probability."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agentgym.credit.segments import Float, Int
from agentgym.credit.table import TurnTable
from agentgym.errors import CreditError
from agentgym.lab.paths import Paths, binned
from agentgym.seeding import generator


@dataclass(frozen=True)
class Groups:
    """B groups of N attempts each."""

    paths: Paths
    drawn: Int
    """Paths of the attempts `[B, N]`."""
    weight: Float
    """Probability of each group `[B]`, summing to 1; 1 / B for groups drawn at random."""
    exact: bool
    """Whether these are all groups that there can be."""

    @classmethod
    def sample(cls, paths: Paths, size: int, count: int, seed: int) -> Groups:
        """Groups drawn at random: a task each, then `size` attempts at it.

        Args:
            paths: of a world.
            size: N.
            count: B.
            seed: of the generator, which also depends on the world and on N.
        """
        rng = generator(seed, "lab", paths.world.name, size)
        task = _pick(paths.tasks, rng.random(count))
        uniform = rng.random((count, size))
        drawn = np.empty((count, size), dtype=np.int64)
        for number in range(len(paths.tasks)):
            mine = np.flatnonzero(paths.task == number)
            drawn[task == number] = mine[_pick(paths.chance[mine], uniform[task == number])]
        return cls(paths, drawn, np.full(count, 1.0 / count), exact=False)

    @classmethod
    def all(cls, paths: Paths, size: int) -> Groups:
        """Every group that there can be, each once whatever the order of its attempts. See `how_many`."""
        found: list[tuple[int, ...]] = []
        weight: list[float] = []
        for number, likely in enumerate(paths.tasks.tolist()):
            mine = np.flatnonzero(paths.task == number).tolist()
            for counts in _counts(len(mine), size):
                orders = math.factorial(size)
                chance = likely
                for path, times in zip(mine, counts, strict=True):
                    orders //= math.factorial(times)
                    chance *= float(paths.chance[path]) ** times
                found.append(tuple(p for p, times in zip(mine, counts, strict=True) for _ in range(times)))
                weight.append(orders * chance)
        return cls(paths, np.array(found, dtype=np.int64), np.array(weight), exact=True)

    def table(self) -> TurnTable:
        """The groups as one table."""
        rows = self._rows()
        trajectory = np.repeat(np.arange(self.drawn.size), self.paths.length[self.drawn.ravel()])
        return TurnTable(
            {name: values[rows] for name, values in self.paths.rows.items()}
            | {"group": trajectory // self.drawn.shape[1], "trajectory": trajectory}
        )

    def estimates(self, table: TurnTable) -> Float:
        """Each group's estimate of the gradient `[B, D]`: sum over turns of advantage times grad log pi(a|s), over N.

        Args:
            table: of these groups, with `advantage`.

        Raises:
            CreditError: the table is of other groups.
        """
        count, size = self.drawn.shape
        pair = self.paths.pair[self._rows()]
        if len(pair) != len(table):
            raise CreditError(f"the table has {len(table)} turns, these groups have {len(pair)}")
        parameters = len(self.paths.policy)
        place = table["group"] * parameters + pair
        return self.paths.score_sums(binned(place, table["advantage"], (count, parameters))) / size

    def _rows(self) -> Int:
        """Rows of the paths that the groups' turns are `[n]`."""
        attempts = self.drawn.ravel()
        length = self.paths.length[attempts]
        offset = np.repeat(self.paths.first[attempts] - (np.cumsum(length) - length), length)
        return offset + np.arange(len(offset))


def how_many(paths: Paths, size: int) -> int:
    """How many groups of a size there can be, orders not counted."""
    return sum(math.comb(int((paths.task == t).sum()) + size - 1, size) for t in range(len(paths.tasks)))


def _counts(kinds: int, size: int) -> Iterator[tuple[int, ...]]:
    """All ways to have `size` things of some kinds: how many of each."""
    if kinds == 1:
        yield (size,)
        return
    for first in range(size + 1):
        for rest in _counts(kinds - 1, size - first):
            yield (first, *rest)


def _pick(chance: Float, uniform: Float) -> Int:
    """Numbers below `len(chance)`, by probability, from uniform draws."""
    edges = np.cumsum(chance)
    return np.minimum(np.searchsorted(edges / edges[-1], uniform, side="right"), len(chance) - 1)
