"""The parts of PDDL that household games are written in: a problem's facts and goal, and a domain's fingerprint.

The rules of the world are written in Python (`rules`), because interpreting the domain would cost a hundred times as
much. So that no game is played by rules that are not its own, each action of its domain is compared by fingerprint
with those that the rules were written from.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any, NamedTuple

from agentgym.errors import UsageError

MOST_TOKENS = 20_000
"""Of a goal; real ones have about 80."""
DEEPEST = 60
FACT = re.compile(r"\(\s*([^\s()]+)((?:\s+[^\s()]+)*)\s*\)")
COMMENT = re.compile(r";[^\n]*")
TOKEN = re.compile(r"[()]|[^\s()]+")

KNOWN: dict[str, tuple[str, ...]] = {
    "look": ("eb1bda5883fb", "c19ff357a8ab"),
    "inventory": ("0044df41c6bf", "824fb2f576d9"),
    "examinereceptacle": ("49797409c0f8", "ff3c20e6ea7b"),
    "examineobject": ("3b0b95c57eb8", "fae3c9b97c60"),
    "gotolocation": ("1de0c4ffb34d", "d70ca08ef742"),
    "openobject": ("bdd9f0fd6fd3", "33f0afaaa581"),
    "closeobject": ("292486ec09de", "dd9a794f620d"),
    "pickupobject": ("9772ddaeca18", "f5581f1d606a"),
    "putobject": ("5bb81697aaa6", "c384d06ca469"),
    "cleanobject": ("02dc46265828", "95bb7e5f90c6", "3d66b9015f7d"),
    "heatobject": ("69a3578dce0e", "42da9509cae9"),
    "coolobject": ("4ac2c2d0d0f7", "c4d41651f3bb"),
    "toggleobject": ("fd734c035107", "190fd6011ca7"),
    "sliceobject": ("4c7ffae5359f", "a62d100c0abf"),
    "help": ("0044df41c6bf", "824fb2f576d9"),
}
"""Fingerprints of the actions' definitions by name: upstream's old and new domain, and ours."""


class Condition(NamedTuple):
    """One part of a goal that can be met on its own: things that must exist together."""

    atoms: tuple[tuple[str, tuple[str, ...]], ...]
    """Predicates over variables (`"?o"`) and names."""


class Problem(NamedTuple):
    """A problem as it is read."""

    facts: list[tuple[str, ...]]
    """Predicate and names, lower case."""
    goal: tuple[Condition, ...]


def read_problem(text: str) -> Problem:
    """Facts and goal of a problem.

    Raises:
        UsageError: it has no such parts, or a goal of another form.
    """
    text = COMMENT.sub("", text).lower()
    begin, end = text.find("(:init"), text.find("(:goal")
    if begin < 0 or end < begin:
        raise UsageError("the problem has no (:init ...) with a (:goal ...) after it")
    facts = [(m[1], *m[2].split()) for m in FACT.finditer(text, begin + 6, end)]
    # What is counted (costs, distances) is no fact: "(= (total-cost) 0)".
    facts = [fact for fact in facts if fact[0] not in ("total-cost", "distance")]
    return Problem(facts, tuple(Condition(tuple(atoms)) for atoms in _conditions(_tree(text[end:])[1])))


def _tree(text: str) -> Any:
    """The first bracketed expression as nested lists."""
    stack: list[list[Any]] = [[]]
    for number, match in enumerate(TOKEN.finditer(text)):
        token = match[0]
        if token == "(":
            stack.append([])
            if len(stack) > DEEPEST or number > MOST_TOKENS:
                raise UsageError(f"the goal is nested deeper than {DEEPEST} or longer than {MOST_TOKENS} words")
        elif token == ")":
            done = stack.pop()
            if len(stack) <= 1:
                if len(done) < 2:
                    raise UsageError("the goal is empty")
                return done
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    raise UsageError("the problem ends within its goal: it is cut off")


def _conditions(node: Any) -> list[list[tuple[str, tuple[str, ...]]]]:
    """The conjuncts of a goal, each with its quantifiers dissolved (all its variables must exist)."""
    if isinstance(node, list) and node and node[0] == "and":
        return [part for child in node[1:] for part in _conditions(child)]
    return [_atoms(node)]


def _atoms(node: Any) -> list[tuple[str, tuple[str, ...]]]:
    if not isinstance(node, list) or not node or not isinstance(node[0], str):
        raise UsageError(f"the goal has a part that is not understood: {str(node)[:80]}")
    head, rest = node[0], node[1:]
    if head == "and":
        return [atom for child in rest for atom in _atoms(child)]
    if head == "exists" and len(rest) == 2:
        return _atoms(rest[1])
    if head == "not" and len(rest) == 1 and isinstance(rest[0], list) and rest[0][:1] == ["="]:
        return []  # Different variables are different things anyway.
    if head in ("or", "not", "forall", "exists", "imply", "when", "=") or not all(isinstance(a, str) for a in rest):
        raise UsageError(f"the goal has a part that is not understood: ({head} ...)")
    return [(head, tuple(rest))]


@functools.lru_cache(maxsize=16)
def fingerprints(domain: str) -> dict[str, str]:
    """Name to fingerprint of each action of a domain; comments, spaces and case do not count."""
    text = re.sub(r"\s+", " ", COMMENT.sub("", domain).lower())
    found: dict[str, str] = {}
    for part in text.split("(:action ")[1:]:
        name, _, body = part.partition(" ")
        body = re.sub(r"\s*([()])\s*", r"\1", body).rstrip(") ")  # The domain's own bracket follows the last action.
        found[name] = hashlib.blake2b(body.encode(), digest_size=6).hexdigest()
    return found


def check_domain(domain: str) -> frozenset[str]:
    """Names of the domain's actions.

    Raises:
        UsageError: it is no domain, or an action is not defined as the rules here have it.
    """
    found = fingerprints(domain)
    if "gotolocation" not in found:
        raise UsageError("the domain is not ALFWorld's: it has no action GotoLocation")
    for name, print_ in found.items():
        if print_ not in KNOWN.get(name, ()):
            raise UsageError(
                f"the domain defines the action {name!r} in a way that this engine does not know "
                f"(fingerprint {print_}); it plays the domains of ALFWorld 0.3 and 0.4 and its own"
            )
    return frozenset(found)
