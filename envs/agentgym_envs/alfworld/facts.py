"""What holds in a household, and questions about it.

A fact is a predicate and numbers of things, `("inreceptacle", (17, 42))`. Things are numbered in the order of their
names, so that tuples sort as the upstream engine sorts its propositions: lists in its texts come in that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

Args = tuple[int, ...]
Binding = dict[str, int]
FREE = -(10**9)
"""Stands for a variable that is not bound; no thing has that number."""


class Atom(NamedTuple):
    """A predicate over variables: one condition of a query."""

    name: str
    variables: tuple[str, ...]


class Query(NamedTuple):
    """Conditions that must hold together; different variables are different things."""

    atoms: tuple[Atom, ...]
    constants: tuple[tuple[str, int], ...] = ()
    """Variables that stand for one thing each."""


class Facts:
    """Sets of facts by predicate: those that never change are shared by all attempts at a game.

    The facts of one predicate have the same number of arguments.
    """

    def __init__(self, fixed: Mapping[str, Sequence[Args]], changing: Mapping[str, set[Args]]) -> None:
        """Args: `fixed` sorted lists of facts that never change; `changing` the rest, owned by this object."""
        self.fixed, self.changing = fixed, changing

    def has(self, name: str, args: Args) -> bool:
        """Whether a fact holds."""
        found = self.changing.get(name)
        return args in (found if found is not None else self.fixed.get(name, ()))

    def sorted(self, name: str) -> Sequence[Args]:
        """All facts of a predicate in order."""
        found = self.changing.get(name)
        return self.fixed.get(name, ()) if found is None else sorted(found)

    def answers(self, atoms: Sequence[Atom], bound: Binding) -> Iterator[Binding]:
        """Every way to bind the free variables of `atoms` so that all hold, in the upstream engine's order.

        Args:
            atoms: the conditions, tried from the left.
            bound: variables that are bound already; it is not changed.
        """
        if not atoms:
            yield bound
            return
        (name, variables), rest = atoms[0], atoms[1:]
        wanted = tuple(bound.get(v, FREE) for v in variables)
        if FREE not in wanted:
            if self.has(name, wanted):
                yield from self.answers(rest, bound)
            return
        taken, size = set(bound.values()), len(variables)
        fixed = [(place, want) for place, want in enumerate(wanted) if want != FREE]
        free = [(place, variable) for place, variable in enumerate(variables) if wanted[place] == FREE]
        found = self.sorted(name)
        if found and len(found[0]) != size:
            return
        for place, want in fixed:
            found = [args for args in found if args[place] == want]
        for args in found:
            fresh = {variable: args[place] for place, variable in free}
            new = set(fresh.values())
            # Different variables are different things, and one variable is one thing.
            if len(new) == len(fresh) and not new & taken and all(fresh[v] == args[place] for place, v in free):
                yield from self.answers(rest, {**bound, **fresh})

    def any(self, query: Query) -> Binding | None:
        """The first answer to a query; `None` if there is none."""
        return next(self.answers(query.atoms, dict(query.constants)), None)
