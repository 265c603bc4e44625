"""Plays story files: the Z-machine's text, and beside it the state of the world where the game is described."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jericho
from textworld.envs.wrappers.tw_inform7 import _detect_extra_infos, _detect_i7_events_debug_tags

from agentgym.errors import EnvCrashedError
from agentgym_envs.textworld.world import Node, World, placed, world_of

SEED = 1
"""Of the interpreter's random numbers (generated games seed their own)."""
STATUS = re.compile(r">\s*-=.*=-\s*(-?\d+)/\d+\s*$")
FINAL = re.compile(r"You scored (-?\d+) out of a possible (\d+)")


@dataclass
class Played:
    """What a command led to."""

    feedback: str
    """The engine's answer to the letter."""
    score: int
    won: bool = False
    lost: bool = False
    understood: bool = True
    """Whether the world carried something out; always true where the game is not described."""


class Engine:
    """One interpreter, used for one game after another.

    Attributes:
        world: the states of the game in play; `None` where no `.json` describes it.
        node: the present one.
        most: the most points there are, 0 where it is not known.
    """

    def __init__(self) -> None:
        self._interpreter: Any = None
        self._path: Path | None = None
        self.world: World | None = None
        self.node: Node | None = None
        self.most = 0

    def start(self, path: Path) -> Played:
        """Begin a game anew.

        Raises:
            EnvCrashedError: the interpreter refuses the file.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # It says of every game but a few old ones that it is not supported.
                if self._interpreter is None:
                    self._interpreter = jericho.FrotzEnv(str(path), SEED)
                elif path != self._path:
                    self._interpreter.close()  # Else the memory of the game before is lost.
                    self._interpreter._cache.clear()  # It keeps every story that it ever saw.
                    self._interpreter.load(str(path), SEED)
            feedback, _ = self._interpreter.reset()
        except Exception as error:
            self.close()
            raise EnvCrashedError(f"{path}: it cannot be started: {type(error).__name__}: {error}") from error
        self._path = path
        described = path.with_suffix(".json")
        self.world = world_of(described, described.stat().st_mtime_ns) if described.exists() else None
        self._supported = bool(self._interpreter.is_fully_supported)
        self._score = self._interpreter.get_score() if self._supported else 0
        self._history: list[Any] = []
        self._moved: dict[str, int] = {}
        self._progression: Any = None
        self._tracked = 0
        self._place: int | None = 0
        self._places: dict[str, int] = {}
        if self.world is None:
            self.node, self.quests = None, frozenset[int]()
            self.most = int(self._interpreter.get_max_score()) if self._supported else 0
        else:
            for command in ("tw-extra-infos moves", "tw-extra-infos score", "tw-trace-actions"):
                self._interpreter.step(command)
            self.node, self.most = self.world.start, int(self.world.game.max_score)
            self.quests = self.node.quests
            self._places[self.state_key or ""] = 0
        return Played(feedback, self._score)

    def step(self, command: str) -> Played:
        """Give one clean line to the interpreter."""
        text, _, over, _ = self._interpreter.step(command)
        if self.node is None or self.world is None:
            return self._undescribed(text, over)
        numbers: Any
        numbers, text = _detect_extra_infos(text, ["moves", "score"])
        events, text = _detect_i7_events_debug_tags(text)
        before = self.state_key
        for event in events:
            action = self.node.action_of(event)
            if action is not None:
                self.node = self.node.after(action)
                self.quests |= self.node.quests
                self._history.append(action)
                for thing in filter(None, map(placed, action.added)):
                    self._moved[thing] = len(self._history)
        if numbers["score"]:
            self._score = int(numbers["score"].split("\n")[0])
        if (final := FINAL.search(text)) is not None:
            self._score = int(final[1])
        self._note_place(command, before)
        won, lost = "*** The End ***" in text, "*** You lost! ***" in text
        return Played(text, self._score, won, lost, bool(events))

    @property
    def state_key(self) -> str | None:
        """Hash of the facts; the quests done so far, which decide the points still to be had; and, where several things
        are together, which of them were put there last: the interpreter lists them in that order."""
        if self.node is None:
            return None
        order = ""
        for place, things in self.node.together.items():
            came = sorted((thing for thing in things if thing in self._moved), key=lambda t: -self._moved[t])
            order += f":{place}={','.join(came)}" if came else ""
        return f"{self.node.key}:{','.join(map(str, sorted(self.quests)))}{order}"

    def solution(self) -> str | None:
        """The next command of a solution from here.

        Along the walkthrough it is the walkthrough's, and still so after commands that change nothing and after a
        return to a state that it passes. Elsewhere it is that of the generator's tracker, caught up with what
        happened; `None` where that knows no way.
        """
        if self.world is None:
            return None
        if self._place is not None:
            return self.world.walkthrough[self._place] if self._place < len(self.world.walkthrough) else None
        if self._progression is None:
            self._progression, self._tracked = self.world.progression(), 0
        for action in self._history[self._tracked :]:
            self._progression.update(action)
        self._tracked = len(self._history)
        policy = self._progression.winning_policy
        return self.world.texts.gen_commands_from_actions(policy[:1])[0] if policy else None

    def close(self) -> None:
        """End the interpreter; may be called twice."""
        if self._interpreter is not None:
            self._interpreter.close()
        self._interpreter = self._path = None

    def _note_place(self, command: str, before: str | None) -> None:
        """How far along the walkthrough we are; `None` off it."""
        assert self.world is not None
        key = self.state_key or ""
        way, place = self.world.walkthrough, self._place
        if place is not None and place < len(way) and command.lower() == way[place].lower():
            self._place = place + 1
            self._places[key] = place + 1
        elif key != before:
            self._place = self._places.get(key)

    def _undescribed(self, text: str, over: bool) -> Played:
        if self._supported:
            self._score = int(self._interpreter.get_score())
            return Played(text, self._score, bool(self._interpreter.victory()), bool(over))
        if (final := FINAL.search(text)) is not None:
            self._score, self.most = int(final[1]), int(final[2])
        elif (status := STATUS.search(text)) is not None:
            self._score = int(status[1])
        ended = re.search(r"\*\*\*\s+.+\s+\*\*\*", text) is not None and "RESTART" in text
        won = ended and re.search(r"\*\*\*\s+(The End|You have won)\s+\*\*\*", text) is not None
        return Played(text, self._score, won, ended and not won)
