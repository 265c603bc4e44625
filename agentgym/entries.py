"""A recipe's lists of plug-ins: `[{"use": "name", ...parameters}, ...]` as checked objects, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from agentgym import registry
from agentgym.config import Config, parse
from agentgym.errors import CreditError

C = TypeVar("C", bound=Config)


def entries(kind: registry.Kind, base: type[C], listed: Sequence[Mapping[str, Any]]) -> list[tuple[str, C]]:
    """Each entry's name, and the class of that name with the entry's parameters.

    Raises:
        UnknownNameError: nothing of the kind has that name.
        ConfigError: a parameter that it does not have, or a wrong value.
        CreditError: an entry without `use`, or a name of something of another kind.
    """
    made: list[tuple[str, C]] = []
    what = registry.SINGULAR[kind]
    for position, entry in enumerate(listed):
        name = entry.get("use")
        if not isinstance(name, str):
            found = f"use = {entry['use']!r}" if "use" in entry else ", ".join(entry) or "nothing"
            raise CreditError(f"{kind}.{position}: needs use = 'name of a {what}', has {found}")
        loaded = registry.load(kind, name)
        if not (isinstance(loaded, type) and issubclass(loaded, base)):
            raise CreditError(f"{kind}.{position}: {name!r} is no {what}")
        parameters = {k: v for k, v in entry.items() if k != "use"}
        made.append((name, parse(loaded, parameters, f"{kind}.{position} ({name})")))
    return made
