"""What a credit module is: parameters, the columns it needs and writes, and a pure function of a table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from agentgym.config import Config
from agentgym.credit.table import TurnTable


class CreditModule(Config):
    """Base of all credit modules. Fields are its parameters: frozen, checked, unknown ones refused.

    A module shapes a column (usually `reward`) or estimates `advantage`. It sees the whole batch, is vectorised (all
    segment operations are in `agentgym.credit.segments`), draws no random numbers and keeps no state. One file each,
    registered under the entry-point group `agentgym.credit`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """Columns beyond the required ones that must be there."""
    writes: ClassVar[frozenset[str]] = frozenset({"advantage"})
    """Columns it returns: these, always all of them, and no others."""

    def required(self) -> frozenset[str]:
        """Columns that this module, with its parameters, needs beyond the required ones. `needs` unless overridden."""
        return self.needs

    @abstractmethod
    def __call__(self, table: TurnTable) -> Mapping[str, NDArray[Any]]:
        """New columns `[n]`, finite everywhere. A pure function: the table is not changed."""
