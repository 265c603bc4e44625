"""The maker: a process that makes game files, one request a line.

Generation depends on the order of sets, so games are byte-stable only with a fixed hash seed, which a process gets at
its start and never after; and loading the generator costs two seconds. Hence a process of its own that lives on.
Run as `python -m agentgym_envs.textworld.make` with `PYTHONHASHSEED=0`; see `games.py` for who does.

It makes the same games as the generator's own entry points at about three times the speed:

- a knowledge base is parsed once per process, not once per game;
- a walkthrough is traced in the generator's own logic, instead of compiling the game a first time and playing it;
- the compiler writes no index pages. It writes no date either, so that games of different days are equal.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import textworld
from textworld.challenges import CHALLENGES
from textworld.generator import generate_inform7_source, make_game, make_grammar
from textworld.generator.data import KnowledgeBase
from textworld.generator.game import Game, GameOptions, GameProgression
from textworld.generator.inform7 import Inform7Game, world2inform7
from textworld.generator.maker import GameMaker


def speed_up() -> None:
    """Replace what the generator does twice or for every game anew. Changes the generator in this process for good."""
    load = functools.cache(KnowledgeBase.load)
    KnowledgeBase.load = lambda *args, **kwargs: load(*args, **kwargs)
    compile_and_play = GameMaker.set_walkthrough

    def set_walkthrough(self: GameMaker, commands: list[str]) -> None:
        if not trace(self, commands):
            compile_and_play(self, commands)

    GameMaker.set_walkthrough = set_walkthrough


def trace(maker: GameMaker, commands: list[str]) -> bool:
    """Note in the winning events which actions of a walkthrough trigger them.

    Returns:
        False, with nothing noted, if a command is none that the logic knows.
    """
    game = maker.build()
    texts = Inform7Game(game)
    progression = GameProgression(game, track_quests=False)
    events = [event for quest in maker.quests for event in quest.win_events]
    found: dict[int, int] = {}
    actions: list[Any] = []
    for turn, command in enumerate(commands):
        valid = progression.valid_actions
        fits = [a for a, text in zip(valid, texts.gen_commands_from_actions(valid), strict=True) if text == command]
        if not fits:
            return False
        # The first of those with most preconditions, as the engine's own tracker chooses.
        actions.append(max(fits, key=lambda action: len(action.preconditions)))
        progression.update(actions[-1])
        for index, event in enumerate(events):
            if index not in found and event.is_triggering(progression.state):
                found[index] = turn + 1
    for index, end in found.items():
        events[index].actions, events[index].commands = list(actions[:end]), commands[:end]
    return True


def build(params: dict[str, Any]) -> Game:
    """The game as the generator's data structure: a function of `params` alone."""
    seed, hint = int(params["seed"]), params.get("hint", "full")
    textworld.g_rng.set_seed(seed)
    options = GameOptions()
    options.seeds = seed
    options.grammar.only_last_action = hint == "last"
    if params["engine"] == "custom":
        game = custom(dict(params["settings"]), options)
    else:
        _, make_challenge, _ = CHALLENGES[f"tw-{params['engine']}"]
        game = make_challenge(dict(params["settings"]), options)
    if hint == "none":
        game.objective = ""
    if not game.walkthrough:  # Derives one from the quests and keeps it, where the challenge wrote none.
        raise RuntimeError("the generator gave no walkthrough")
    return game


def custom(settings: dict[str, Any], options: GameOptions) -> Game:
    """A game of no challenge: `rooms`, `objects`, quests of exactly `quest` commands, `quests` of them, a `theme`."""
    options.nb_rooms, options.nb_objects = int(settings["rooms"]), int(settings["objects"])
    options.nb_parallel_quests = int(settings["quests"])
    chaining, length = options.chaining, int(settings["quest"])
    chaining.min_length = chaining.max_length = chaining.max_depth = length
    options.grammar.theme = str(settings["theme"])
    game: Any = make_game(options)
    seeds, grammar = cast(Any, options.seeds), cast(Any, options.grammar)
    for attempt in range(100):
        things = [info for info in game.infos.values() if info.type not in ("P", "I")]
        words = [frozenset(info.name.lower().split()) for info in things if info.type != "r"]
        if not any(a <= b for i, a in enumerate(words) for j, b in enumerate(words) if i != j):
            return game
        # A "box" beside an "old box" cannot be named so that the parser knows which is meant: name everything anew.
        for info in things:
            info.name = info.adj = info.noun = info.desc = None
        rng = np.random.RandomState((seeds["grammar"] + attempt + 1) % 2**32)
        game.change_grammar(make_grammar(grammar, rng=rng))
    raise RuntimeError("there are not names enough for so many things; ask for fewer rooms, objects or commands")


def make(params: dict[str, Any], target: Path) -> None:
    """Make one game: `target` (`.z8`), its description (`.json`), and their hashes (`.sha256`), which come last."""
    game = build(params)
    source = generate_inform7_source(game)  # Before saving: it completes the events' commands.
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as folder:
        story = Path(folder) / target.name
        described, hashes = story.with_suffix(".json"), story.with_suffix(".sha256")
        game.save(str(described))
        data = json.loads(described.read_text())
        data["KB"]["text_grammars_path"] = "text_grammars"  # Else it says where the engine is installed.
        described.write_text(json.dumps(data))
        compile_story(source, story)
        digests = {path.suffix: hashlib.sha256(path.read_bytes()).hexdigest() for path in (story, described)}
        hashes.write_text(json.dumps(digests))
        for path in (described, story, hashes):
            os.replace(path, target.with_suffix(path.suffix))


def compile_story(source: str, target: Path) -> None:
    """Inform 7 source to a story file, with the compilers that come with the engine.

    Raises:
        RuntimeError: a compiler refused, with the end of what it said.
    """
    home = Path(os.environ.get("INFORM_HOME") or str(world2inform7.I7_DEFAULT_PATH)) / "share" / "inform7"
    with tempfile.TemporaryDirectory(prefix="agentgym-inform-") as name:
        project = Path(name)
        (project / "Source").mkdir()
        (project / "Source" / "story.ni").write_text(source)
        (project / "uuid.txt").touch()
        ni = [home / "Compilers" / "ni", "--internal", home / "Internal", "--format=.z8", "--project", project]
        _run([*ni, "-noindex", "-noprogress"])
        auto = project / "Build" / "auto.inf"
        undated = re.sub(rb'^Serial "\d{6}";', b'Serial "000000";', auto.read_bytes(), count=1, flags=re.MULTILINE)
        auto.write_bytes(undated)
        _run([home / "Compilers" / "inform6", "-E2wSv8F0", auto, target])


def _run(command: list[Any]) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr)[-600:].decode("utf-8", "replace").strip()
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {said}")


def main() -> None:
    """Serve requests `{"params": ..., "target": ...}` until the input ends; answers `{"ok": true}` or an error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What the generator prints must not look like an answer.
    speed_up()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            make(request["params"], Path(request["target"]))
            answer: dict[str, Any] = {"ok": True}
        except Exception as error:  # Whatever the generator raises is the requester's to report.
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
