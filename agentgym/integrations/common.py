"""From a trainer's tensors to a turn table and back: what every integration shares.

Trainers know tokens, `[B, T]` for B responses of at most T tokens; credit modules know turns. A turn is an unbroken run
of tokens that the model wrote. Everything the environment wrote after it, up to the next run, belongs to it too: so no
token's reward is lost, wherever a trainer puts it.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym import registry
from agentgym.credit.pipeline import Pipeline
from agentgym.credit.table import REQUIRED, Column, TurnTable, hash_state
from agentgym.errors import AgentgymError, CreditError, UsageError

Credit = str | Pipeline | Sequence[Mapping[str, Any]]
"""A credit module's name (with its defaults), a recipe's list of modules, or a pipeline."""

Ragged = Sequence[Sequence[Any]]
"""By batch row, then by turn of that row."""


class StatelessTable(TurnTable):
    """A table whose states nobody knows: a module that reads them gets an error, not states that never meet."""

    def __getitem__(self, name: str) -> Column:
        """A column `[n]`.

        Raises:
            CreditError: it is `state`, or there is no such column.
        """
        if name == "state":
            raise CreditError(
                "this credit compares states, and the trainer did not say which states turns began in; give `states`, "
                "or wrap the trainer's function with `observing` (docs/integrations.md)"
            )
        return super().__getitem__(name)

    def with_columns(self, new: Mapping[str, Any]) -> TurnTable:
        """A table with columns added; as stateless as this one unless `state` is among them."""
        made = super().with_columns(new)
        if "state" in new:
            return made
        table = object.__new__(StatelessTable)
        table._columns = made._columns
        return table


@dataclass(frozen=True, eq=False)
class TokenTurns:
    """A turn table, and which of its rows each token of the batch belongs to."""

    table: TurnTable
    """n turns; column `trajectory` is the row of the batch, `tokens` counts the tokens that the model wrote."""
    row: NDArray[np.int64]
    """`[B, T]` row of the table for each token that the model wrote, -1 for all others and in rows left out."""

    def spread(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """One value a turn `[n]` as one value a token `[B, T]`; 0 where no turn is."""
        padded = np.append(np.asarray(values, dtype=np.float64), 0.0)  # Index -1 finds the 0.
        return padded[self.row]

    def advantages(self, pipeline: Pipeline) -> NDArray[np.float64]:
        """The pipeline's advantages, one a token `[B, T]`.

        Raises:
            CreditError: see `Pipeline`, or a module reads states that are unknown.
        """
        if not len(self.table):
            return np.zeros(self.row.shape)
        return self.spread(pipeline(self.table)["advantage"])


def turn_table(
    rewards: Any,
    mask: Any,
    groups: Any,
    *,
    turns: Any = None,
    outcomes: Any = None,
    states: Ragged | None = None,
    columns: Mapping[str, Ragged] | None = None,
    keep: Any = None,
) -> TokenTurns:
    """A turn table from token-level arrays (numpy arrays, tensors or lists).

    Rows of the batch without a token of the model are left out: they are in no statistic, and their advantages are 0.

    Args:
        rewards: `[B, T]` token rewards; a turn's reward is the sum from its first token to the next turn's first (of
            the first turn: from the response's beginning).
        mask: `[B, T]` not 0 where the model wrote the token; padding on either side is 0.
        groups: `[B]` anything hashable; equal for attempts at the same task.
        turns: `[B, T]` whole numbers that never fall within a row, read where `mask` is set: equal ones are one turn.
            For trainers in which two turns can follow each other without a token of the environment between them.
        outcomes: `[B]` scores; by default the sum of the row's rewards.
        states: a text for each turn, by row of the batch; equal ones are the same state. Unknown by default.
        columns: further columns, by row of the batch and turn. May replace `reward`.
        keep: `[B]` false for rows to leave out, such as attempts that met an infra error. Their values are not read.

    Raises:
        CreditError: shapes that do not fit, values that are not finite; names the row of the batch.
    """
    reward, model = _matrix("rewards", rewards), _matrix("mask", mask) != 0
    if reward.shape != model.shape:
        raise CreditError(f"rewards have shape {list(reward.shape)}, the mask has {list(model.shape)}")
    size = len(reward)
    kept = np.ones(size, dtype=np.bool_) if keep is None else _vector("keep", keep, size) != 0
    model &= kept[:, None]
    first = _first_tokens(model, turns)
    counts = first.sum(axis=1)
    n, offset, live = int(counts.sum()), np.cumsum(counts) - counts, counts > 0
    _refuse(live[:, None] & ~np.isfinite(reward), reward, "reward")
    owner = offset[:, None] + np.maximum(np.cumsum(first, axis=1) - 1, 0)  # The turn of each token, in batch order.
    trajectory = np.repeat(np.arange(size), counts)
    turn = np.arange(n) - offset[trajectory]
    score = (
        np.where(live[:, None], reward, 0.0).sum(axis=1) if outcomes is None else _vector("outcomes", outcomes, size)
    )
    _refuse((live & ~np.isfinite(score))[:, None], score[:, None], "outcome")
    made: dict[str, NDArray[Any]] = {
        "group": _numbered(groups, size)[trajectory],
        "trajectory": trajectory,
        "turn": turn,
        "reward": np.bincount(owner[live].ravel(), weights=reward[live].ravel(), minlength=n),
        "outcome": score[trajectory],
        "done": turn + 1 == counts[trajectory],
        "state": np.arange(n, dtype=np.uint64),
        "tokens": np.bincount(owner[model], minlength=n),
    }
    if states is not None:
        keys = [hash_state(key) for key in _ragged("states", states, counts)]
        made["state"] = np.asarray(keys, dtype=np.uint64)
    for name, values in (columns or {}).items():
        made[name] = np.asarray(_ragged(name, values, counts), dtype=REQUIRED.get(name, np.float64))
    order = np.lexsort((made["turn"], made["trajectory"], made["group"]))
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    kind = TurnTable if states is not None else StatelessTable
    table = kind({name: values[order] for name, values in made.items()})
    row = np.full(model.shape, -1, dtype=np.int64)
    row[model] = place[owner[model]]
    return TokenTurns(table, row)


def count_turns(mask: Any) -> list[int]:
    """Turns in each row of `[B, T]`: unbroken runs of tokens that are not 0."""
    return _first_tokens(_matrix("mask", mask) != 0, None).sum(axis=1).tolist()


def state_keys(tokens: Any, mask: Any, real: Any) -> list[list[str]]:
    """The observation before each turn, as a key: the tokens that the environment wrote since the turn before.

    The first turn's is all that stands before it, the prompt included. Two turns are in the same state if the same
    tokens stood right before them, as GiGPO (arXiv 2505.10978) has it; what happened earlier does not count.

    Args:
        tokens: `[B, L]` token ids of whole sequences, prompts included.
        mask: `[B, L]` not 0 where the model wrote the token.
        real: `[B, L]` 0 for padding.
    """
    ids = _matrix("tokens", tokens).astype(np.int64)
    model, seen = _matrix("mask", mask) != 0, _matrix("real", real) != 0
    if not ids.shape == model.shape == seen.shape:
        raise CreditError(f"tokens, mask and real must have one shape, not {ids.shape}, {model.shape}, {seen.shape}")
    first = _first_tokens(model, None)
    told = seen & ~model
    # A token's part is how many turns have begun by then: part t holds what stands before turn t, and turn t - 1.
    part = np.cumsum(first, axis=1)
    return [
        [ids[row, told[row] & (part[row] == turn)].tobytes().hex() for turn in range(int(part[row].max(initial=0)))]
        for row in range(len(ids))
    ]


# What a registry's signature does not carry --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known about a batch beyond what a trainer hands to an advantage function; see `turn_table`."""

    mask: Any = None
    states: Ragged | None = None
    columns: Mapping[str, Ragged] | None = None


_FACTS: ContextVar[Facts | None] = ContextVar("agentgym_facts", default=None)


@contextmanager
def facts(
    *, mask: Any = None, states: Ragged | None = None, columns: Mapping[str, Ragged] | None = None
) -> Generator[None]:
    """What `Estimator`s called within should know about the batch, in this thread.

    Args:
        mask: `[B, T]` instead of the trainer's, where that does not tell the model's tokens from the environment's.
        states: see `turn_table`.
        columns: see `turn_table`.
    """
    token = _FACTS.set(Facts(mask, states, columns))
    try:
        yield
    finally:
        _FACTS.reset(token)


@dataclass(frozen=True)
class Estimator:
    """An advantage function of the shape that verl's and SkyRL's registries take. Equal if its credit is equal."""

    pipeline: Pipeline
    needs_mask: bool = False
    """Whether the trainer's own mask is of no use, so that `facts` must bring another."""

    def __call__(self, token_level_rewards: Any, response_mask: Any, index: Any = None, **_: Any) -> tuple[Any, Any]:
        """Advantages of a batch.

        Args:
            token_level_rewards: `[B, T]` tensor.
            response_mask: `[B, T]` tensor, 1 where the model wrote the token.
            index: `[B]` the task of each response; equal ones are one group.

        Returns:
            Advantages `[B, T]`, of the rewards' kind and device, 0 where no turn is; and the same again as returns,
            as the estimators without a critic of both trainers have it.

        Raises:
            CreditError: no index, no mask, values out of place, or columns or states that the credit needs are unknown.
        """
        known = _FACTS.get() or Facts()
        if index is None:
            raise CreditError("advantages need to know each response's task: the trainer gave no index (its uid)")
        if self.needs_mask and known.mask is None:
            raise CreditError(
                "this trainer's response_mask covers the environment's tokens too, so turns cannot be found in it; "
                "wrap the trainer's function with `observing` (docs/integrations.md)"
            )
        mask = response_mask if known.mask is None else known.mask
        batch = turn_table(token_level_rewards, mask, index, states=known.states, columns=known.columns)
        self.pipeline.check(batch.table.columns)
        values = batch.advantages(self.pipeline)
        return like(token_level_rewards, values), like(token_level_rewards, values)


# Small parts ---------------------------------------------------------------------------------------------------------


def pipeline(credit: Credit, columns: Sequence[str] = ()) -> Pipeline:
    """The pipeline that `credit` means, checked.

    Args:
        credit: what was asked for.
        columns: names of columns that will be there beyond the required ones.

    Raises:
        UnknownNameError: no module has that name.
        CreditError: a module needs a column that will not be there, or none writes `advantage`.
    """
    if isinstance(credit, str):
        credit = [{"use": credit}]
    made = credit if isinstance(credit, Pipeline) else Pipeline.from_config(credit)
    made.check([*REQUIRED, *columns])
    return made


def title(credit: Credit, name: str | None) -> str:
    """The name to register under: the one given, or `agentgym-MODULE`.

    Raises:
        UsageError: more than a module's name was asked for, and no name given.
    """
    if name is not None:
        return name
    if isinstance(credit, str):
        return f"agentgym-{credit}"
    raise UsageError("a list of credit modules needs a name to be registered under: name = '...'")


def standalone() -> list[str]:
    """Names of the credit modules that estimate advantages from the required columns alone, with their defaults."""
    found: list[str] = []
    for name in registry.names("credit"):
        try:
            pipeline(name)
        except (AgentgymError, ImportError, AttributeError):
            continue  # It needs columns, or shapes rewards only, or another distribution's module cannot be loaded.
        found.append(name)
    return found


def need(module: str, package: str) -> Any:
    """A module of somebody else's package.

    Raises:
        UsageError: it cannot be imported; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"{module} cannot be imported ({error}); install {package} first") from error


def like(reference: Any, values: NDArray[np.float64]) -> Any:
    """Values as a tensor of the reference's device and floating type; as they are if the reference is no tensor."""
    if not hasattr(reference, "new_tensor"):
        return values
    return (reference if reference.is_floating_point() else reference.float()).new_tensor(values)


def to_numpy(values: Any) -> NDArray[Any]:
    """A tensor (of any kind, on any device) or a list as a numpy array."""
    return values.detach().cpu().double().numpy() if hasattr(values, "detach") else np.asarray(values)


def _matrix(name: str, values: Any) -> NDArray[np.float64]:
    array = to_numpy(values)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise CreditError(f"{name} must be numbers [B, T], not {array.dtype} {list(array.shape)}")
    return array.astype(np.float64)


def _vector(name: str, values: Any, size: int) -> NDArray[np.float64]:
    array = to_numpy(values)
    if array.shape != (size,) or array.dtype.kind not in "biuf":
        raise CreditError(
            f"{name} must be {size} numbers, one a row of the batch, not {array.dtype} {list(array.shape)}"
        )
    return array.astype(np.float64)


def _first_tokens(model: NDArray[np.bool_], turns: Any) -> NDArray[np.bool_]:
    """`[B, T]` true at the first token of each turn."""
    if turns is None:
        return model & ~np.pad(model, ((0, 0), (1, 0)))[:, :-1]
    numbers = _matrix("turns", turns)
    if numbers.shape != model.shape:
        raise CreditError(f"turns have shape {list(numbers.shape)}, the mask has {list(model.shape)}")
    reached = np.maximum.accumulate(np.where(model, numbers, -np.inf), axis=1)
    before = np.pad(reached, ((0, 0), (1, 0)), constant_values=-np.inf)[:, :-1]
    _refuse(model & ~(numbers >= before), numbers, "turn (numbers must be finite and never fall)")
    _refuse(model & ~np.isfinite(numbers), numbers, "turn (numbers must be finite and never fall)")
    return model & (numbers > before)


def _refuse(wrong: NDArray[np.bool_], values: NDArray[Any], what: str) -> None:
    if wrong.any():
        row, column = (int(at[0]) for at in np.nonzero(wrong))
        raise CreditError(f"batch row {row}, token {column}: the {what} is {values[row, column]}")


def _numbered(groups: Any, size: int) -> NDArray[np.int64]:
    """Groups numbered in order of first appearance."""
    keys: list[Any] = groups.tolist() if hasattr(groups, "tolist") else list(groups)
    if len(keys) != size:
        raise CreditError(f"there are {len(keys)} groups for {size} rows of the batch")
    numbers: dict[Any, int] = {}
    return np.asarray([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _ragged(name: str, values: Ragged, counts: NDArray[Any]) -> list[Any]:
    """Values by row and turn, laid end to end; rows without turns are passed over."""
    if len(values) != len(counts):
        raise CreditError(f"{name}: there are {len(values)} lists for {len(counts)} rows of the batch")
    flat: list[Any] = []
    for row, (given, count) in enumerate(zip(values, counts.tolist(), strict=True)):
        if count and len(given) != count:
            raise CreditError(f"{name}: batch row {row} has {count} turns, and {len(given)} values for them")
        flat += given if count else []
    return flat
