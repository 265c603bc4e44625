"""TextWorld as a `TextEnv`: the real engine's words, with a state key, admissible actions and an oracle."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from agentgym.env import TextEnv
from agentgym.errors import EnvCrashedError, UsageError
from agentgym.types import Observation, Step, Task

from agentgym_envs.textworld.games import ensure, intact, require_engine

META = frozenset(
    "save restore restart quit q undo script transcript unscript verbose brief superbrief version verify "
    "notify pronouns nouns score full recording replay again g oops tests actions showme purloin".split()
)
"""Commands to the interpreter rather than to the world: they would end the game, touch files or repeat a command."""
MAX_COMMAND = 200
PROMPT = re.compile(r"\n>\s*(-=[^\n]*)?\s*$")
THE_END = re.compile(r"\n\s*Would you like to RESTART.*$", re.DOTALL)


class TextWorld(TextEnv):
    """One TextWorld game.

    Rewards are the engine's points over the most there are, so that a game that is won sums to 1.
    """

    def __init__(self, raw: bool = False, admissible: bool = False) -> None:
        """Args: `raw` observations are the engine's output to the letter; `admissible` appends the admissible actions
        to the text (they are in `Observation.actions` either way)."""
        super().__init__()
        self._raw, self._admissible = raw, admissible
        self._engine: Any = None
        self._shadow: Any = None
        self._path: Path | None = None
        self._history: list[str] = []

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `game`, the parameters of a game to make, or `path`, a game file."""
        require_engine()
        path = self._find(task)
        self._history = []
        self._close_shadow()
        if path != self._path:
            self._close_engine()
            self._engine, self._path = _start(path), path
        self._state = self._engine.reset()
        self._score = 0
        self._most = int(self._state.get("max_score") or 0) or 1
        solution = self._state.get("extra.walkthrough")
        self._steps = len(solution) if solution else 0
        return self._observe(first=True)

    def act(self, action: str) -> Step:
        """Give the engine one command; what it does not take is a fault."""
        command = sanitise(action)
        if command is None:
            return Step.fault(self._again("That is not a command."), "invalid", progress=self._progress())
        listed = self._state.get("admissible_commands")
        taken = listed is None or command in listed
        self._state, _, done = self._engine.step(command)
        self._history.append(command)
        if self._shadow is not None:
            self._shadow_state = self._shadow.step(command)[0]
        score = int(self._state.get("score") or 0)
        reward, self._score = (score - self._score) / self._most, score
        observation = self._observe()
        if self._state.get("won"):
            return Step.success(observation, reward, progress=1.0, points=score)
        if done or self._state.get("lost"):
            return Step.failure(observation, reward, progress=self._progress(), points=score)
        if not taken:
            return Step.fault(observation, "invalid", reward, progress=self._progress(), points=score)
        return Step.on(observation, reward, progress=self._progress(), points=score)

    def oracle(self) -> str | None:
        """The engine's own next command of a winning policy from here.

        The engine tracks it at a cost, so a second instance does, and only once an oracle is asked for.
        """
        if self._shadow is None and self._path is not None:
            self._shadow = _start(self._path, oracle=True)
            self._shadow_state = self._shadow.reset()
            for command in self._history:
                self._shadow_state = self._shadow.step(command)[0]
        commands = self._shadow_state.get("policy_commands")
        return commands[0] if commands else None

    def close(self) -> None:
        """End the engine."""
        super().close()
        self._close_shadow()
        self._close_engine()

    def _find(self, task: Task) -> Path:
        if "game" in task.data:
            return ensure(task.data["game"])
        if "path" not in task.data:
            raise UsageError(f"task {task.id!r} is not of TextWorld: its data has neither 'game' nor 'path'")
        path = Path(str(task.data["path"]))
        if not path.is_file():
            raise UsageError(f"{path}: there is no such game file")
        if path.with_suffix(".json").exists() and not intact(path):
            raise UsageError(f"{path}: the game file is damaged (its checksum is wrong): get it again")
        return path

    def _observe(self, first: bool = False) -> Observation:
        feedback = str(self._state["feedback"])
        actions = self._state.get("admissible_commands")
        actions = None if actions is None else tuple(sorted(actions))
        text = feedback if self._raw else clean(feedback, first)
        if self._admissible and actions:
            text += "\nActions: " + "; ".join(actions)
        self._now = Observation(text, state=self._key(), actions=actions)
        return self._now

    def _again(self, text: str) -> Observation:
        """Nothing has happened: the same state in other words."""
        return Observation(text, state=self._now.state, actions=self._now.actions)

    def _key(self) -> str | None:
        """All facts of the world; where the engine does not know them, all commands that led here."""
        facts = self._state.get("facts")
        lines = sorted(map(str, facts)) if facts is not None else self._history
        return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()

    def _progress(self) -> float:
        """Points over the most there are."""
        return max(0.0, min(1.0, self._score / self._most))

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = self._path = None

    def _close_shadow(self) -> None:
        if self._shadow is not None:
            self._shadow.close()
            self._shadow = None


def _start(path: Path, oracle: bool = False) -> Any:
    import textworld

    described = path.with_suffix(".json").exists()
    wanted = textworld.EnvInfos(
        feedback=True,
        score=True,
        max_score=True,
        won=True,
        lost=True,
        admissible_commands=described,
        facts=described,
        policy_commands=described and oracle,
        extras=["walkthrough"] if described else [],
    )
    try:
        return textworld.start(str(path), wanted)
    except Exception as error:
        raise EnvCrashedError(f"{path}: the TextWorld engine cannot start it: {type(error).__name__}: {error}") from error


def sanitise(action: str) -> str | None:
    """One line of printable ASCII, at most 200 characters; `None` for nothing, or a command to the interpreter.

    >>> sanitise(" go  north\\n")
    'go north'
    >>> sanitise("quit") is None
    True
    """
    line = action[: 4 * MAX_COMMAND].strip().partition("\n")[0]
    # A full stop or "then" would make two commands of one, a comma would address somebody.
    words = re.sub(r"[^a-zA-Z0-9' -]", " ", line).split()
    command = " ".join(words)[:MAX_COMMAND]
    if not words or any(word.lower() in META for word in words[:1]) or "then" in words:
        return None
    return command


def clean(feedback: str, first: bool = False) -> str:
    """What the engine said without its banner, prompt, status line and blank lines."""
    text = feedback
    if first and "$$" in text:
        text = text[text.rindex("$$") :].partition("\n")[2]
    text = THE_END.sub("", PROMPT.sub("", text))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
