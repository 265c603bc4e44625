"""The scorer `implicit-reward` at work: the reference, the second policy, and how it learns from whole attempts."""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.errors import StoreError, UsageError
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig
from agentgym.scorers.base import ScorerContext, Working
from agentgym.scorers.forward import Forward, packs_of
from agentgym.scorers.frozen import Frozen, sharing_copy, trainable_names
from agentgym.scorers.places import action_queries, trajectories_of
from agentgym.seeding import generator
from agentgym.types import Trajectory

if TYPE_CHECKING:
    from agentgym.models import Loaded
    from agentgym.scorers.implicit_reward import ImplicitReward

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class ImplicitWorking(Working):
    """Holds the reference, and a learner of its own for the second policy; both are made at the first use."""

    def __init__(self, config: ImplicitReward, context: ScorerContext, loaded: Loaded) -> None:
        """Raises: `UsageError` if `config.trainable` names layers that the model does not have."""
        self.config, self.context = config, context
        self.frozen = Frozen(loaded.model)
        self.names = trainable_names(loaded.model, config.trainable)
        self.iteration = 0
        self._phi: Learner | None = None

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """`implicit_reward`, float64 `[n]`.

        Raises:
            CreditError: a turn without tokens; names the trajectory.
        """
        queries, phi = action_queries(played, table), self._learner()
        if phi.version == 0:  # Both are the same model still.
            return {"implicit_reward": np.zeros(len(table))}
        own, reference = (
            Forward(model, self.context.token_budget).logprobs(queries, len(table))
            for model in (phi.model, self.frozen.get())
        )
        return {"implicit_reward": self.config.beta * (own - reference)}

    def learn(self, played: Sequence[Trajectory], table: TurnTable) -> dict[str, float]:
        """Steps of the second policy; gives its loss and accuracy before them, and `pairs` or `attempts`.

        Without a single pair, or attempt, no step is taken and there is no loss to give.
        """
        kind = "pairs" if self.config.objective == "preference" else "attempts"
        success = np.asarray([t.success for t, _ in trajectories_of(played, table)], dtype=np.bool_)
        pairs = self._pairs(table, success) if kind == "pairs" else np.zeros((0, 2), dtype=np.int64)
        count = len(pairs) if kind == "pairs" else len(success)
        self.iteration += 1
        if not count:
            return {kind: 0.0}
        queries, phi = action_queries(played, table), self._learner()
        found: dict[str, float] = {}
        for step in range(self.config.steps):
            known = step == 0 and "implicit_reward" in table
            rewards = table["implicit_reward"] if known else self.score(played, table)["implicit_reward"]
            sums = table.trajectories.sum(rewards)
            loss, accuracy, slope = preference(sums, pairs) if kind == "pairs" else outcome(sums, success)
            if step == 0:
                found = {kind: float(count), "heldout_loss": loss, "heldout_accuracy": accuracy}
            weights = self.config.beta * slope[table.trajectories.ids]
            found["grad_norm"], applied = self._step(phi, queries, weights)
            found["skipped"] = float(not applied)
        return found

    def _step(self, phi: Learner, queries: Sequence[Any], weights: Float) -> tuple[float, bool]:
        """One update by the gradient of the sum over tokens of `weights[row]` times log pi_phi.

        The loss depends on the sums of whole attempts, which need not lie in one pack. Its slope in each sum is known
        beforehand, so every pack adds its part of the exact gradient alone.
        """
        taking_part = [q for q in queries if weights[q.row].any()]
        device = next(phi.model.parameters()).device
        for p in packs_of(taking_part, self.context.token_budget, weights):
            moved = p.to(device)
            logprob, _ = phi.logprobs(moved)
            (moved.advantage * logprob).sum().backward()
        return phi.apply(self.config.lr) if taking_part else (0.0, False)

    def _pairs(self, table: TurnTable, success: NDArray[np.bool_]) -> Int:
        """`[pairs, 2]` of trajectory numbers in the table: a success, and a failure of the same group."""
        groups = table["group"][table.trajectories.first]
        made: list[Int] = []
        for group in np.unique(groups):
            wins, losses = (np.flatnonzero((groups == group) & (success == won)) for won in (True, False))
            if len(wins) and len(losses):
                random = generator(self.context.seed, "implicit-reward", self.iteration, int(group))
                made.append(np.column_stack([wins, np.resize(random.permutation(losses), len(wins))]))
        return np.concatenate(made) if made else np.zeros((0, 2), dtype=np.int64)

    def _learner(self) -> Learner:
        if self._phi is None:
            cfg = self.config
            model = sharing_copy(self.frozen.get(), frozenset(self.names))
            self._phi = Learner(model, LearnerConfig(lr=cfg.lr, clip_norm=cfg.clip_norm, trainable=cfg.trainable))
        return self._phi

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The reference's own weights, and the second policy's with their moments."""
        meta: dict[str, Any] = {"kind": "implicit-reward", "iteration": self.iteration, "phi": None}
        if self._phi is None:
            return {}, meta
        tensors, meta["phi"] = self._phi.state()
        frozen = {f"frozen.{name}": value for name, value in self.frozen.tensors().items()}
        return frozen | {f"phi.{name}": value for name, value in tensors.items()}, meta

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Take both models again.

        Raises:
            StoreError: the state is of another scorer, or of other parameters.
        """
        if meta.get("kind") != "implicit-reward":
            raise StoreError(f"scorer 'implicit-reward': the checkpoint's state is of {meta.get('kind')!r}")
        self.iteration, self._phi = int(meta["iteration"]), None
        parts: dict[str, dict[str, Tensor]] = {"frozen": {}, "phi": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = value
        self.frozen.load(parts["frozen"])
        if meta["phi"] is not None:
            try:
                self._learner().load_state(parts["phi"], meta["phi"])
            except (StoreError, UsageError) as error:
                raise StoreError(f"scorer 'implicit-reward': {error}") from error

    def close(self) -> None:
        """Free the second policy."""
        self._phi = None


def preference(sums: Float, pairs: Int) -> tuple[float, float, Float]:
    """Mean over pairs of -log sigmoid(s_win - s_lose).

    Args:
        sums: `[attempts]` s.
        pairs: `[pairs, 2]` the winner's and the loser's number.

    Returns:
        The loss, the share of pairs that are in the right order, and the loss's slope in each sum `[attempts]`.
    """
    ahead = sums[pairs[:, 0]] - sums[pairs[:, 1]]
    pull = _sigmoid(-ahead) / len(pairs)
    slope = np.zeros(len(sums))
    np.add.at(slope, pairs[:, 1], pull)
    np.subtract.at(slope, pairs[:, 0], pull)
    return float(np.logaddexp(0.0, -ahead).mean()), _right(ahead), slope


def outcome(sums: Float, success: NDArray[np.bool_]) -> tuple[float, float, Float]:
    """Mean over attempts of the cross-entropy of sigmoid(s) against success; gives what `preference` gives."""
    ahead = np.where(success, sums, -sums)
    slope = (_sigmoid(sums) - success) / len(sums)
    return float(np.logaddexp(0.0, -ahead).mean()), _right(ahead), slope


def _right(ahead: Float) -> float:
    return float(np.mean((np.sign(ahead) + 1.0) / 2.0))


def _sigmoid(x: Float) -> Float:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # Overflows for no x.
