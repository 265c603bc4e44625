"""A person at the terminal: what they see of a game, what they can ask for, and how their lines are read."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentgym.cli.game import Game
from agentgym.cli.show import safe
from agentgym.errors import UsageError
from agentgym.types import Trajectory

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
