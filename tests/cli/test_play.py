"""`agentgym play` on a terminal: completion, hints, undo, narrow windows, and being interrupted. A real one: a pty."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

from agentgym import models
from agentgym.cli import main
from agentgym.cli.game import Game, spoken
from agentgym.config import load
from agentgym.dialects import get
from agentgym.errors import ConfigError, UsageError
from agentgym.progress import Silent
from agentgym.recipe import Recipe, check_recipe
from agentgym.registry import spec, tasks
from agentgym.session import Session
from agentgym.store import RunFolder
from agentgym.types import Ending, Trajectory

HOSTILE = """
from agentgym.env import Ability, EnvSpec, TextEnv
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task

class Odd(TextEnv):
    def begin(self, task, rng):
        self.turn = 0
        return self.look()

    def act(self, action):
        self.turn += 1
        if action == "break":
            raise RuntimeError("gone")
        if action == "end":
            return Step.success(self.look(), 0.25, rewards={"style": 0.25}, outcome=7.0)
        return Step.on(self.look(), 0.5, rewards={"style": 0.3, "task": 0.2})

    def look(self):
        text = "\\x1b[2J\\x1b]0;owned\\x07" + "a long line of many words " * 8
        return Observation(text, actions=("safe one", "bad\\x1b[31m", "end"))

def tasks(split):
    return TaskSet(split, 1, lambda index: Task("odd", split=split))

SPEC = EnvSpec(id="odd-v0", entry="odd:Odd", tasks="odd:tasks", abilities=frozenset({Ability.ACTIONS}), max_turns=5)
"""


class Screen:
    """A child on a terminal of its own."""

    def __init__(self, words: list[str], columns: int, folder: Path) -> None:
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environ = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "agentgym.cli", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=environ,
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.fd = ours
        self.seen = ""
        self._read = 0

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def press(self, key: str, until: str) -> None:
        """Press a key again and again, as a person does, until it is answered.

        Python's input drops an interrupt that comes after its prompt is shown and before it waits for keys.
        """
        for _ in range(20):
            self.type(key)
            try:
                self.until(until, seconds=3.0)
                return
            except AssertionError:
                assert self.child.poll() is None, self.seen
        raise AssertionError(f"{key!r} is not answered: {self.seen!r}")

    def until(self, text: str, seconds: float = 60.0) -> str:
        """Wait for a text that has not been waited for yet; gives what came up to it."""
        end = time.monotonic() + seconds
        while text not in self.seen[self._read :]:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} within {seconds} s after {self.seen[self._read :]!r}"
            if select.select([self.fd], [], [], min(left, 0.5))[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                assert data, f"the end came before {text!r}: {self.seen!r}"
                self.seen += data.decode("utf-8", "replace")
        at = self.seen.index(text, self._read) + len(text)
        found, self._read = self.seen[self._read : at], at
        return found

    def ended(self) -> int:
        """Its exit status, all that it says read."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    break
                if not data:
                    break
                self.seen += data.decode("utf-8", "replace")
            elif self.child.poll() is not None:
                break
        return self.child.wait(timeout=30)


@contextmanager
def screen(words: list[str], folder: Path, columns: int = 80) -> Iterator[Screen]:
    made = Screen(words, columns, folder)
    try:
        yield made
    finally:
        if made.child.poll() is None:
            os.killpg(made.child.pid, signal.SIGKILL)
            made.child.wait()
        os.close(made.fd)


def recorded(folder: Path) -> Trajectory:
    (entry,) = RunFolder(folder).trajectories
    assert entry.phase == "play"
    return entry.trajectory


def test_tab_hint_and_undo_on_a_terminal(tmp_path: Path) -> None:
    with screen(["play", "keydoor-v0", "--save", "mine"], tmp_path) as person:
        person.until("[turn 1 of 12] > ")
        person.type("l\t")  # The only admissible action that begins so is completed.
        person.until("left")
        person.type("\r")
        person.until("[turn 2 of 12] > ")
        person.type(":h\t")  # Two commands begin so: a second Tab shows them.
        person.type("\t")
        person.until(":hint")
        person.type("i\t\r")
        person.until("hint: take")
        person.type("t\t\r")
        person.until("you hold the key")
        person.until("[turn 3 of 12] > ")
        person.type(":undo\r")
        person.until("taken back")
        person.until("room 2, key")
        person.until("[turn 2 of 12] > ")
        person.type("take\r")
        person.until("progress 50%")
        person.type("right\r")
        person.until("[turn 4 of 12] > ")
        person.type(":state\r")
        person.until("state: 4,3,-1,3")
        person.type(":quti\r")
        person.until("there is no command :quti")
        person.type("o\t\r")
        person.until("[reward 1]")
        assert person.ended() == 0
        assert "success: score 1" in person.seen
    played = recorded(tmp_path / "mine")
    assert [turn.action for turn in played.turns] == ["left", "take", "right", "open"]
    assert [turn.info.get("hint") for turn in played.turns] == [None, None, None, None]
    assert [turn.info.get("undone") for turn in played.turns] == [None, 1, None, None]


def test_a_hint_is_marked_in_the_turn_that_follows(tmp_path: Path) -> None:
    done = piped("left\n:hint\ntake\nright\nopen\n", "keydoor-v0", "--save", str(tmp_path / "mine"))
    assert done.returncode == 0
    assert [turn.info.get("hint") for turn in recorded(tmp_path / "mine").turns] == [None, "take", None, None]


@pytest.mark.parametrize(("key", "name"), [("\x03", "Ctrl-C"), ("\x04", "Ctrl-D")])
def test_keys_that_end_it_keep_what_was_played(tmp_path: Path, key: str, name: str) -> None:
    with screen(["play", "keydoor-v0", "--save", "mine"], tmp_path) as person:
        person.until("[turn 1 of 12] > ")
        person.type("left\r")
        person.until("[turn 2 of 12] > ")
        person.press(key, until="given up: score 0, 1 turns")
        assert person.ended() == 0, name
        assert "Traceback" not in person.seen
    played = recorded(tmp_path / "mine")
    assert (played.ending, len(played.turns)) == (Ending.OUT_OF_TIME, 1)


def test_forty_columns_and_hostile_text(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(HOSTILE)
    with screen(["play", "./odd.py:SPEC"], tmp_path, columns=40) as person:
        shown = person.until("[turn 1 of 5] > ")
        assert "\x1b[2J" not in shown
        assert "\x1b]0;" not in shown
        assert "\u241b[2J" in shown
        lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in shown.splitlines()]
        assert max(map(len, lines)) <= 40
        assert not [line for line in lines if re.search(r"\bwor$", line)], "words are not cut in two"
        person.type("b\t")  # What would write to the terminal by itself is not offered.
        person.type("\x15s\t\r")
        shown = person.until("[turn 2 of 5] > ")
        assert "bad\x1b" not in shown
        assert "[reward 0.5: style 0.3, task 0.2]" in shown
        person.type(":undo\r")
        said = person.until("[turn 2 of 5] > ")
        said = " ".join(said.split())
        assert "can neither restore a state nor play the same again" in said
        person.type(":hint\r")
        person.until("no oracle")
        person.type("end\r")
        assert person.ended() == 0
        assert "success: score 7, 2 turns" in person.seen


def piped(text: str, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentgym.cli", "play", *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, cwd=folder)


def test_a_pipe_blocks_and_saving_on_the_way(tmp_path: Path) -> None:
    lines = ["", '"""', "go", "left", '"""', ":save", f":save {tmp_path / 'mine'}", f":save {tmp_path / 'other'}"]
    done = piped("\n".join([*lines, ":actions", ":tools", ":help", ""]), "keydoor-v0")
    assert done.returncode == 0
    assert "not saved: name a folder" in done.stdout
    assert "not saved: the episode is recorded in" in done.stdout
    assert "there are no tools here" in done.stdout
    (turn,) = recorded(tmp_path / "mine").turns
    assert (turn.completion.text, turn.action) == ("go\nleft", "go")  # The plain dialect reads the first line.
    assert not (tmp_path / "other").exists()
    again = piped("left\n", "keydoor-v0", "--save", str(tmp_path / "mine"))  # More of the same go to the same folder.
    assert again.returncode == 0
    assert [e.trajectory.id for e in RunFolder(tmp_path / "mine").trajectories] == [
        "play:keydoor-4-3-2-3",
        "play:keydoor-4-3-2-3~2",
    ]


def test_a_call_over_several_lines(tmp_path: Path) -> None:
    lines = ['"""', '{"name": "list_folders",', ' "arguments": {}}', '"""', ":tools"]
    done = piped("\n".join(lines), "tools-stateful-v0", "--save", str(tmp_path / "mine"))
    assert "list_folders()" in done.stdout
    (turn,) = recorded(tmp_path / "mine").turns
    assert "fault" not in turn.info
    assert turn.action == '{"arguments": {}, "name": "list_folders"}'


def test_a_folder_that_is_taken_is_refused_before_the_game(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there").mkdir()
    assert main(["play", "keydoor-v0", "--save", str(tmp_path / "there")]) == 2
    shown = capsys.readouterr()
    assert "exists already" in shown.err
    assert "turn 1" not in shown.out


def test_a_world_that_breaks_is_recorded_as_broken(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(HOSTILE)
    done = piped("safe one\nbreak\n", "./odd.py:SPEC", "--save", "mine", folder=tmp_path)
    assert done.returncode == 1
    assert "the environment broke: RuntimeError: gone" in done.stdout
    played = recorded(tmp_path / "mine")
    assert (played.ending, len(played.turns)) == (Ending.INFRA_ERROR, 1)


def test_calls_may_be_typed_in_three_ways() -> None:
    hermes = get("hermes")
    ways = ['pay(to="ann", amount=3)', '{"name": "pay", "arguments": {"to": "ann", "amount": 3}}']
    said = [spoken(way, "hermes", tools=True) for way in ways]
    assert said[0] == said[1]
    text, action = said[0]
    assert hermes.parse(text).action == action
    assert spoken(text, "hermes", tools=True) == (text, action)
    assert spoken("pay(now)", "plain") == ("pay(now)", "pay(now)")  # Where there are no tools it is an action.


@pytest.mark.parametrize("env", ["keydoor-v0", "tools-stateful-v0", "search-world-v0"])
def test_undo_goes_back_to_the_very_state(env: str) -> None:
    task = tasks(env, "train")[0]
    here, there = (Game(env, task, 0, {}, spec(env).dialect) for _ in range(2))
    first = here.observation
    hint = here.oracle().removeprefix("hint: ")
    here.act(hint)
    here.undo()
    assert here.observation == first
    steps = [game.act(hint) for game in (here, there)]
    assert steps[0] is not None
    assert steps[1] is not None
    assert steps[0].observation == steps[1].observation
    assert "nothing" in there.undo() or not there.turns
    for game in (here, there):
        game.world.close()


def test_warm_start_learns_from_what_a_person_played(tmp_path: Path) -> None:
    piped("dance\nleft\ntake\nright\nopen\n", "keydoor-v0", "--save", str(tmp_path / "mine"))
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        '[env]\nid = "keydoor-v0"\ndialect = "action-tag"\n[model]\nref = "scratch:tiny"\n[warmstart]\ntasks = 5\n'
        f'demonstrations = "{tmp_path / "mine"}"\n[eval]\ntasks = 0\n'
    )
    made = load(Recipe, recipe)
    check_recipe(made)
    with Session(made, RunFolder.create("x", tmp_path), Silent()) as session:
        (shown,) = session.demonstrations(5)
        chat = session.loaded.chat
    (sample,) = shown.samples
    said = {t: chat.decode([i for i, n in zip(sample.tokens, sample.turn, strict=True) if n == t]) for t in range(5)}
    actions = ["", *(f"<action>{name}</action>" for name in ("left", "take", "right", "open"))]
    assert [said[t] for t in range(5)] == actions  # The dance is in the conversation and is not learnt.
    assert "dance" in chat.tokenizer.decode(sample.tokens)
    for change, wrong in (({"tasks": 0}, "how many"), ({"demonstrations": "gone"}, "no run folder")):
        config = made.warmstart.model_copy(update=change)
        with pytest.raises(ConfigError, match=wrong):
            check_recipe(made.model_copy(update={"warmstart": config}))
    other = made.env.model_copy(update={"options": {"rooms": 6}})
    changed = made.model_copy(update={"env": other})
    with (
        Session(changed, RunFolder.create("y", tmp_path), Silent()) as session,
        pytest.raises(UsageError, match="1 successful attempts, none of them at a training task"),
    ):
        session.demonstrations(5)
    assert models.load("scratch:tiny").chat is not None
