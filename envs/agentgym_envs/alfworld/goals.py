"""What a game's goal asks for, in the terms that a player plans in; and how much of it is done.

The goal itself (when a game is won) is the file's, to the letter; see `game`. Here it is read for the expert and for
progress. A goal of a form that is not one of the six task types gives no wish: the game plays, and has no expert.
"""

from __future__ import annotations

from typing import NamedTuple

from agentgym_envs.alfworld.facts import Query
from agentgym_envs.alfworld.game import Game
from agentgym_envs.alfworld.world import NEEDS, World

DONE = {"isclean": "cleanobject", "ishot": "heatobject", "iscool": "coolobject"}
"""What an object must have become, and the action that makes it so."""


class Wish(NamedTuple):
    """Objects of a kind, treated, in one receptacle of a kind; or an object in the hand beside a lamp that is lit."""

    kind: str
    """Kind of the objects."""
    place: str = ""
    """Kind of receptacle; empty where the object is to be held."""
    lamp: str = ""
    """Kind of the lamp."""
    treated: tuple[str, ...] = ()
    """Keys of `DONE`."""
    number: int = 1
    """How many objects."""


def wish(game: Game) -> Wish | None:
    """What the goal asks for; `None` where it is of no known form."""
    kinds: list[str] = []
    place = lamp = ""
    treated: set[str] = set()
    held = False
    for query in game.goals:
        kind_of = _kinds(game, query)
        toggled = {a.variables[0] for a in query.atoms if a.name == "istoggled"}
        for atom in query.atoms:
            if atom.name == "objecttype":
                if atom.variables[0] in toggled:
                    lamp = kind_of[atom.variables[0]]
                else:
                    kinds.append(kind_of[atom.variables[0]])
            elif atom.name == "receptacletype":
                place = kind_of[atom.variables[0]]
            elif atom.name in DONE:
                treated.add(atom.name)
            elif atom.name == "holds":
                held = True
            elif atom.name == "issliced":
                return None
    if not kinds or len(set(kinds)) > 1 or bool(place) == held or held != bool(lamp):
        return None
    return Wish(kinds[0], place, lamp, tuple(sorted(treated)), len(kinds))


def _kinds(game: Game, query: Query) -> dict[str, str]:
    """The kind of each variable of a query."""
    names = {number: word.removesuffix("type") for word, number in query.constants}
    constants = dict(query.constants)
    return {
        atom.variables[0]: names[constants[atom.variables[1]]]
        for atom in query.atoms
        if atom.name in ("objecttype", "receptacletype") and atom.variables[1] in constants
    }


def of_kind(game: Game, kind: str) -> tuple[int, ...]:
    """Objects and receptacles of a kind, in order."""
    return game.by_kind.get(kind, ())


def candidates(game: Game, wanted: Wish) -> list[int]:
    """Objects that the wish can be met with."""
    able = [NEEDS[DONE[state]] for state in wanted.treated]
    return [
        thing
        for thing in of_kind(game, wanted.kind)
        if game.having("pickupable", thing) and all(game.having(one, thing) for one in able)
    ]


def treated(world: World, thing: int, wanted: Wish) -> int:
    """How many of the wanted treatments an object has had (and has not lost)."""
    return sum((thing,) in world.facts.changing[state] for state in wanted.treated)


def progress(world: World, wanted: Wish | None) -> float:
    """Share of the sub-goals reached: 1 where the game is won, below 1 elsewhere.

    An object counts one for being in the hand, one for each treatment, and all of that and one more where it lies
    treated in its place; of several places and objects the best count. Beside a lamp: one each for the object in the
    hand, the light, and both in one spot.
    """
    if world.won:
        return 1.0
    if wanted is None:
        return 0.0
    if wanted.lamp:
        return _by_light(world, wanted)
    whole = 2 + len(wanted.treated)
    objects, inside = candidates(world.game, wanted), world.facts.changing["inreceptacle"]
    best = 0
    for place in of_kind(world.game, wanted.place):
        points: list[int] = []
        for thing in objects:
            had = treated(world, thing, wanted)
            done = had == len(wanted.treated) and (thing, place) in inside
            points.append(whole if done else had + (thing == world.held))
        best = max(best, sum(sorted(points, reverse=True)[: wanted.number]))
    return min(best / (whole * wanted.number), 1.0 - 1.0 / (whole * wanted.number))


def _by_light(world: World, wanted: Wish) -> float:
    held = world.held
    holding = held is not None and world.game.kind(held) == wanted.kind
    lit = [lamp for lamp in of_kind(world.game, wanted.lamp) if (lamp,) in world.facts.changing["istoggled"]]
    near = any(beside(world, lamp) for lamp in lit or of_kind(world.game, wanted.lamp))
    return min(2, holding + bool(lit) + (holding and near)) / 3


def where(world: World, thing: int) -> int | None:
    """The receptacle that an object is in; `None` in the hand."""
    return min((args[1] for args in world.facts.changing["inreceptacle"] if args[0] == thing), default=None)


def beside(world: World, thing: int) -> bool:
    """Whether an object is in a receptacle where the player is."""
    receptacle = where(world, thing)
    return receptacle is not None and world.game.location.get(receptacle) == world.at
