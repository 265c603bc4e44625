"""A group's attempts aligned at the states that they share: a graph in which one sees which action did better.

Nodes are states (anchors), edges the actions taken from them. The value of a node is the mean reward to go of the
visits to it, the value of an edge that of the visits that went this way: the difference is what anchor-state grouping
pays.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from agentgym.records import read_float
from agentgym.view.record import returns

NODES = 2000
"""Nodes of one graph."""
KEY = 500
"""Characters of a state key that are shown."""
LABEL = 60
"""Characters of a node's label."""
ACTION = 300
"""Characters of an action."""


@dataclass
class _Node:
    key: str
    label: str
    terminal: str | None
    depth: int
    values: list[float] = field(default_factory=list[float])
    members: set[int] = field(default_factory=set[int])


@dataclass
class _Edge:
    values: list[float] = field(default_factory=list[float])
    members: list[int] = field(default_factory=list[int])


def graph(group: str, played: Sequence[tuple[int, dict[str, Any]]], truncated: bool = False) -> dict[str, Any]:
    """The graph of a group.

    Args:
        group: its id.
        played: row number and record of each attempt, as the log has it.
        truncated: whether some attempts were left out already.
    """
    nodes: list[_Node] = []
    places: dict[str, int] = {}
    edges: dict[tuple[int, int, str], _Edge] = {}
    attempts: list[dict[str, Any]] = []

    def node(state: str, label: str, depth: int, terminal: str | None) -> int | None:
        # A terminal state is a node of its own: nobody goes on from there, whoever else passes through the state.
        key = hashlib.blake2b(f"{terminal}\0{state}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        place = places.get(key)
        if place is None:
            if len(nodes) >= NODES:
                return None
            place = places[key] = len(nodes)
            nodes.append(_Node(_cut(state, KEY), _label(label), terminal, depth))
        nodes[place].depth = min(nodes[place].depth, depth)
        return place

    for n, record in played:
        turns, score = record["turns"], read_float(record["score"])
        rewards = [read_float(turn["reward"]) for turn in turns]
        togo = returns([r if math.isfinite(r) else 0.0 for r in rewards], score if math.isfinite(score) else None, 1.0)
        steps: list[int | None] = []
        for depth, turn in enumerate(turns):
            seen = turn["observation"]
            place = node(_state(seen), seen["text"], depth, None)
            steps.append(place)
            if place is not None:
                nodes[place].values.append(togo[depth])
                nodes[place].members.add(n)
        final = record.get("final")
        state = _state(final) if final is not None else record["ending"]
        last = node(state, final["text"] if final is not None else record["ending"], len(turns), record["ending"])
        steps.append(last)
        if last is not None:
            nodes[last].values.append(score if math.isfinite(score) else 0.0)
            nodes[last].members.add(n)
        truncated = truncated or None in steps
        for depth, turn in enumerate(turns):
            a, b = steps[depth], steps[depth + 1]
            if a is not None and b is not None:
                edge = edges.setdefault((a, b, _action(turn)), _Edge())
                edge.values.append(togo[depth])
                if n not in edge.members:
                    edge.members.append(n)
        attempts.append(
            {
                "n": n,
                "id": record["id"],
                "attempt": record["attempt"],
                "ending": record["ending"],
                "success": bool(record["success"]),
                "score": score if math.isfinite(score) else None,
                "turns": len(turns),
                "steps": [step for step in steps if step is not None],
            }
        )
    return {
        "group": group,
        "trajectories": attempts,
        "nodes": [_shown(one) for one in nodes],
        "edges": _edges(edges, nodes),
        "truncated": truncated,
    }


def _edges(edges: dict[tuple[int, int, str], _Edge], nodes: Sequence[_Node]) -> list[dict[str, Any]]:
    """Edges with the value of their action, whatever state it led to, against that of the state."""
    by_action: dict[tuple[int, str], list[float]] = {}
    actions: dict[int, set[str]] = {}
    for (a, _, action), edge in edges.items():
        by_action.setdefault((a, action), []).extend(edge.values)
        actions.setdefault(a, set()).add(action)
    made: list[dict[str, Any]] = []
    for (a, b, action), edge in edges.items():
        value = fmean(by_action[a, action])
        several = len(actions[a]) > 1
        made.append(
            {
                "from": a,
                "to": b,
                "action": _cut(action, ACTION),
                "count": len(edge.values),
                "value": value,
                "advantage": value - fmean(nodes[a].values) if several else None,
                "trajectories": edge.members,
            }
        )
    return made


def _shown(node: _Node) -> dict[str, Any]:
    return {
        "key": node.key,
        "label": node.label,
        "visits": len(node.values),
        "trajectories": len(node.members),
        "depth": node.depth,
        "value": fmean(node.values) if node.values else None,
        "terminal": node.terminal,
    }


def _state(seen: dict[str, Any]) -> str:
    state = seen.get("state")
    return str(seen["text"] if state is None else state)


def _action(turn: dict[str, Any]) -> str:
    action = turn.get("action")
    return str(turn["completion"]["text"] if action is None else action)[:2000]


def _label(text: str) -> str:
    return _cut(" ".join(str(text)[:2000].split()), LABEL)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
