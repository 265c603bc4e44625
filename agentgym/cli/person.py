"""A person at the terminal as the player of one episode: what they see, what they can ask for, what is recorded."""

from __future__ import annotations

import copy
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentgym import dialects, registry
from agentgym.cli.show import safe
from agentgym.dialects import calls_in
from agentgym.env import Ability
from agentgym.errors import UsageError
from agentgym.types import Completion, Ending, Step, Task, Trajectory, Turn

COMMANDS = {
    ":hint": "what the oracle would do next",
    ":undo": "take the last turn back",
    ":actions": "what can be done here",
    ":tools": "the tools that can be called",
    ":state": "the state's key, and the progress",
    ":save": "record the episode: :save FOLDER",
    ":help": "these commands",
    ":quit": "stop here (as Ctrl-D and Ctrl-C do)",
}
BLOCK = '"""'
"""A line of it begins an action of several lines, and ends it."""
CALL = re.compile(r"[A-Za-z_][\w.\-]*\(.*\)", re.DOTALL)


class Terminal:
    """Lines from a person or a pipe, with completion where there is a keyboard; texts wrapped to the window's width."""

    def __init__(self) -> None:
        self.live = sys.stdin.isatty() and sys.stdout.isatty()
        self.candidates: Sequence[str] = ()
        self._readline: Any = None
        if self.live:
            with suppress(ImportError):  # A Python without it still reads lines.
                import readline

                self._readline = readline
                readline.set_completer_delims("")
                readline.set_completer(self._complete)
                edits = "libedit" in (readline.__doc__ or "")
                readline.parse_and_bind("bind ^I rl_complete" if edits else "tab: complete")

    def close(self) -> None:
        """Leave the keyboard as it was."""
        if self._readline is not None:
            self._readline.set_completer(None)

    def say(self, text: str = "") -> None:
        """Print a text that may come from anywhere."""
        if not sys.stdout.isatty():
            print(safe(text), flush=True)
            return
        from rich.console import Console
        from rich.text import Text

        width = shutil.get_terminal_size().columns
        Console(width=width, highlight=False, markup=False, emoji=False).print(Text(safe(text), overflow="fold"))

    def ask(self, prompt: str) -> str | None:
        """A line, or the lines of a block; `None` at the end of input."""
        line = self._line(prompt)
        if line is None or line.strip() != BLOCK:
            return line
        lines: list[str] = []
        while (line := self._line("... ")) is not None and line.strip() != BLOCK:
            lines.append(line)
        return "\n".join(lines)

    def _line(self, prompt: str) -> str | None:
        if self.live:
            with suppress(EOFError):
                return input(prompt)
            return None
        print(prompt, end="", flush=True)
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None

    def _complete(self, text: str, number: int) -> str | None:
        # What has control characters or line breaks in it is not offered: readline would write it out as it is.
        kept = [c for c in self.candidates if "\n" not in c and safe(c) == c]
        found = [c for c in kept if c.startswith(text)] or [c for c in kept if c.lower().startswith(text.lower())]
        return found[number] if number < len(found) else None


@dataclass
class Game:
    """One episode in this process: it is the person who waits for the environment, and who can stop it."""

    env: str
    task: Task
    seed: int
    options: Mapping[str, Any]
    dialect: str
    turns: list[Turn] = field(default_factory=list[Turn])
    ending: Ending | None = None
    """How it ended, once it has."""
    error: str | None = None
    hint: str | None = None
    """What was hinted at since the last turn."""

    def __post_init__(self) -> None:
        self.spec = registry.spec(self.env)
        self.world = registry.make(self.env, **self.options)
        self.began = time.monotonic()
        self._undone = 0
        self._outcome: float | None = None
        self._kept: list[Any] = []
        self.observation = self.world.reset(seed=self.seed, options={"task": self.task})[0]
        self.tools = self.observation.tools or ()
        """What can be called, as the environment said last."""

    def act(self, said: str) -> Step | None:
        """Play a turn; `None` where the world broke."""
        text, action = spoken(said, self.dialect, bool(self.tools))
        if Ability.SNAPSHOT in self.spec.abilities:
            self._kept.append(copy.deepcopy(self.world.snapshot()))
        began = time.perf_counter()
        try:
            step = self.world.step(action)
        except Exception as error:
            self.ending, self.error = Ending.INFRA_ERROR, f"{type(error).__name__}: {error}"
            return None
        info = {key: value for key, value in step.info.items() if key != "rewards"}
        if self.hint is not None:
            info["hint"] = self.hint
        if self._undone:
            info["undone"] = self._undone
        self.hint, self._undone = None, 0
        took = time.perf_counter() - began
        rewards: Mapping[str, float] = step.info.get("rewards") or {}
        turn = Turn(self.observation, Completion(text), action, float(step.reward), rewards, info, took)
        self.turns.append(turn)
        self.observation = step.observation
        self.tools = step.observation.tools or self.tools
        if "outcome" in step.info:
            self._outcome = float(step.info["outcome"])
        if step.terminated or step.truncated:
            self.ending = _ending(step)
        elif self.left == 0:
            self.ending = Ending.OUT_OF_TURNS
        return step

    @property
    def left(self) -> int:
        """Turns that are left."""
        return self.spec.max_turns - len(self.turns)

    @property
    def progress(self) -> float | None:
        """Share of sub-goals reached, where the environment says it."""
        said = [turn.info["progress"] for turn in self.turns if turn.info.get("progress") is not None]
        return float(said[-1]) if said else None

    def undo(self) -> str:
        """Take the last turn back; what to tell the person."""
        if not self.turns:
            return "nothing has been played yet"
        if Ability.SNAPSHOT in self.spec.abilities:
            self.world.restore(self._kept.pop())
        elif Ability.DETERMINISTIC in self.spec.abilities:
            self.world.reset(seed=self.seed, options={"task": self.task})
            for turn in self.turns[:-1]:
                self.world.step(turn.action or "")
        else:
            return f"{self.env} can neither restore a state nor play the same again: no turn can be taken back"
        # What was seen then, to the word: a restored environment may leave out what the last action had brought.
        self.observation = self.turns.pop().observation
        self._undone += 1
        return "the last turn is taken back"

    def oracle(self) -> str:
        """The oracle's next action, marked in the next turn's info; what to tell the person."""
        if Ability.ORACLE not in self.spec.abilities:
            return f"{self.env} has no oracle"
        found = self.world.oracle()
        if found is None:
            return "the oracle sees no way from here"
        self.hint = found
        return f"hint: {found}"

    def trajectory(self) -> Trajectory:
        """The record of what was played. Whoever gives up has cut the episode off, which is no failure at the task."""
        ending = self.ending or Ending.OUT_OF_TIME
        total = sum(turn.reward for turn in self.turns)
        return Trajectory(
            id=f"play:{self.task.id}",
            env=self.env,
            task_id=self.task.id,
            group=f"play:{self.task.id}",
            attempt=0,
            seed=self.seed,
            turns=tuple(self.turns),
            ending=ending,
            final=self.observation,
            score=total if self._outcome is None else self._outcome,
            success=ending is Ending.SUCCESS,
            error=self.error,
            seconds=time.monotonic() - self.began,
            split=self.task.split,
        )


def play_by_hand(game: Game, record: Callable[[Path], None]) -> Trajectory:
    """Play until the episode ends or the person stops.

    Args:
        game: just begun.
        record: makes the run folder that `:save FOLDER` asks for; raises `UsageError` where it cannot be made.
    """
    terminal = Terminal()
    try:
        if game.task.prompt:
            terminal.say(game.task.prompt + "\n")
        show(terminal, game)
        while game.ending is None:
            tools = tuple(f"{tool_name(tool)}(" for tool in game.tools)
            terminal.candidates = (*(game.observation.actions or ()), *tools, *COMMANDS)
            said = terminal.ask(f"[turn {len(game.turns) + 1} of {game.spec.max_turns}] > ")
            if said is None:
                print()
                break
            if said.strip().startswith(":"):
                if command(terminal, game, said.strip(), record):
                    break
            elif said.strip():
                turn(terminal, game, said.strip())
    except KeyboardInterrupt:
        print()
    finally:
        terminal.close()
        game.world.close()
    return game.trajectory()


def turn(terminal: Terminal, game: Game, said: str) -> None:
    """Play one turn and show what came of it."""
    step = game.act(said)
    if step is None:
        terminal.say(f"the environment broke: {game.error}")
        return
    if step.info.get("fault"):
        terminal.say(f"[fault: {step.info['fault']}]")
    rewards: Mapping[str, float] = step.info.get("rewards") or {}
    parts = [f"{name} {value:g}" for name, value in rewards.items()]
    if step.reward or parts:
        terminal.say(f"[reward {step.reward:g}{': ' + ', '.join(parts) if parts else ''}]")
    show(terminal, game)


def show(terminal: Terminal, game: Game) -> None:
    """What the person sees before acting."""
    terminal.say(game.observation.text)
    if game.ending is None and game.observation.actions is not None:
        terminal.say("  actions: " + " | ".join(game.observation.actions))
    if game.progress is not None:
        terminal.say(f"  progress {game.progress:.0%}, {game.left} turns left")


def command(terminal: Terminal, game: Game, said: str, record: Callable[[Path], None]) -> bool:
    """Do what a line that begins with a colon asks for; true where the person wants to stop."""
    name, _, rest = said.partition(" ")
    if name == ":quit":
        return True
    if name == ":hint":
        terminal.say(game.oracle())
    elif name == ":undo":
        before = len(game.turns)
        terminal.say(game.undo())
        if len(game.turns) < before:
            show(terminal, game)
    elif name == ":actions":
        listed = game.observation.actions
        terminal.say("this environment lists no actions" if listed is None else "\n".join(listed))
    elif name == ":tools":
        terminal.say("\n".join(map(described, game.tools)) or "there are no tools here")
    elif name == ":state":
        shown = "not reported" if game.progress is None else f"{game.progress:.0%}"
        terminal.say(f"state: {game.observation.state_key}\nprogress: {shown}, {game.left} turns left")
    elif name == ":save":
        try:
            record(Path(rest.strip()))
            terminal.say(f"the episode will be recorded in {rest.strip()}")
        except (UsageError, OSError) as error:
            terminal.say(f"not saved: {error}")
    else:
        if name != ":help":
            terminal.say(f"there is no command {name}")
        terminal.say("\n".join(f"{name:<9} {about}" for name, about in COMMANDS.items()))
        terminal.say(f"Tab completes. A line of {BLOCK} begins an action of several lines, and ends it.")
    return False


def spoken(said: str, dialect: str, tools: bool = False) -> tuple[str, str]:
    """What a person typed as a model would have said it, and the action that it stands for.

    Where there are tools, a call may be typed as JSON (`{"name": ..., "arguments": ...}`), as `name(key=value)`, or in
    the words of the environment's dialect.

    >>> spoken("left", "action-tag")
    ('<action>left</action>', 'left')
    """
    form = dialects.get(dialect)
    calls = calls_in(said) if tools else ()
    if calls:
        plain = [{"arguments": dict(call.arguments), "name": call.name} for call in calls]
        action = json.dumps(plain[0] if len(plain) == 1 else plain, sort_keys=True)
        return form.render(action), action
    if tools and CALL.fullmatch(said):
        found = dialects.get("pythonic").parse(f"[{said}]")
        if found.action is not None and found.calls:
            return form.render(found.action), found.action
    parsed = form.parse(said)
    return (form.render(said), said) if parsed.action is None else (said, parsed.action)


def tool_name(tool: Mapping[str, Any]) -> str:
    """A tool's name, whichever of the two usual forms its schema has."""
    inner: Any = tool.get("function", tool)
    return str(inner.get("name", "?"))


def described(tool: Mapping[str, Any]) -> str:
    """A tool in two lines: how it is called, and what it does."""
    inner: Any = tool.get("function", tool)
    schema: Any = inner.get("parameters") or inner.get("input_schema") or {}
    arguments = ", ".join(map(str, schema.get("properties", {})))
    return f"{tool_name(tool)}({arguments})\n    {inner.get('description', '')}"


def _ending(step: Step) -> Ending:
    if step.terminated:
        return Ending.SUCCESS if step.info.get("success") else Ending.FAILURE
    named = step.info.get("ending")
    return Ending(named) if named in set(Ending) else Ending.OUT_OF_TURNS
