"""Weighed reward components: several environments pay their turns by name, each with weights that can be changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from agentgym.errors import UnknownNameError, UsageError


def weights(suite: str, defaults: Mapping[str, float], given: Mapping[str, Any] | None) -> dict[str, float]:
    """The weights, with the defaults where nothing is given.

    Args:
        suite: whose components they are, for the error.
        defaults: every component that there is.
        given: what somebody wants otherwise.

    Raises:
        UnknownNameError: a component that there is not.
        UsageError: a weight that is no number from 0 on.
    """
    made = dict(defaults)
    for name, value in (given or {}).items():
        if name not in made:
            raise UnknownNameError(f"reward component of {suite}", name, made)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise UsageError(f"weights.{name} must be a number from 0 on, not {value!r}")
        made[name] = float(value)
    return made


def weighed(raw: Mapping[str, float], weight: Mapping[str, float]) -> dict[str, float]:
    """Every component times its weight; what `raw` does not have is 0."""
    return {name: raw.get(name, 0.0) * value for name, value in weight.items()}
