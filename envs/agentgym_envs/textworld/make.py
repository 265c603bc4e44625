"""The maker: a process that makes game files, one request a line.

Generation depends on the order of sets, so games are byte-stable only with a fixed hash seed, which a process gets at
its start and never after; and loading the grammar costs two seconds. Hence a process of its own that lives on.
Run as `python -m agentgym_envs.textworld.make` with `PYTHONHASHSEED=0`; see `games.py` for who does.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

SERIAL = slice(0x12, 0x18)
"""Where a story file's header has the date it was compiled on; the checksum does not cover it."""


def make(params: dict[str, Any], target: Path) -> None:
    """Make one game: `target` (`.z8`) and the description beside it (`.json`), both there whole or not at all."""
    import textworld
    from textworld.challenges import CHALLENGES

    options = textworld.GameOptions()
    options.seeds = int(params["seed"])
    options.grammar.only_last_action = params.get("hint", "full") == "last"
    settings = dict(params["settings"])
    _, build, _ = CHALLENGES[f"tw-{params['engine']}"]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as folder:
        options.path = str(Path(folder) / "game.z8")
        options.force_recompile = True
        game = build(settings, options)
        if params.get("hint") == "none":
            game.objective = ""
        made = Path(textworld.generator.compile_game(game, options))
        story = bytearray(made.read_bytes())
        story[SERIAL] = b"000000"
        made.write_bytes(story)
        # The story last: where it is, the description is.
        os.replace(made.with_suffix(".json"), target.with_suffix(".json"))
        os.replace(made, target)


def main() -> None:
    """Serve requests `{"params": ..., "target": ...}` until the input ends; answers `{"ok": true}` or an error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # The engine's compiler may print.
    for line in sys.stdin:
        request = json.loads(line)
        try:
            make(request["params"], Path(request["target"]))
            answer: dict[str, Any] = {"ok": True}
        except Exception as error:  # Whatever the engine raises is the requester's to report.
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
