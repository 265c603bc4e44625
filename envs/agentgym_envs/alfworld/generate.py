"""Games of our own: a floor plan, objects in it, and one of the six tasks; a pure function of a small plan.

Every game can be won: what is to be fetched lies where it can be reached and not yet where it should be, and the room
has what it is to be treated with. Levels make rooms larger, fuller, and what is looked for harder to see.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from agentgym.errors import UsageError
from agentgym.seeding import derive, generator
from agentgym_envs.alfworld import floors
from agentgym_envs.alfworld.floors import Receptacle, room_of, scenes, spot
from agentgym_envs.alfworld.tables import ABLE, HOLDS, LAMPS, OPENABLE, PICKED, ROOMS

LAMP_TYPE = "look_at_obj_in_light"
TYPES = (
    "pick_and_place_simple",
    LAMP_TYPE,
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""The task types, in ALFWorld's order (1 to 6)."""
TREATMENTS = {
    "pick_clean_then_place_in_recep": ("cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": ("heatable", "Microwave"),
    "pick_cool_then_place_in_recep": ("coolable", "Fridge"),
}
"""What the object must allow, and where it is done."""
SENTENCES = {
    "pick_and_place_simple": ("put a {obj} in {place}", "put some {obj} on {place}"),
    LAMP_TYPE: ("look at {obj} under the {place}", "examine the {obj} with the {place}"),
    "pick_clean_then_place_in_recep": ("put a clean {obj} in {place}", "clean some {obj} and put it in {place}"),
    "pick_heat_then_place_in_recep": ("put a hot {obj} in {place}", "heat some {obj} and put it in {place}"),
    "pick_cool_then_place_in_recep": ("put a cool {obj} in {place}", "cool some {obj} and put it in {place}"),
    "pick_two_obj_and_place": ("put two {obj} in {place}", "find two {obj} and put them in {place}"),
}
"""How a task is told: ALFWorld's words, so that players understand either."""


class Level(NamedTuple):
    """How hard a game is."""

    receptacles: int
    """At most so many."""
    objects: int
    """At most so many."""
    hidden: float
    """Chance that what is looked for lies in a closed receptacle, where one will hold it."""


LEVELS = (Level(5, 5, 0.0), Level(10, 12, 0.2), Level(20, 25, 0.4), Level(32, 40, 0.7), Level(60, 60, 1.0))
"""Levels 1 to 5; level 3 is about as large as ALFWorld's own games."""


class Made(NamedTuple):
    """A generated game before it is written down."""

    plan: Mapping[str, Any]
    facts: tuple[tuple[str, ...], ...]
    """In ALFRED's letter case."""
    sentence: str
    """The task in words."""


@functools.lru_cache(maxsize=1024)  # 120 plans of six types: all of them.
def choices(scene: int, kind: str) -> tuple[tuple[str, str], ...]:
    """Every object and goal (kind of receptacle, or of lamp) of a task type that a floor plan allows."""
    receptacles = {one.kind for one in floors.plan(scene)}
    objects = ROOMS[room_of(scene)].objects
    if kind == LAMP_TYPE:
        lamps = [lamp for lamp, hosts in LAMPS.items() if receptacles & set(hosts)]
        if room_of(scene) not in ("livingroom", "bedroom"):
            return ()
        return tuple((o, lamp) for o in objects for lamp in lamps if _sources(receptacles, o, ""))
    ability, tool = TREATMENTS.get(kind, ("", ""))
    if tool and tool not in receptacles:
        return ()
    return tuple(
        (o, place)
        for o in objects
        for place in sorted(receptacles - {tool})
        if o in HOLDS[place] and (not ability or o in ABLE[ability]) and _sources(receptacles, o, place)
    )


def _sources(receptacles: set[str], thing: str, goal: str) -> list[str]:
    """Kinds of receptacle that a thing may lie in at the start."""
    return sorted(kind for kind in receptacles if kind != goal and thing in HOLDS[kind])


def plan(split: str, index: int, types: Sequence[str] = TYPES, level: int = 3, dialect: str = "new") -> dict[str, Any]:
    """The plan of a split's game number `index`: its task type, floor plan, object, goal and seed. JSON values.

    Args:
        split: `train`, `heldout` (floor plans that no training game has) or `seen` (those of training, other games).
        index: from 0; types take turns.
        types: of `TYPES`.
        level: 1 to 5.
        dialect: `new` or `old`, ALFWorld's words for putting things down.
    """
    kind = types[index % len(types)]
    seed = derive(0, "alfworld", split, index)
    rng = generator(seed, "plan")
    possible = _possible("heldout" if split == "heldout" else "train", kind)
    scene = possible[int(rng.integers(len(possible)))]
    found = choices(scene, kind)
    thing, goal = found[int(rng.integers(len(found)))]
    return {
        "type": kind,
        "scene": scene,
        "object": thing,
        "goal": goal,
        "level": level,
        "dialect": dialect,
        "seed": seed,
    }


@functools.cache
def _possible(split: str, kind: str) -> tuple[int, ...]:
    """Floor plans of a split that allow a task type."""
    return tuple(scene for scene in scenes(split) if choices(scene, kind))


def check(plan: Mapping[str, Any]) -> None:
    """Raises `UsageError` where a plan is not one of a game that can be made."""
    try:
        level, seed = plan["level"], plan["seed"]
        if plan["type"] not in TYPES or plan["dialect"] not in ("new", "old"):
            raise ValueError("its type or its dialect is unknown")
        if (plan["object"], plan["goal"]) not in choices(plan["scene"], plan["type"]):
            raise ValueError("its type, scene, object and goal do not go together")
        if not all(type(n) is int for n in (level, seed)) or not 1 <= level <= len(LEVELS) or seed < 0:
            raise ValueError(f"its level must be from 1 to {len(LEVELS)} and its seed a whole number from 0")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"no game can be made from {dict(plan)!r}: {error or 'a part is missing'}") from error


def make(plan: Mapping[str, Any]) -> Made:
    """The game of a plan.

    Raises:
        UsageError: it is no plan.
    """
    check(plan)
    level, rng = LEVELS[plan["level"] - 1], generator(plan["seed"], "game", plan["scene"], plan["level"])
    kind, thing, goal = plan["type"], plan["object"], plan["goal"]
    whole = floors.plan(plan["scene"])
    count = 2 if kind == "pick_two_obj_and_place" else 1
    room = _furnish(whole, kind, thing, goal, level, rng)
    placed = _Placing(room, rng)
    for _ in range(count):
        closed = rng.random() < level.hidden
        placed.put(thing, [r for r in room if r.kind != goal and thing in HOLDS[r.kind]], closed)
    if kind == LAMP_TYPE:
        placed.put(goal, [r for r in room if r.kind in LAMPS[goal]])
    others = [o for o in ROOMS[room_of(plan["scene"])].objects if o != thing for _ in range(1 + int(rng.integers(2)))]
    for number in rng.permutation(len(others))[: max(0, level.objects - count)]:
        placed.put(others[int(number)], [r for r in room if others[int(number)] in HOLDS[r.kind]])
    sentences = SENTENCES[kind]
    sentence = sentences[int(rng.integers(len(sentences)))].format(obj=thing.lower(), place=goal.lower())
    return Made(plan, tuple(_facts(room, placed, floors.start(plan["scene"]))), f"{sentence}.")


def _furnish(
    whole: Sequence[Receptacle], kind: str, thing: str, goal: str, level: Level, rng: np.random.Generator
) -> list[Receptacle]:
    """The part of a floor plan that a game has: what the task needs, and of the rest as much as there is room for."""
    needed = [TREATMENTS[kind][1]] if kind in TREATMENTS else []
    present = {one.kind for one in whole}
    if kind == LAMP_TYPE:
        hosts = [host for host in LAMPS[goal] if host in present]
        needed.append(hosts[int(rng.integers(len(hosts)))])
    else:
        needed.append(goal)
    sources = _sources(present, thing, goal)
    shut = [s for s in sources if s in OPENABLE]
    seen = [s for s in sources if s not in OPENABLE]
    # Where nothing is to be hidden, something that is open to view; where it may be, both.
    for group, wanted in ((seen, True), (shut, level.hidden > 0 or not seen)):
        if group and wanted:
            needed.append(group[int(rng.integers(len(group)))])
    first = [next(i for i, one in enumerate(whole) if one.kind == kind) for kind in dict.fromkeys(needed)]
    rest = [i for i in range(len(whole)) if i not in first]
    if level.hidden == 0:
        rest = [i for i in rest if whole[i].kind not in OPENABLE]
    return [whole[i] for i in sorted([*first, *rest[: max(0, level.receptacles - len(first))]])]


class _Placing:
    """Objects and the receptacles they lie in."""

    def __init__(self, room: Sequence[Receptacle], rng: np.random.Generator) -> None:
        self.found: list[tuple[str, str, Receptacle]] = []
        self._ids: set[str] = set()
        self._rng = rng

    def put(self, kind: str, places: Sequence[Receptacle], closed: bool | None = None) -> None:
        """One object into one of the places; into a closed one, or an open one, where there is a choice."""
        if closed is not None:
            places = [p for p in places if (p.kind in OPENABLE) == closed] or places
        if not places:
            return
        place = places[int(self._rng.integers(len(places)))]
        while True:
            thing = spot(kind, *(int(c) for c in self._rng.integers((-400, 5, -400), (400, 190, 400))))
            if thing not in self._ids:
                break
        self._ids.add(thing)
        self.found.append((kind, thing, place))


def _facts(room: Sequence[Receptacle], placed: _Placing, start: str) -> list[tuple[str, ...]]:
    """What holds at the start."""
    facts: list[tuple[str, ...]] = [("receptacleType", r.id, f"{r.kind}Type") for r in room]
    facts += [("objectType", thing, f"{kind}Type") for kind, thing, _ in placed.found]
    present = sorted({kind for kind, _, _ in placed.found})
    for kind in sorted({r.kind for r in room}):
        facts += [("canContain", f"{kind}Type", f"{thing}Type") for thing in present if thing in HOLDS[kind]]
    facts += [("pickupable", thing) for kind, thing, _ in placed.found if kind in PICKED]
    for ability, kinds in ABLE.items():
        facts += [(ability, thing) for kind, thing, _ in placed.found if kind in kinds]
    facts += [("toggleable", thing) for kind, thing, _ in placed.found if kind in LAMPS]
    facts += [("openable", r.id) for r in room if r.kind in OPENABLE]
    facts.append(("atLocation", "agent1", start))
    for _, thing, place in placed.found:
        facts += [("inReceptacle", thing, place.id), ("objectAtLocation", thing, place.location)]
    facts += [("receptacleAtLocation", r.id, r.location) for r in room]
    return facts
