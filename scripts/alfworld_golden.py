"""Pack transcripts of the upstream engine with their games into `tests/golden/alfworld`, one small file each.

    python scripts/alfworld_golden.py TRANSCRIPTS GAMES

TRANSCRIPTS has `*.json` files with a game's path and steps (action, observation, admissible commands, won); GAMES is
the folder that the paths are below.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

TARGET = Path(__file__).parents[1] / "tests" / "golden" / "alfworld"


def pack(transcript: Path, games: Path) -> bytes:
    """A transcript and the game it was played on; equal bytes on every day."""
    recorded = json.loads(transcript.read_text(encoding="utf-8"))
    game = (games / recorded["game"]).read_text(encoding="utf-8")
    content = {"game": recorded["game"], "mode": recorded["mode"], "file": game, "steps": recorded["steps"]}
    return gzip.compress(json.dumps(content).encode(), compresslevel=9, mtime=0)


def main() -> None:
    """Pack and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcripts", type=Path)
    parser.add_argument("games", type=Path)
    given = parser.parse_args()
    TARGET.mkdir(parents=True, exist_ok=True)
    for old in TARGET.glob("*.json.gz"):
        old.unlink()
    for path in sorted(given.transcripts.glob("*.json")):
        content = pack(path, given.games)
        (TARGET / f"{path.stem}.json.gz").write_bytes(content)
        print(f"{path.stem}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
