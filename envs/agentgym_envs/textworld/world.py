"""What a described game's world is made of: a graph of states that grows as it is walked.

The engine only prints text. Which facts hold, and so which commands are admissible, is worked out beside it in the
logic that the game was generated from, as the engine's own wrapper does; but there most of a step's time goes into
finding the applicable rules again. Here every state is worked out once per game: attempts at the same game share it.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textworld.generator.game import Game, GameProgression
from textworld.generator.inform7 import Inform7Game

from agentgym.errors import UsageError

MOST_NODES = 256
"""States kept per game, those that were looked at last: one of a cooking game weighs 28 kB, of a coin game 3 kB."""


class Node:
    """One state of the world."""

    def __init__(self, world: World, state: Any) -> None:
        self._world, self.state = world, state
        self._next: dict[Any, str] = {}  # Keys and not nodes: what nobody looks at any more can go.
        lines = sorted(map(str, state.facts))
        self.key = hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
        """Hash of all facts."""
        game = world.game
        self.quests = frozenset(
            number
            for number, quest in enumerate(game.quests)
            if any(event.is_triggering(state) for event in quest.win_events)
        )
        """Quests whose goal holds in this state."""

    @functools.cached_property
    def actions(self) -> list[Any]:
        """The applicable rules."""
        knowledge = self._world.game.kb
        found = self.state.all_applicable_actions(knowledge.rules.values(), knowledge.types.constants_mapping)
        return list(found)

    @functools.cached_property
    def together(self) -> dict[str, list[str]]:
        """Things by what they are in, on or at, where there are several."""
        found: dict[str, list[str]] = {}
        for fact in self.state.facts:
            if (thing := placed(fact)) is not None:
                found.setdefault(fact.arguments[1].name, []).append(thing)
        return {place: sorted(things) for place, things in sorted(found.items()) if len(things) > 1}

    @functools.cached_property
    def commands(self) -> tuple[str, ...]:
        """The admissible commands, sorted."""
        return tuple(sorted(set(self._world.texts.gen_commands_from_actions(self.actions))))

    @functools.cached_property
    def _by_event(self) -> dict[str, Any]:
        texts, found = self._world.texts, dict[str, Any]()
        # Rules with more preconditions first: they are the more specific of those that print the same event.
        for action in sorted(self.actions, key=lambda a: len(a.preconditions), reverse=True):
            event = texts.kb.inform7_events[action.name].format(**texts._get_name_mapping(action))
            found.setdefault(event.lower(), action)
        return found

    def action_of(self, event: str) -> Any | None:
        """The rule that the engine's event `event` is an application of."""
        return self._by_event.get(event.lower())

    def after(self, action: Any) -> Node:
        """The state that an action leads to."""
        node = self._world.known(self._next.get(action))
        if node is None:
            state = self.state.copy()
            state.apply(action)
            node = self._world.node(state)
            self._next[action] = node.key
        return node


def placed(fact: Any) -> str | None:
    """The thing that a fact says the place of, if it says one's."""
    if fact.name not in ("in", "on", "at") or len(fact.arguments) != 2 or fact.arguments[0].type == "P":
        return None
    return str(fact.arguments[0].name)


class World:
    """The states of one game."""

    def __init__(self, description: Path) -> None:
        """Args: `description` is the `.json` beside the story file."""
        self.game: Any = Game.load(str(description))
        self.texts: Any = Inform7Game(self.game)
        self.walkthrough: Sequence[str] = tuple(self.game.walkthrough or ())
        self._nodes: OrderedDict[str, Node] = OrderedDict()
        """By key; the one looked at last comes last."""
        self._lock = threading.Lock()
        self.start = self.node(self.game.world.state.copy())
        """The first state."""

    def node(self, state: Any) -> Node:
        """The node of a state, the same object for equal states while it is kept."""
        fresh = Node(self, state)
        with self._lock:
            node = self._nodes.setdefault(fresh.key, fresh)
            self._nodes.move_to_end(fresh.key)
            if len(self._nodes) > MOST_NODES:
                self._nodes.popitem(last=False)
        return node

    def known(self, key: str | None) -> Node | None:
        """The node of a key, if it is still kept."""
        with self._lock:
            if key not in self._nodes:
                return None
            self._nodes.move_to_end(key)
            return self._nodes[key]

    def progression(self) -> Any:
        """The generator's own tracker of quests, which can tell a winning policy; slow."""
        return GameProgression(self.game, track_quests=True)


@functools.lru_cache(maxsize=16)
def world_of(description: Path, changed: int) -> World:
    """The world of a description file; `changed` is its modification time, so that a new file is read anew.

    Raises:
        UsageError: it does not describe a game.
    """
    try:
        world = World(description)
    except Exception as error:  # The engine checks nothing: whatever it trips over is the file's fault.
        said = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{description}: damaged, cut off, or no description of a game ({type(error).__name__}: {said}); what "
            "TextWorld writes beside a .z8 file is expected: make the game again with it, or take this file away to "
            "play with text and points only"
        ) from error
    return world
