"""What a selection module is: parameters that a recipe names, and a working thing with four places to take part.

In an iteration: `wants` says which tasks are worth playing; `extend` may add trajectories to those played (a stored
success, another try with a hint); `keep` says which trajectories credit and learner see at all; `scale` multiplies the
advantages. Each does nothing unless overridden, so that a module is about one of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agentgym.config import Config
from agentgym.credit.table import TurnTable
from agentgym.env import EnvSpec
from agentgym.rollout import Attempt
from agentgym.types import Task, Trajectory

if TYPE_CHECKING:
    from agentgym.models import Loaded

Play = Callable[[Sequence[Attempt]], list[Trajectory]]
"""Plays attempts with the policy as it is now, at the training temperature; the result is in their order."""


@dataclass(frozen=True)
class SelectionContext:
    """What a selection module may use of the run it works in."""

    task: Callable[[str], Task]
    """The task of an id, with its private data."""
    loaded: Loaded | None = None
    """The policy, model and tokenizer."""
    seed: int = 0
    """Derive every generator from it and from the module's name."""
    env: str = ""
    """Id of the environment."""
    options: Mapping[str, Any] | None = None
    """The environment's options."""


class Selection(Config):
    """Base of all selection modules. Fields are its parameters: frozen, checked, unknown ones refused.

    Registered under the entry-point group `agentgym.selection`, and named in a recipe's `[[selection]]`.
    """

    def check(self, spec: EnvSpec) -> None:
        """See, when the recipe loads, that the environment provides what this module needs.

        Raises:
            CreditError: it does not; says what is missing.
        """

    @abstractmethod
    def open(self, context: SelectionContext) -> Selecting:
        """The module at work."""


class Selecting:
    """A selection module at work in one run."""

    def wants(self, task: Task) -> bool:
        """Whether a task that is next in line should be played."""
        return True

    def extend(self, played: Sequence[Trajectory], play: Play, iteration: int) -> list[Trajectory]:
        """The trajectories of an iteration, with others added or some replaced; group names say what is compared."""
        return list(played)

    def keep(self, table: TurnTable) -> NDArray[np.bool_]:
        """Which rows stay `[n]`: all turns of a trajectory, or none."""
        return np.ones(len(table), dtype=np.bool_)

    def scale(self, before: TurnTable, after: TurnTable) -> float:
        """A factor for all advantages, given the table before `keep` of all modules and after it."""
        return 1.0

    def metrics(self) -> dict[str, float]:
        """What it did since it was last asked."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold, in JSON values."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`, to the same bits.

        Raises:
            StoreError: the state is of another module, or of other parameters.
        """
