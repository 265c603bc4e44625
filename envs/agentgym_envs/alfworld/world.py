"""One attempt at a game: what holds now, what can be done, and what is said about it.

The rules are those of ALFWorld's PDDL domain, with what its planner makes of them: there is no walking to where one is
(it changes nothing, and the planner drops such actions), and an object is examined only in the hand (the domain's other
case names a type that does not exist).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from agentgym_envs.alfworld.facts import Args, Facts
from agentgym_envs.alfworld.game import CHANGING, Game

NOTHING = "Nothing happens."
TOOLS = {"cleanobject": ("sinkbasin", "sink"), "heatobject": ("microwave",), "coolobject": ("fridge",)}
"""Kinds of receptacle that an object is treated with."""
NEEDS = {"cleanobject": "cleanable", "heatobject": "heatable", "coolobject": "coolable"}
KNIVES = ("knife", "butterknife")


class Move(NamedTuple):
    """An action that can be taken."""

    action: str
    bound: tuple[tuple[str, int], ...]
    """What the parameters of the domain's action stand for."""


class World:
    """The state of one attempt.

    Attributes:
        game: what is played.
        facts: what holds.
        won: whether the goal is met.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self.facts = Facts(game.fixed, {name: set(facts) for name, facts in game.start.items()})
        self._changed: set[tuple[str, Args]] = set()
        self._moves: dict[str, Move] | None = None
        self._sorted: tuple[str, ...] = ()
        self.won = False

    # What is said ---------------------------------------------------------------------------------------------------

    def intro(self) -> str:
        """The first words: the room and the task."""
        return self.game.grammar.tell("intro", self.facts, self.game.names, {})

    def step(self, command: str) -> str | None:
        """Carry a command out and say what happened; `None` where it cannot be done and nothing happens."""
        self.commands  # noqa: B018 - fills the moves
        assert self._moves is not None
        move = self._moves.get(command.strip())
        if move is None:
            return None
        self._apply(move)
        rule = self.game.grammar.actions[move.action].feedback
        said = self.game.grammar.tell(rule, self.facts, self.game.names, dict(move.bound))
        # Where nothing has changed, nothing is won either.
        self.won = self.won or (self._moves is None and self._met())
        return said

    @property
    def commands(self) -> tuple[str, ...]:
        """Everything that can be done now, sorted."""
        if self._moves is None:
            walks, listed = self._walks()
            self._moves = dict(walks)
            for move in self._possible():
                self._moves.setdefault(self._words(move), move)
            others = [command for command in self._moves if command not in walks]
            self._sorted = tuple(sorted([*listed, *others]))
        return self._sorted

    def _walks(self) -> tuple[dict[str, Move], list[str]]:
        """Where one can walk from here, by command, and the sorted commands: the same in every attempt."""
        known = self.game.walks.get(self.at)
        if known is None:
            (agent, at), *_ = self.facts.changing["atlocation"]
            moves = [
                Move("gotolocation", (("a", agent), ("lend", location), ("r", receptacle)))
                for receptacle, location in self.game.location.items()
                if location != at
            ]
            walks = {self._words(move): move for move in moves}
            known = self.game.walks[at] = (walks, sorted(walks))
        return known

    def words(self, action: str, **bound: int) -> str:
        """The command for an action."""
        return self._words(Move(action, tuple(bound.items())))

    def _words(self, move: Move) -> str:
        known = self.game.commands.get(move)
        if known is None:
            known = self.game.grammar.command(move.action, self.facts, self.game.names, dict(move.bound))
            self.game.commands[move] = known
        return known

    # What is the case -----------------------------------------------------------------------------------------------

    @property
    def at(self) -> int:
        """Where the player is."""
        return next(iter(self.facts.changing["atlocation"]))[1]

    @property
    def held(self) -> int | None:
        """What is in the hand."""
        return next((args[1] for args in self.facts.changing["holds"]), None)

    def inside(self, receptacle: int) -> list[int]:
        """What is in or on a receptacle, in order."""
        return sorted(args[0] for args in self.facts.changing["inreceptacle"] if args[1] == receptacle)

    def open(self, receptacle: int) -> bool:
        """Whether one can reach into a receptacle."""
        return not self.game.having("openable", receptacle) or (receptacle,) in self.facts.changing["opened"]

    @property
    def key(self) -> str:
        """What tells this state from others of the same game: a hash of all that differs from its start."""
        said = repr(sorted(self._changed)) if self._changed else "start"
        return f"{self.game.digest}:{hashlib.blake2b(said.encode(), digest_size=8).hexdigest()}"

    # What can be done -----------------------------------------------------------------------------------------------

    def _possible(self) -> Iterator[Move]:
        """All but walking."""
        game, at, held = self.game, self.at, self.held
        (agent, _), *_ = self.facts.changing["atlocation"]
        me = ("a", agent)
        yield Move("look", (me, ("l", at)))
        yield Move("inventory", (me,))
        if "help" in game.actions:
            yield Move("help", (me,))
        for receptacle in game.beside.get(at, ()):
            yield from self._here((me, ("l", at)), receptacle, held)
        if held is not None:
            yield Move("examineobject", (me, ("o", held)))
            if game.kind(held) in KNIVES:
                for thing, place in sorted(self.facts.changing["objectatlocation"]):
                    if place == at and game.having("sliceable", thing):
                        yield Move("sliceobject", (me, ("l", at), ("co", thing), ("ko", held)))

    def _here(self, me: tuple[tuple[str, int], ...], receptacle: int, held: int | None) -> Iterator[Move]:
        """What can be done with a receptacle where the player is."""
        game, r, inside = self.game, ("r", receptacle), self.inside(receptacle)
        yield Move("examinereceptacle", (me[0], r))
        if game.having("openable", receptacle):
            yield Move("closeobject" if self.open(receptacle) else "openobject", (*me, r))
        if self.open(receptacle):
            if held is None:
                for thing in inside:
                    if game.having("pickupable", thing):
                        yield Move("pickupobject", (*me, ("o", thing), r))
            elif game.fits(held, receptacle):
                yield Move("putobject", (*me, ("o", held), r))
        if held is not None:
            for action, kinds in TOOLS.items():
                if game.kind(receptacle) in kinds and game.having(NEEDS[action], held):
                    yield Move(action, (*me, r, ("o", held)))
        for thing in inside:
            if game.having("toggleable", thing):
                yield Move("toggleobject", (*me, ("o", thing), r))

    # What it does ---------------------------------------------------------------------------------------------------

    def _apply(self, move: Move) -> None:
        given = dict(move.bound)
        a, o, r, location = given["a"], given.get("o", -1), given.get("r", -1), given.get("l", -1)
        match move.action:
            case "gotolocation":
                self._drop("atlocation", a, self.at)
                self._add("atlocation", a, given["lend"])
            case "openobject":
                self._add("opened", r)
            case "closeobject":
                self._drop("opened", r)
            case "pickupobject":
                self._drop("inreceptacle", o, r)
                self._drop("objectatlocation", o, location)
                self._add("not_inreceptacle", o, r)
                self._add("holds", a, o)
                self._add("holdsany", a)
            case "putobject":
                self._drop("holds", a, o)
                self._drop("holdsany", a)
                self._drop("not_inreceptacle", o, r)
                self._add("inreceptacle", o, r)
                self._add("objectatlocation", o, location)
            case "cleanobject":
                self._add("isclean", o)
            case "heatobject":
                self._add("ishot", o)
                self._drop("iscool", o)
            case "coolobject":
                self._add("iscool", o)
                self._drop("ishot", o)
            case "toggleobject":
                self._add("istoggled", o)
            case "sliceobject":
                self._add("issliced", given["co"])
            case _:
                return  # Looking changes nothing.
        self._moves = None

    def _add(self, name: str, *args: int) -> None:
        if args not in self.facts.changing[name]:
            self.facts.changing[name].add(args)
            self._note(name, args)

    def _drop(self, name: str, *args: int) -> None:
        if args in self.facts.changing[name]:
            self.facts.changing[name].discard(args)
            self._note(name, args)

    def _note(self, name: str, args: Args) -> None:
        """Keep the difference to the start. What was taken out can be told only where receptacles share a place."""
        if name == "not_inreceptacle" and len(self.game.beside[self.game.location[args[1]]]) < 2:
            return
        self._changed ^= {(name, args)}

    def _met(self) -> bool:
        return all(self.facts.any(goal) is not None for goal in self.game.goals)

    # Going back -----------------------------------------------------------------------------------------------------

    def save(self) -> dict[str, Any]:
        """The state as plain values."""
        facts = {name: sorted(map(list, found)) for name, found in self.facts.changing.items() if found}
        return {"game": self.game.digest, "facts": facts, "won": self.won}

    def load(self, saved: dict[str, Any]) -> None:
        """Go back to a state of the same game."""
        found = {name: {tuple(args) for args in saved["facts"].get(name, ())} for name in CHANGING}
        self.facts = Facts(self.game.fixed, found)
        self._moves, self.won, self._changed = None, bool(saved["won"]), set()
        for name in CHANGING:
            for args in found[name] ^ self.game.start[name]:
                self._note(name, args)
