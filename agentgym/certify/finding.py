"""What a stage of the certification found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agentgym.check.subject import Broken


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one property holds."""

    name: str
    ok: bool
    detail: str
    """What was looked at, or what is wrong and how to see it again."""
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    """What was counted and measured, by name; JSON values."""


class Failed(Broken):
    """A property does not hold; with the figures that say so."""

    def __init__(self, message: str, figures: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.figures = figures or {}
