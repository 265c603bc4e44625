"""Which pipeline is measured for which credit module, and why some modules cannot be measured.

A shaper alone writes no advantage: it is measured with an estimator behind it, `rloo` where it acts on outcomes and
`discounted-return` where it acts on turn rewards, both of which add no bias of their own. Columns that a scorer would
bring are exact (`agentgym.lab.columns`). A registered module that is in neither table is a failing test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentgym.credit.pipeline import Pipeline

RLOO: Mapping[str, Any] = {"use": "rloo"}
RETURNS: Mapping[str, Any] = {"use": "discounted-return"}


@dataclass(frozen=True, eq=False)
class Variant:
    """A pipeline that shows what a module does."""

    module: str
    """The module that it is about."""
    label: str
    """As tables show it: the module, and what is not default."""
    entries: tuple[Mapping[str, Any], ...]
    """The pipeline, as a recipe would have it."""
    batch: bool = False
    """Whether advantages depend on the whole batch, not on their group alone."""

    def pipeline(self) -> Pipeline:
        """The pipeline.

        Raises:
            UsageError: a module of it cannot be imported.
            ConfigError: a module of it has no such parameters.
        """
        return Pipeline.from_config(self.entries)


def _alone(module: str, batch: bool = False, /, **parameters: Any) -> Variant:
    """An estimator."""
    said = ", ".join(f"{k} = {v}" for k, v in parameters.items())
    return Variant(module, f"{module} ({said})" if said else module, ({"use": module, **parameters},), batch)


def _before(estimator: Mapping[str, Any], module: str, said: str = "", /, **parameters: Any) -> Variant:
    """A shaper with an estimator behind it."""
    label = f"{module} ({said}), {estimator['use']}" if said else f"{module}, {estimator['use']}"
    return Variant(module, label, ({"use": module, **parameters}, estimator))


USEFUL = {"column": "reward.useful", "weight": 0.1}
LEVELS = [{"columns": {"reward.valid": 0.1}, "threshold": 0.2}, {"columns": {"reward": 1.0}}]

VARIANTS: tuple[Variant, ...] = (
    _alone("outcome"),
    _alone("discounted-return"),
    _alone("grpo"),
    _alone("dr-grpo"),
    _alone("rloo"),
    _alone("reinforce++", True),
    _alone("reinforce++", True, baseline="group"),
    _alone("turn-group"),
    _alone("turn-group", gamma=0.0),
    _alone("gae"),
    _alone("gae", lam=0.0),
    _alone("min-form", column="progress_score"),
    _alone("anchor-state", gamma=1.0),
    _alone("anchor-state"),
    _alone("anchor-state", step_weight=0.0, episode_statistics="rows"),
    _before(RLOO, "gated-accumulation", "a tenth for useful actions", low=[USEFUL]),
    _before(RLOO, "hierarchical-gate", "valid actions, then the reward", levels=LEVELS),
    _alone("information-gain"),
    _alone("information-gain", normalise="return"),
    _before(RETURNS, "log-ratio-td"),
    _before(RETURNS, "progress"),
    _before(RETURNS, "progress", "beta = 0", beta=0.0),
    _alone("implicit-step"),
    _alone("implicit-process"),
    Variant("entropy-modulated", "rloo, entropy-modulated", (RLOO, {"use": "entropy-modulated"}), batch=True),
    _before(RETURNS, "renorm"),
    _before(RETURNS, "tool-correctness"),
    _before(RLOO, "tool-correctness", "weights a tenth", weight=0.1, format_weight=0.1),
    _before(RLOO, "behaviour-step"),
    _before(RLOO, "citation-rubric"),
    _before(RLOO, "scheduled-mix"),
    _before(RLOO, "partial-success"),
    _before(RETURNS, "novelty"),
    _before(RETURNS, "potential"),
    _before(RETURNS, "potential", "terminal = keep", terminal="keep"),
    _before(RLOO, "format"),
    _before(RLOO, "length", "1 to 4 words", free=1, limit=4, penalty=0.2),
    _before(RLOO, "invalid-action"),
    _before(RLOO, "likelihood"),
    _before(RETURNS, "subgoal", "useful actions", column="reward.useful"),
)
"""What is measured, in the order of the overview."""

NOT_MEASURED: dict[str, str] = {}
"""Registered modules that the lab cannot measure, with the reason in a sentence."""


def card_name(module: str) -> str:
    """Name of a module's card, without its ending.

    >>> card_name("reinforce++")
    'reinforce-pp'
    """
    return module.replace("++", "-pp")
