"""Pack transcripts of upstream's WebShop, with the catalogue they were made on, into `tests/golden/webshop`.

    python scripts/webshop_golden.py TRANSCRIPTS DATA

TRANSCRIPTS has `oracle_*.json` and `partial_*.json` (goal, then steps with action, page in both modes, what can be
clicked, reward) and `goals_human0.json`, `goals_human1.json` (goals and prices); DATA has the three product files.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

TARGET = Path(__file__).parents[1] / "tests" / "golden" / "webshop"


def main() -> None:
    """Pack and write; equal bytes on every day."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcripts", type=Path)
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    TARGET.mkdir(parents=True, exist_ok=True)
    for old in TARGET.glob("*.json.gz"):
        old.unlink()
    for path in [*sorted(given.transcripts.glob("*.json")), *sorted(given.data.glob("items_*.json"))]:
        content = json.dumps(json.loads(path.read_text(encoding="utf-8"))).encode()
        packed = gzip.compress(content, compresslevel=9, mtime=0)
        (TARGET / f"{path.name}.gz").write_bytes(packed)
        print(f"{path.name}: {len(packed):,} bytes")


if __name__ == "__main__":
    main()
