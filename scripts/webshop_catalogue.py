"""Write a generated WebShop catalogue as upstream's three files, of any size.

    python scripts/webshop_catalogue.py FOLDER --products 1200
    python scripts/webshop_catalogue.py FOLDER --products 1180000 --full    # as large as upstream's: about 3 GB

FOLDER can then be WEBSHOP_DATA, or the option `path` of webshop-real-v0. Without --full the files are named as
upstream's small ones (items_shuffle_1000.json), with it as the full ones (items_shuffle.json).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from agentgym_envs.webshop import catalogue


def main() -> None:
    """Write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--products", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="name the files as upstream's full ones")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    catalogue.write(given.folder, given.products, given.seed, "" if given.full else "_1000")
    size = sum(path.stat().st_size for path in given.folder.glob("items_*.json"))
    print(f"{given.products:,} products, {size / 1e6:,.0f} MB, {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
