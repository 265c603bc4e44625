"""Pictures of the page for docs/screenshots: every view of real runs, light and dark.

Make the runs first, three seeds of one recipe, then look at each picture before it is kept:

    for s in 1 2 3; do agentgym train recipes/keydoor.toml --seed $s --eval.every 4 --warmstart.epochs 12 \\
        --trainer.lr 5e-4 --name keydoor-seed-$s; done
    python scripts/screenshots.py runs/keydoor-seed-1 runs/keydoor-seed-2 runs/keydoor-seed-3
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

from agentgym.view.data import RunData, open_runs
from agentgym.view.rows import Query
from agentgym.view.server import Viewer

SIZE = {"width": 1360, "height": 900}
LARGEST = 300_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def parted(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A success and another ending of one group, where a few states are left and several attempts disagree."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["group"], row["iteration"]), []).append(row)

    def worth(members: list[dict[str, Any]]) -> tuple[int, int]:
        won = sum(row["success"] for row in members)
        return min(won, len(members) - won), -sum(row["faults"] for row in members)

    members = max(groups.values(), key=worth)
    won = [row for row in members if row["success"] and row["turns"] <= 9] or members
    lost = [row for row in members if not row["success"]] or members
    return max(won, key=lambda row: row["turns"]), lost[0]


def views(run: RunData) -> dict[str, str]:
    """The address of each picture, after the token."""
    # Late in training the policy mostly knows the way, and where it does not the choice shows.
    rows = run.rows(Query(phase="train", sort="n", desc=True, limit=1000))["rows"]
    won, lost = parted(rows)
    return {
        "overview": urlencode({"view": "overview"}),
        "table": urlencode({"view": "table", "phase": "train", "sort": "n", "desc": "1"}),
        "trajectory": urlencode({"view": "trajectory", "n": won["n"]}),
        "group": urlencode({"view": "group", "g": won["group"], "gp": won["phase"], "gi": won["iteration"]}),
        "diff": urlencode({"view": "diff", "a": won["n"], "b": lost["n"]}),
    }


def picture(page: Page, viewer: Viewer, name: str, where: str, path: Path) -> None:
    """Draw a view from new and keep what is seen."""
    page.goto("about:blank")
    page.goto(f"{viewer.url}&{where}")
    page.wait_for_selector(f"main[data-ready={name}]")
    page.locator(".waiting").first.wait_for(state="detached", timeout=120_000)
    if name == "trajectory":
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        page.evaluate("() => scrollTo(0, 0)")
    page.wait_for_timeout(400)
    page.screenshot(path=path)
    size = path.stat().st_size
    print(f"{path}  {size // 1000} kB" + ("  TOO LARGE" if size > LARGEST else ""))


def main() -> None:
    """Serve the runs and take every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--schemes", default="light,dark")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    opened = open_runs(given.runs)
    while any(run.refresh(60) for run in opened):
        pass
    with Viewer(opened) as viewer, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for scheme in given.schemes.split(","):
            context = browser.new_context(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce")
            page = context.new_page()
            for name, where in views(opened[0]).items():
                picture(page, viewer, name, where, given.out / f"{name}-{scheme}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
