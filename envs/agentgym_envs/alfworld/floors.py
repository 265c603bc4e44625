"""Floor plans: 120 rooms, each a pure function of its number. A fifth of them is kept for held-out games.

A plan says which receptacles there are and where; objects are another matter (`generate`). Numbers follow ALFRED's
custom of one hundred per kind of room, above the numbers that it uses itself: none of its plans is copied here.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from agentgym.seeding import generator
from agentgym_envs.alfworld.tables import ROOMS

PER_ROOM = 30
HELDOUT = 6
"""The last plans of each kind of room are held out."""
FIRST = {"kitchen": 1001, "livingroom": 1201, "bedroom": 1301, "bathroom": 1401}
"""Number of the first plan of each kind."""


class Receptacle(NamedTuple):
    """A receptacle in its place."""

    kind: str
    id: str
    """As ALFRED writes it: the kind and three coordinates in metres."""
    location: str
    """Where one stands to reach it; receptacles above each other share it."""


def scenes(split: str) -> tuple[int, ...]:
    """Numbers of the floor plans of a split."""
    within = range(PER_ROOM - HELDOUT, PER_ROOM) if split == "heldout" else range(PER_ROOM - HELDOUT)
    return tuple(first + n for first in FIRST.values() for n in within)


def room_of(scene: int) -> str:
    """The kind of room that a plan is of.

    Raises:
        KeyError: there is no such plan.
    """
    for room, first in FIRST.items():
        if first <= scene < first + PER_ROOM:
            return room
    raise KeyError(scene)


def spot(kind: str, x: int, y: int, z: int) -> str:
    """An id of a thing at a place; centimetres.

    >>> spot("Apple", -63, 90, 205)
    'Apple_bar__minus_00_dot_63_bar__plus_00_dot_90_bar__plus_02_dot_05'
    """

    def told(c: int) -> str:
        return f"{'minus' if c < 0 else 'plus'}_{abs(c) // 100:02d}_dot_{abs(c) % 100:02d}"

    return f"{kind}_bar__{told(x)}_bar__{told(y)}_bar__{told(z)}"


def location(x: int, z: int, side: int, tilt: int) -> str:
    """The name of a standing place: quarter metres, the side one looks to, degrees down."""

    def told(c: int) -> str:
        return f"_minus_{-c}" if c < 0 else str(c)

    return f"loc_bar_{told(x)}_bar_{told(z)}_bar_{side}_bar_{told(tilt)}"


@functools.lru_cache(maxsize=256)
def plan(scene: int) -> tuple[Receptacle, ...]:
    """The receptacles of a floor plan, in the order in which a smaller game leaves them out from the back."""
    room, rng = ROOMS[room_of(scene)], generator(0, "alfworld", "floor", scene)
    found: list[Receptacle] = []
    places: set[tuple[int, int]] = set()
    counts = {kind: int(rng.integers(few, most + 1)) for kind, (few, most) in room.receptacles.items()}
    # The first of each kind comes before the second of any: small games have one of everything.
    for kind in (kind for number in range(max(counts.values())) for kind in counts if number < counts[kind]):
        same = [one for one in found if one.kind == kind]
        above = same[-1] if same and rng.random() < 0.2 else None
        while True:
            x, z = (int(c) for c in rng.integers(-14, 15, size=2))
            if (x, z) not in places:
                break
        places.add((x, z))
        height = int(rng.integers(5, 190))
        where = above.location if above else location(x, z, int(rng.integers(4)), int(rng.choice((-30, 0, 45, 60))))
        thing = spot(kind, 25 * x + int(rng.integers(-9, 10)), height, 25 * z + int(rng.integers(-9, 10)))
        if kind in ("SinkBasin", "BathtubBasin"):
            thing = f"{spot(kind.removesuffix('Basin'), 25 * x, height, 25 * z)}_bar_{kind}"
        found.append(Receptacle(kind, thing, where))
    return tuple(found)


def start(scene: int) -> str:
    """Where one stands at the beginning: nobody's place."""
    return location(0, 15 + scene % 7, 0, 30)
