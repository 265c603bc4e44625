"""A second policy that learns what tells successes from failures; its log-ratio to the reference rewards each turn."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from agentgym.errors import CreditError
from agentgym.scorers.base import Scorer, ScorerContext, Working


class ImplicitReward(Scorer):
    """Writes `implicit_reward`: beta times the sum over the turn's tokens of log pi_phi - log pi_ref.

    pi_ref is the policy as it was in the first iteration of reinforcement learning (after a warm start of the same
    run); neither it nor pi_phi moves when the policy learns. pi_phi begins as pi_ref, so that all rewards of the first
    iteration are 0, and after each iteration has been scored takes `steps` steps of AdamW. With s the sum of an
    attempt's rewards, `objective` is
    `preference`: mean over pairs of -log sigmoid(s_win - s_lose). Within each group every success is paired with one
    failure, drawn without replacement while they last, by a generator of the run's seed;
    `outcome`: mean over attempts of the cross-entropy of sigmoid(s) against success.
    `heldout_loss` and `heldout_accuracy` are of pi_phi before it learnt from the iteration; where both attempts of a
    pair (or an attempt and 0) are equal, half a point.

    Memory: a copy of what the policy trains (the reference) and one of what phi trains; every other weight is shared
    with the policy. Both need a forward pass over the iteration, and learning another one with its gradients.

    Source: iStar (OPRL), arXiv 2509.19199, preference form with beta 0.05. Verified: read from the authors' public
    code; how it pairs where a group has more successes than failures could not be checked: here failures are used
    again. PRIME, arXiv 2502.01456, outcome form, from the paper. Training some upper layers only is this
    implementation's own.
    """

    writes: ClassVar[frozenset[str]] = frozenset({"implicit_reward"})

    objective: Literal["preference", "outcome"] = "preference"
    """What pi_phi is trained by."""
    beta: float = Field(default=0.05, gt=0)
    """Scale of the log-ratio, in learning too."""
    trainable: str = Field(default="upper:2", pattern=r"^(all|upper:\d+|layers:\d+-\d+)$")
    """What pi_phi trains: `all`, `upper:N` or `layers:A-B`, as in `[trainer]`."""
    lr: float = Field(default=5e-5, gt=0)
    """Learning rate of AdamW."""
    steps: int = Field(default=1, ge=1)
    """Steps an iteration, each over all of its attempts."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this global norm."""

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work, on the context's model.

        Raises:
            CreditError: there is no model.
            UsageError: `trainable` names layers that the model does not have.
        """
        if context.loaded is None:
            raise CreditError("implicit-reward: needs the policy's model: open it with a loaded model")
        from agentgym.scorers.implicit_learning import ImplicitWorking

        return ImplicitWorking(self, context, context.loaded)
