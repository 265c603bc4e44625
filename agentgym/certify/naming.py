"""An environment by name or as a spec, in a form that reaches another process with another working folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentgym.env import Ability, EnvSpec
from agentgym.errors import UsageError


def absolute(env: str) -> str:
    """`./file.py:SPEC` with its whole path; an id as it is."""
    file, colon, attribute = env.rpartition(":")
    return f"{os.path.abspath(file)}:{attribute}" if colon and file.endswith(".py") else env


def to_record(spec: EnvSpec) -> dict[str, Any]:
    """A spec as JSON values."""
    return {**asdict(spec), "abilities": sorted(map(str, spec.abilities))}


def from_record(record: Mapping[str, Any]) -> EnvSpec:
    """The inverse of `to_record`.

    Raises:
        UsageError: it is no spec.
    """
    try:
        known = set(Ability)
        abilities = frozenset(Ability(name) if name in known else name for name in record["abilities"])
        changes: dict[str, Any] = {**record, "abilities": abilities, "components": tuple(record["components"])}
        return EnvSpec(**changes)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"not a spec: {error}") from error


def has_relative_path(options: Mapping[str, Any]) -> bool:
    """Whether an option names something in the working folder, which then may not be another one."""
    return any(isinstance(v, str) and v and not os.path.isabs(v) and os.path.exists(v) for v in options.values())
