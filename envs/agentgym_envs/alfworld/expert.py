"""A scripted player that knows where everything is: the next command of a short solution from any state.

It fetches an object that the goal can be met with, treats it where that is asked for, and brings it to its place (or
to a lamp). What it happens to hold and does not need, it puts down first. It has no memory: any state will do, so that
it can take over after any play.
"""

from __future__ import annotations

from agentgym_envs.alfworld.goals import DONE, Wish, candidates, of_kind, treated, where, wish
from agentgym_envs.alfworld.world import TOOLS, World


class Expert:
    """The way to the goal of one attempt."""

    def __init__(self, world: World) -> None:
        self._world, self._game = world, world.game
        self.wish = wish(world.game)

    def next(self) -> str | None:
        """The next command; `None` where the game is won or there is no way."""
        wanted = self.wish
        if wanted is None or self._world.won:
            return None
        objects, held = candidates(self._game, wanted), self._world.held
        if held is not None and held not in objects:
            return self._put_down(held)
        if wanted.lamp:
            return self._fetch(objects) if held is None else self._light(wanted)
        return self._place(wanted, objects, held)

    def _place(self, wanted: Wish, objects: list[int], held: int | None) -> str | None:
        """Objects into one receptacle."""
        if held is not None:
            for state in wanted.treated:
                if (held,) not in self._world.facts.changing[state]:
                    return self._treat(held, DONE[state])
        inside = self._world.facts.changing["inreceptacle"]

        def ready(thing: int) -> bool:
            return treated(self._world, thing, wanted) == len(wanted.treated)

        def done(place: int) -> list[int]:
            return [o for o in objects if (o, place) in inside and ready(o)]

        places = [p for p in of_kind(self._game, wanted.place) if any(self._game.fits(o, p) for o in objects)]
        place = min(places, key=lambda p: (-len(done(p)), self._cost(p), p), default=None)
        if place is None:
            return None
        if held is not None:
            return self._reach(place) or self._world.words("putobject", **self._here(held, place))
        there = done(place)
        left = [o for o in objects if o not in there]
        # Something that needs no treatment any more saves a walk.
        return self._fetch([o for o in left if ready(o)]) or self._fetch(left)

    def _light(self, wanted: Wish) -> str | None:
        """To a lamp, and light it."""
        found = [(lamp, where(self._world, lamp)) for lamp in of_kind(self._game, wanted.lamp)]
        lamps = [(lamp, place) for lamp, place in found if place is not None and self._game.having("toggleable", lamp)]
        lit = [pair for pair in lamps if (pair[0],) in self._world.facts.changing["istoggled"]]
        pair = min(lit or lamps, key=lambda pair: (not self._near(pair[1]), pair), default=None)
        if pair is None:
            return None
        return self._go(pair[1]) or self._world.words("toggleobject", **self._here(pair[0], pair[1]))

    def _treat(self, held: int, action: str) -> str | None:
        """Clean, heat or cool what is in the hand."""
        tools = [r for r in self._game.location if self._game.kind(r) in TOOLS[action]]
        tool = min(tools, key=lambda r: (not self._near(r), r), default=None)
        if tool is None:
            return None
        return self._go(tool) or self._world.words(action, **self._here(held, tool))

    def _fetch(self, objects: list[int]) -> str | None:
        """Take the object that is had most cheaply."""
        found = [(place, o) for o in objects if (place := where(self._world, o)) in self._game.location]
        places = [(self._cost(place), o, place) for place, o in found if place is not None]
        if not places:
            return None
        _, thing, place = min(places)
        return self._reach(place) or self._world.words("pickupobject", **self._here(thing, place))

    def _put_down(self, held: int) -> str | None:
        """Be rid of what is in the hand."""
        places = [r for r in self._game.location if self._game.fits(held, r)]
        place = min(places, key=lambda r: (self._cost(r), r), default=None)
        if place is None:
            return None
        return self._reach(place) or self._world.words("putobject", **self._here(held, place))

    def _near(self, place: int) -> bool:
        return self._game.location[place] == self._world.at

    def _cost(self, place: int) -> int:
        """Commands until one can reach into it."""
        return (not self._near(place)) + (not self._world.open(place))

    def _go(self, place: int) -> str | None:
        """The walk to a receptacle; `None` where one is there."""
        if self._near(place):
            return None
        return self._world.words("gotolocation", a=self._agent, lend=self._game.location[place], r=place)

    def _reach(self, place: int) -> str | None:
        """The walk, or the opening; `None` where one can reach into it."""
        if (walk := self._go(place)) is not None or self._world.open(place):
            return walk
        return self._world.words("openobject", a=self._agent, l=self._world.at, r=place)

    def _here(self, thing: int, place: int) -> dict[str, int]:
        return {"a": self._agent, "l": self._world.at, "o": thing, "r": place}

    @property
    def _agent(self) -> int:
        return next(iter(self._world.facts.changing["atlocation"]))[0]
