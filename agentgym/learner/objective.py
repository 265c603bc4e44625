"""What one pack adds to the loss of a step, and what is to be known about it.

The learner asks for the surrogate that the recipe names; here it gets it, with the KL and entropy terms and truncated
weights around it, and with the distance between learner and sampler measured whatever the loss.
"""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from agentgym import loss as losses
from agentgym.batch import Packed
from agentgym.optim import LearnerConfig

Mode = Literal["policy", "sft"]


@dataclass(frozen=True)
class Objective:
    """Of one pack."""

    per_token: Tensor
    """`[A]`, with gradient; what a token weighs comes on top."""
    means: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Metrics that are means over action tokens."""
    peaks: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Metrics that are the largest of all action tokens."""


class Tally:
    """Metrics of a batch, pack by pack."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._peaks: dict[str, Tensor] = {}

    def add(self, loss: Tensor, objective: Objective, share: float) -> None:
        """One pack's part of the loss, and its metrics; `share` is how much of all action tokens it has."""
        self._sums["loss"] = self._sums.get("loss", 0.0) + float(loss.detach())
        for name, value in objective.means.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value) * share
        for name, value in objective.peaks.items():
            # Unlike max() of numbers, this keeps a NaN wherever it stands.
            self._peaks[name] = torch.maximum(self._peaks.get(name, value), value)

    def parts(self) -> tuple[dict[str, float], dict[str, float]]:
        """Sums and peaks so far, as numbers."""
        return self._sums, {name: float(value) for name, value in self._peaks.items()}

    @classmethod
    def joined(cls, parts: Iterable[tuple[dict[str, float], dict[str, float]]]) -> Tally:
        """The tally of all packs, of what the `parts` of each rank were; of one alone, the same to the bit."""
        joined = cls()
        for sums, peaks in parts:
            for name, value in sums.items():
                joined._sums[name] = joined._sums.get(name, 0.0) + value
            for name, number in peaks.items():
                value = torch.tensor(number)
                joined._peaks[name] = torch.maximum(joined._peaks.get(name, value), value)
        return joined

    def metrics(self) -> dict[str, float]:
        """Loss and metrics of all packs so far; `ess` comes of the mean ratio and its mean square."""
        found = self._sums | {name: float(value) for name, value in self._peaks.items()}
        square = found.pop("ratio_square", None)
        return found if square is None else found | {"ess": losses.effective_sample_share(found["ratio"], square)}


def objective(
    cfg: LearnerConfig, mode: Mode, p: Packed, logprob: Tensor, entropy: Tensor, reference: Tensor | None
) -> Objective:
    """The per-token loss of a pack.

    Args:
        cfg: which loss.
        mode: `policy`, or `sft` for maximum likelihood, which looks at nothing but `logprob`.
        p: the pack.
        logprob: `[A]`, of its action tokens, with gradient.
        entropy: `[A]`, with gradient.
        reference: `[A]`, under the reference model; `None` for no KL term.
    """
    means = {"entropy": entropy.detach().mean()}
    if mode == "sft":
        return Objective(losses.negative_log_likelihood(logprob), means)
    own = logprob.detach()
    advantage = p.advantage
    away = None if reference is None else losses.kl_estimate(cfg.kl_form, logprob, reference)
    if away is not None and cfg.kl_in == "reward":
        advantage = advantage - cfg.kl * away.detach()

    per_token, cut = _surrogate(cfg, p, logprob, p.logprob if cfg.ratio == "sampler" else own, advantage)
    for name, where in cut.items():
        means[name] = where.to(torch.float32).mean()
    if cfg.tis_cap is not None:
        weight = losses.truncated_weight(own, p.logprob, cfg.tis_cap)
        per_token = weight * per_token
        means["tis_fraction"] = (weight >= cfg.tis_cap).to(torch.float32).mean()

    apart = losses.mismatch(own, p.logprob)
    means |= {name: value.mean() for name, value in apart.items()}
    means["ratio_square"] = apart["ratio"].square().mean()
    if away is not None:
        means["kl_reference"] = away.detach().mean()
        if cfg.kl_in == "loss":
            per_token = per_token + cfg.kl * away
    if cfg.entropy:
        per_token = per_token - cfg.entropy * entropy
    return Objective(per_token, means, {"ratio_max": apart["ratio"].max()})


def _surrogate(
    cfg: LearnerConfig, p: Packed, logprob: Tensor, old: Tensor, advantage: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The policy loss `[A]`, and which tokens its bounds touched.

    For surrogates that is where the gradient was taken away, for CISPO where the weight was cut.
    """
    low, high, own = cfg.clip_low, cfg.clip_high, logprob.detach()
    if cfg.loss == "reinforce":
        return losses.reinforce(logprob, advantage), {}
    if cfg.loss == "cispo":
        below, above = losses.outside(losses.log_ratio(own, old).exp(), low, high)
        per_token = losses.cispo(logprob, old, advantage, low, high)
    else:
        if cfg.loss == "clip":
            ratio = losses.log_ratio(own, old)
            per_token = losses.clipped_surrogate(logprob, old, advantage, low, high)
        else:
            unit = p.sequence if cfg.loss == "gspo" else p.unit
            ratio = losses.unit_log_ratio(own, old, unit)
            per_token = losses.sequence_surrogate(logprob, old, advantage, unit, low, high)
        below, above = losses.outside(ratio.exp(), low, high)
        below, above = below & (advantage < 0), above & (advantage > 0)
    return per_token, {"clip_fraction": below | above, "clip_low_fraction": below, "clip_high_fraction": above}
