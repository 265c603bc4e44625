"""What a selection module is: parameters that a recipe names, and a working thing with places to take part.

In an iteration: `wants` says which tasks are worth playing; `observe` sees what was played; `extend` may add
trajectories to it (a stored success, another try with a hint); `keep` says which trajectories credit and learner see at
all; `scale` multiplies the advantages. Each does nothing unless overridden, so that a module is about one of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from agentgym.config import Config
from agentgym.credit.table import TurnTable
from agentgym.env import EnvSpec
from agentgym.errors import CreditError, StoreError
from agentgym.rollout import Attempt
from agentgym.types import Task, Trajectory

if TYPE_CHECKING:
    from agentgym.models import Loaded

Play = Callable[[Sequence[Attempt]], list[Trajectory]]
"""Plays attempts with the policy as it is now, at the training temperature; the result is in their order."""


def _absent(*_: object) -> NoReturn:
    raise CreditError("this selection module was opened without a run: give its SelectionContext what it asks for")


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
    system: str = ""
    """What the recipe puts before every task's prompt."""
    dialect: str = "plain"
    """How model text becomes an action; its instructions stand in the system message."""
    token_budget: int = 8192
    """Most tokens in one packed forward pass."""
    demonstrate: Play = _absent
    """Has the environment's own oracle play attempts, in hosts like the policy's."""
    write: Callable[[Trajectory], str] = _absent
    """A trajectory with its tokens as text, for a checkpoint."""
    read: Callable[[str], Trajectory] = _absent
    """The trajectory that `write` wrote."""


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

    def wants(self, task: Task, epoch: int) -> bool:
        """Whether a task that is next in line should be played. Asked about any task any number of times.

        Args:
            task: the task.
            epoch: which pass over the training tasks it is next in line for, from 0.
        """
        return True

    def observe(self, played: Sequence[Trajectory], epoch: int) -> None:
        """See what the policy played of its own, whole groups, before any of it is replaced, added to or left out.

        Args:
            played: groups, their attempts in order.
            epoch: the one that their tasks were drawn in.
        """

    def extend(self, played: Sequence[Trajectory], play: Play, iteration: int) -> list[Trajectory]:
        """The trajectories of an iteration, with others added or some replaced; group names say what is compared.

        What is added has an id of its own, and says in it how it came about: `...~replay`, `...~guided`.
        """
        return list(played)

    def keep(self, table: TurnTable, played: Sequence[Trajectory]) -> NDArray[np.bool_]:
        """Which rows stay `[n]`: all turns of a trajectory, or none.

        Args:
            table: n turns, of the trajectories that earlier modules kept.
            played: what `table["trajectory"]` is an index into.
        """
        return np.ones(len(table), dtype=np.bool_)

    def scale(self, before: TurnTable, after: TurnTable) -> float:
        """A factor for all advantages, given the table before `keep` of all modules and after it."""
        return 1.0

    def metrics(self) -> dict[str, float]:
        """What it did since it was last asked: once an iteration, before the checkpoint."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold, in JSON values; the order of keys is lost."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`, to the same bits.

        Raises:
            StoreError: the state is of another module, or of other parameters.
        """


def saved(config: Selection, **values: Any) -> dict[str, Any]:
    """A state for a checkpoint: the values, and the parameters that they belong to."""
    return {"parameters": config.model_dump(mode="json"), **values}


def restored(config: Selection, state: Mapping[str, Any], name: str) -> Any:
    """One value of what `saved` gave.

    Raises:
        StoreError: it is not there, or was saved with other parameters.
    """
    own = config.model_dump(mode="json")
    if state.get("parameters") != own or name not in state:
        raise StoreError(
            f"the checkpoint's state of {type(config).__name__} is of {state.get('parameters', 'something else')}, "
            f"the recipe says {own}: continue with the recipe that the run began with"
        )
    return state[name]
