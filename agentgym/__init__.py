"""Environments, turn-level credit and a training loop for LLM agents that act over many turns.

Names are imported on first use, so that `import agentgym` costs milliseconds and pulls in neither torch nor
gymnasium.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentgym.env import Ability, EnvSpec, TextEnv
    from agentgym.registry import make, spec
    from agentgym.tasks import TaskSet
    from agentgym.types import Completion, Ending, Observation, Step, Task, Trajectory, Turn

__version__ = "0.1.0"

_HOME = {
    "Ability": "agentgym.env",
    "Completion": "agentgym.types",
    "Ending": "agentgym.types",
    "EnvSpec": "agentgym.env",
    "Observation": "agentgym.types",
    "Step": "agentgym.types",
    "Task": "agentgym.types",
    "TaskSet": "agentgym.tasks",
    "TextEnv": "agentgym.env",
    "Trajectory": "agentgym.types",
    "Turn": "agentgym.types",
    "make": "agentgym.registry",
    "spec": "agentgym.registry",
}

__all__ = [
    "Ability",
    "Completion",
    "Ending",
    "EnvSpec",
    "Observation",
    "Step",
    "Task",
    "TaskSet",
    "TextEnv",
    "Trajectory",
    "Turn",
    "__version__",
    "make",
    "spec",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'agentgym' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def _announce() -> None:
    from agentgym.gym import announce  # Light: Gymnasium itself is not imported.

    announce()


_announce()
