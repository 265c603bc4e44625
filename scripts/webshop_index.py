"""Index WebShop's product file ahead of its first use, and show how far it is.

python scripts/webshop_index.py FOLDER      # of upstream's files, or one product file
"""

from __future__ import annotations

import argparse

from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from agentgym.errors import AgentgymError
from agentgym_envs.webshop import catalogue


def main() -> None:
    """Index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    given = parser.parse_args()
    try:
        files = catalogue.in_folder(given.folder)
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn()
        ) as bar:
            task = bar.add_task(f"products of {files.products.name}", total=None)
            found = catalogue.shelf(
                files, lambda count: bar.update(task, completed=count) if count % 500 == 0 else None
            )
    except AgentgymError as error:
        parser.exit(2, f"{error}\n")
    print(f"{len(found):,} products, indexed")


if __name__ == "__main__":
    main()
