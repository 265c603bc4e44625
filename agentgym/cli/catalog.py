"""What is registered, with one line about each: read from specs and from source, without importing heavy plug-ins."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

from agentgym import registry
from agentgym.errors import AgentgymError


def catalog(kind: registry.Kind) -> list[dict[str, Any]]:
    """Name, summary and source of everything of a kind; environments also say what they can do.

    A plug-in that cannot be loaded is listed with the reason, and hides no other.
    """
    points = {point.name: point for point in importlib.metadata.entry_points(group=f"agentgym.{kind}")}
    found: list[dict[str, Any]] = []
    for name in registry.names(kind):
        point = points[name]
        entry: dict[str, Any] = {
            "name": name,
            "summary": "",
            "distribution": point.dist.name if point.dist is not None else None,
            "entry": point.value,
        }
        try:
            if kind == "envs":
                spec = registry.spec(name)
                entry |= {
                    "summary": spec.summary,
                    "abilities": sorted(ability.value for ability in spec.abilities),
                    "max_turns": spec.max_turns,
                    "host": spec.host,
                    "dialect": spec.dialect,
                    "extra": spec.extra,
                }
            else:
                entry["summary"] = docstring(point.module, point.attr)
        except (AgentgymError, ImportError, OSError, SyntaxError) as error:
            entry["summary"] = f"cannot be loaded: {error}"
        found.append(entry)
    return found


def docstring(module: str, attribute: str) -> str:
    """First line of a class's or function's docstring, read from the source: its module is not run."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return f"cannot be loaded: there is no module {module}"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""
