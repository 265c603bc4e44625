"""Pipelines: credit modules in order, each reading what the ones before it wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym import registry
from agentgym.credit.module import CreditModule
from agentgym.credit.table import REQUIRED, TurnTable
from agentgym.entries import entries
from agentgym.errors import AgentgymError, CreditError


@dataclass(frozen=True)
class Pipeline:
    """Credit modules in order, by the names they were asked for.

    >>> pipeline = Pipeline.from_config([{"use": "rloo"}])
    >>> pipeline(TurnTable.from_rewards([[[0.0, 1.0], [0.0]]]))["advantage"]
    array([ 1.,  1., -1.])
    """

    modules: tuple[tuple[str, CreditModule], ...]

    @classmethod
    def from_config(cls, listed: Sequence[Mapping[str, Any]]) -> Pipeline:
        """`[{"use": "anchor-state", "gamma": 0.95}, ...]` as a pipeline.

        Raises:
            UnknownNameError: no module has that name.
            ConfigError: a parameter that the module does not have, or a wrong value.
            CreditError: an entry without `use`, or a name of something that is no credit module.
        """
        return cls(tuple(entries("credit", CreditModule, listed)))

    def check(self, available: Iterable[str] = REQUIRED) -> None:
        """See that every module finds its columns, and that somebody writes `advantage`.

        Args:
            available: columns there are before the first module: the required ones, and those of scorers.

        Raises:
            CreditError: names the module, the column, and who could provide it.
        """
        there = set(available)
        for position, (name, module) in enumerate(self.modules):
            missing = sorted(module.required() - there)
            if missing:
                column = missing[0]
                raise CreditError(
                    f"credit.{position}: {name!r} needs the column {column!r}, which nothing before it writes; "
                    f"{self._provider(column, position)} (there are {', '.join(sorted(there))})"
                )
            there |= module.writes
        if "advantage" not in there:
            raise CreditError("credit: no module writes 'advantage'; end with an estimator, such as 'grpo'")

    def _provider(self, column: str, position: int) -> str:
        """What to do about a column that is missing."""
        for later, (name, module) in enumerate(self.modules[position + 1 :], start=position + 1):
            if column in module.writes:
                return f"{name!r} (credit.{later}) writes it: put it first"
        writers = [name for name in registry.names("credit") if column in _writes(name)]
        if writers:
            return f"put a module that writes it first: {', '.join(writers)}"
        return "no installed module writes it: a scorer must provide it"

    def __call__(self, table: TurnTable) -> TurnTable:
        """The table with all columns that the modules write.

        Raises:
            CreditError: a module returned other columns than it says, or a column of a wrong length or that is not
                finite; names the module.
        """
        for position, (name, module) in enumerate(self.modules):
            new = module(table)
            if set(new) != set(module.writes):
                raise CreditError(
                    f"credit.{position}: {name!r} returned {', '.join(sorted(new)) or 'nothing'}, "
                    f"its `writes` says {', '.join(sorted(module.writes))}"
                )
            try:
                table = table.with_columns(new)
            except CreditError as error:
                raise CreditError(f"credit.{position}: {name!r} returned a bad column: {error}") from error
        return table


def _writes(name: str) -> frozenset[str]:
    try:
        return frozenset(registry.load("credit", name).writes)
    except (AgentgymError, ImportError, AttributeError):
        return frozenset()  # Another distribution's module that cannot be loaded is no help, and no new error.
