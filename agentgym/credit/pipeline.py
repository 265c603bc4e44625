"""Pipelines: credit modules in order, each reading what the ones before it wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym import registry
from agentgym.config import parse
from agentgym.credit.module import CreditModule
from agentgym.credit.table import REQUIRED, TurnTable
from agentgym.errors import CreditError


@dataclass(frozen=True)
class Pipeline:
    """Credit modules in order, by the names they were asked for."""

    modules: tuple[tuple[str, CreditModule], ...]

    @classmethod
    def from_config(cls, entries: Sequence[Mapping[str, Any]]) -> Pipeline:
        """`[{"use": "anchor-state", "gamma": 0.95}, ...]` as a pipeline.

        Raises:
            UnknownNameError: no module has that name.
            ConfigError: a parameter that the module does not have, or a wrong value.
            CreditError: an entry without `use`.
        """
        made: list[tuple[str, CreditModule]] = []
        for position, entry in enumerate(entries):
            name = entry.get("use")
            if not isinstance(name, str):
                raise CreditError(f"credit.{position}: needs use = 'name of a credit module'")
            found = registry.load("credit", name)
            if not (isinstance(found, type) and issubclass(found, CreditModule)):
                raise CreditError(f"credit.{position}: {name!r} is no credit module")
            parameters = {k: v for k, v in entry.items() if k != "use"}
            made.append((name, parse(found, parameters, f"credit.{position} ({name})")))
        return cls(tuple(made))

    def check(self, available: Iterable[str] = REQUIRED) -> None:
        """See that every module finds its columns, and that somebody writes `advantage`.

        Args:
            available: columns there are before the first module.

        Raises:
            CreditError: names the module, the column, and where it stands.
        """
        there = set(available)
        for position, (name, module) in enumerate(self.modules):
            missing = sorted(module.needs - there)
            if missing:
                raise CreditError(
                    f"credit.{position}: {name!r} needs the column {missing[0]!r}, which nothing before it writes"
                    f" (there are {', '.join(sorted(there))})"
                )
            there |= module.writes
        if "advantage" not in there:
            raise CreditError("credit: no module writes 'advantage'; end with an estimator, such as 'grpo'")

    def __call__(self, table: TurnTable) -> TurnTable:
        """The table with all columns that the modules write."""
        for _, module in self.modules:
            table = table.with_columns(module(table))
        return table
