"""What a scorer is: parameters that a recipe names, and a working thing that reads trajectories and may learn.

A credit module is a pure function of columns. What needs a model, a judge, the tasks' private data or a memory of
earlier iterations is a scorer instead: it runs before the credit modules and adds columns for them to read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from agentgym.config import Config
from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.env import EnvSpec
from agentgym.types import Task, Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from agentgym.models import Loaded


@dataclass(frozen=True)
class ScorerContext:
    """What a scorer may use of the run it works in."""

    task: Callable[[str], Task]
    """The task of an id, with its private data.

    Raises `CreditError` for an id that the environment's task sets do not have."""
    loaded: Loaded | None = None
    """The policy as it is trained, model and tokenizer; `None` where credit is computed without one."""
    seed: int = 0
    """Derive every generator from it and from the scorer's name."""
    token_budget: int = 8192
    """Most tokens in one packed forward pass."""
    cache: Path | None = None
    """A folder where what was paid for may be kept between runs; `None` for nowhere."""
    sampler: Any = None
    """The policy that samples with the learner's weights; `None` where credit is computed without a run."""


class Scorer(Config):
    """Base of all scorers. Fields are its parameters: frozen, checked, unknown ones refused.

    Registered under the entry-point group `agentgym.scorers`, and named in a recipe's `[[scorers]]`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """Columns beyond the required ones that must be there before it: of trajectories or of earlier scorers."""
    writes: ClassVar[frozenset[str]] = frozenset()
    """Columns that it adds: these, always all of them, and no others."""

    def written(self) -> frozenset[str]:
        """Columns that this scorer, with its parameters, adds. `writes` unless overridden."""
        return self.writes

    def check(self, spec: EnvSpec) -> None:
        """See, when the recipe loads, that the environment provides what this scorer reads.

        Raises:
            CreditError: it does not; says what is missing.
        """

    @abstractmethod
    def open(self, context: ScorerContext) -> Working:
        """The scorer at work. Heavy imports and models belong here, not in the module's head."""


class Working(ABC):
    """A scorer at work in one run."""

    @abstractmethod
    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """New columns `[n]`, finite in every row.

        Args:
            played: the trajectories; `table["trajectory"]` is an index into them, `table["turn"]` into their turns.
            table: n turns; trajectories that met an infra error are not in it.

        Raises:
            CreditError: something that a column needs is missing; names the trajectory.
        """

    def learn(self, played: Sequence[Trajectory], table: TurnTable) -> dict[str, float]:
        """Learn from an iteration that has been scored; gives metrics, among them the error before learning."""
        return {}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint must hold: tensors by name, and JSON values."""
        return {}, {}

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:  # noqa: B027
        """Continue from `state()`: what follows has the same bits as if nothing had come between.

        Raises:
            StoreError: the state is of another scorer, or of other parameters.
        """

    def close(self) -> None:  # noqa: B027
        """Free what it holds; may be called twice."""
