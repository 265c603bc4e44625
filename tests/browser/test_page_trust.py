"""The page against what it must survive: hostile text, growing runs, a server that goes, small and odd screens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import page_cases
import pytest

from agentgym.store import RunFolder

HERE = Path(__file__).parent
VIEWS = ("view=overview", "view=table", "view=trajectory&n=0&turn=1", "view=diff&a=0&b=1", "GROUP")


def views(run: Any) -> list[str]:
    row = run.trajectory(0)
    gi = "" if row["iteration"] is None else f"&gi={row['iteration']}"
    group = f"view=group&g={quote(row['group'].encode('utf-8', 'surrogatepass'))}&gp={quote(row['phase'])}{gi}"
    return [group if view == "GROUP" else view for view in VIEWS]


def settle(page: Any) -> None:
    page.locator(".waiting").first.wait_for(state="detached")


def go(page: Any, viewer: Any, where: str) -> None:
    page.evaluate("() => document.getElementById('main').removeAttribute('data-ready')")
    page.evaluate("h => { location.hash = h; }", f"token={viewer.token}&{where}")
    page.wait_for_selector("main[data-ready]")
    settle(page)


def test_hostile_text_is_inert_in_every_view(tmp_path: Path, serve: Callable[..., Any], looked: Any) -> None:
    viewer = serve(page_cases.hostile_run(tmp_path))
    page = looked.open(viewer.url)
    settle(page)
    run = viewer.watch.runs[0]
    for where in [
        "view=overview",
        "view=table",
        *(f"view=trajectory&n={n}" for n in range(7)),
        "view=diff&a=0&b=1",
        "view=diff&a=3&b=5",
    ]:
        go(page, viewer, where)
        assert page.evaluate("() => window.hacked") is None
        assert page.locator("main img, main iframe, main style, main script").count() == 0
        for target in page.locator("main a").evaluate_all("links => links.map(a => a.getAttribute('href'))"):
            assert target.startswith("#")
        shown = page.locator("main").inner_text()
        assert not set(shown) & set("\u202e\u2066\x1b\x07\u2028")
    assert "window.hacked=1" in shown or run.trajectory(0)["id"]
    go(page, viewer, "view=trajectory&n=0")
    assert "⟨U+202E⟩" in page.locator("main").inner_text()
    assert "␛[2J" in page.locator("main").inner_text()


def test_a_huge_text_is_shown_in_part(tmp_path: Path, serve: Callable[..., Any], looked: Any) -> None:
    viewer = serve(page_cases.hostile_run(tmp_path))
    page = looked.open(f"{viewer.url}&view=trajectory&n=3")
    settle(page)
    assert "clipped" in page.locator(".title").inner_text()
    assert len(page.locator(".said.env pre").first.inner_text()) < 10_000
    page.get_by_role("button", name="Show all").first.click()
    assert len(page.locator(".said.env pre").first.inner_text()) > 15_000


def test_a_growing_run_is_followed_and_nothing_moves(tmp_path: Path, serve: Callable[..., Any], looked: Any) -> None:
    path = page_cases.make_run(tmp_path, "growing", iterations=1)
    viewer = serve(path)
    page = looked.open(f"{viewer.url}&view=table")
    before = page.locator("table.rows tbody tr[data-n]").count()
    other = looked.open(f"{viewer.url}&view=table&sort=turns&desc=1")
    other.evaluate("() => { window.first = document.querySelector('tr[data-n]'); }")
    writer = subprocess.Popen(
        [sys.executable, str(HERE / "page_cases.py"), str(path), "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        page.wait_for_selector(f"table.rows tbody tr:nth-child({before + 24})")
        numbers = page.locator("tr[data-n]").evaluate_all("rows => rows.map(r => Number(r.dataset.n))")
        assert numbers == list(range(before + 24))
        page.wait_for_selector(".state-mark.live")
        other.get_by_role("button", name="new").wait_for()
        assert other.evaluate("() => window.first === document.querySelector('tr[data-n]')")
        other.get_by_role("button", name="new").click()
        other.wait_for_selector(f"table.rows tbody tr:nth-child({before + 24})")
    finally:
        writer.communicate(timeout=120)  # Closes its standard input: it ends and frees the lock.
    assert writer.returncode == 0


def test_the_first_trajectory_appears_in_an_empty_run(tmp_path: Path, serve: Callable[..., Any], looked: Any) -> None:
    RunFolder.create("empty", tmp_path).close()
    viewer = serve(tmp_path / "empty")
    page = looked.open(viewer.url)
    settle(page)
    assert "No curves yet" in page.locator("main").inner_text()
    assert "No trajectories yet" in page.locator("main").inner_text()
    go(page, viewer, "view=table")
    assert "No trajectories yet" in page.locator("main").inner_text()
    with RunFolder(tmp_path / "empty", write=True) as run:
        page_cases.write(run, 0, 0)
    page.wait_for_selector("tr[data-n='11']")


def test_without_the_token_nothing_is_shown(viewer: Any, browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(viewer.url.split("#")[0])
    page.wait_for_selector("main[data-ready=problem]")
    assert "token" in page.locator("main").inner_text()
    assert "cases-0" not in page.content()
    context.close()


def test_a_server_that_goes_is_said_and_the_page_stays(tmp_path: Path, runs: list[Path], browser: Any) -> None:
    from agentgym.view.data import open_runs
    from agentgym.view.server import Viewer

    context = browser.new_context()
    page = context.new_page()
    with Viewer(open_runs([runs[0]])) as viewer:
        page.goto(f"{viewer.url}&view=table")
        page.wait_for_selector("main[data-ready=table]")
    page.wait_for_selector(".state-mark.lost", timeout=40_000)
    assert page.locator("tr[data-n]").count() > 10
    page.locator("tr[data-n] td.id a").first.click()
    page.wait_for_selector(".problem")
    assert "does not answer" in page.locator(".problem").inner_text()
    context.close()


def test_a_browser_that_leaves_in_the_middle_harms_nobody(viewer: Any, browser: Any, at: Callable[..., Any]) -> None:
    for _ in range(3):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{viewer.url}&view=trajectory&n=1", wait_until="commit")
        context.close()
    page = at("view=table")
    assert page.locator("tr[data-n]").count() > 10


def test_problems_are_said_in_their_place(viewer: Any, browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    for where, words in (("view=trajectory&n=99999", "99999"), ("r=7", "no run 7"), ("view=group&g=nobody", "nobody")):
        page.goto("about:blank")
        page.goto(f"{viewer.url}&{where}")
        page.wait_for_selector("main[data-ready=problem]")
        assert words in page.locator(".problem").inner_text()
    context.close()


def test_very_many_rows_are_pages_of_a_hundred(tmp_path: Path, serve: Callable[..., Any], looked: Any) -> None:
    """The timing of a hundred thousand is measured by `benchmarks/view.py`."""
    viewer = serve(page_cases.many(tmp_path, 3000))
    page = looked.open(f"{viewer.url}&view=table")
    page.wait_for_selector(".count:has-text('of 3,000')")
    assert page.locator("tr[data-n]").count() == 100
    page.keyboard.press("]")
    page.wait_for_selector("tr[data-n='100']")
    assert page.locator("tr[data-n]").count() == 100
    assert "101–200 of 3,000" in page.locator(".count").inner_text()
    page.keyboard.press("[")
    page.wait_for_selector("tr[data-n='0']")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dark_and_light_by_system_and_by_hand(at: Callable[..., Any], scheme: str) -> None:
    page = at("view=table", color_scheme=scheme)
    back = "() => getComputedStyle(document.body).backgroundColor"
    seen = {page.evaluate(back)}
    for _ in range(2):
        page.keyboard.press("m")
        seen.add(page.evaluate(back))
    assert len(seen) == 2
    page.reload()
    page.wait_for_selector("main[data-ready]")
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"


def test_nothing_sticks_out_at_360_pixels(at: Callable[..., Any], viewer: Any) -> None:
    page = at(viewport={"width": 360, "height": 740})
    for where in views(viewer.watch.runs[0]):
        go(page, viewer, where)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360, where


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_of_every_view(at: Callable[..., Any], viewer: Any, scheme: str) -> None:
    """axe-core over every view: names, roles, contrast, and that what scrolls can be reached by keys."""
    page = at(color_scheme=scheme)
    found: list[str] = []
    for where in views(viewer.watch.runs[0]):
        go(page, viewer, where)
        page.evaluate((HERE / "axe.min.js").read_text("utf-8") + "\n;() => 1")
        result = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
        found += [
            f"{where}: {v['id']}: {n['target']} {n['failureSummary'][:300]}"
            for v in result["violations"]
            for n in v["nodes"][:3]
        ]
    assert not found, "\n".join(found)


def test_the_report_is_the_same_page_from_a_file(tmp_path: Path, runs: list[Path], looked: Any) -> None:
    from agentgym.report import write_report

    with RunFolder(runs[0]) as folder:
        path = write_report(folder, tmp_path / "report.html")
    page = looked.open(path.as_uri())
    settle(page)
    assert page.locator("h1").inner_text() == "cases-0"
    page.locator(".curve canvas").first.wait_for()
    page.keyboard.press("2")
    page.wait_for_selector("main[data-ready=table] tr[data-n]")
    page.get_by_role("button", name="Turns").click()
    page.wait_for_selector("th[aria-sort=descending]:has-text('Turns')")
    page.get_by_label("Ending").select_option("success")
    page.wait_for_selector(".count:has-text('filtered from')")
    won = page.locator(".count").inner_text()
    page.get_by_label("Range of").select_option("turns")
    page.get_by_label("At most").fill("0")
    page.wait_for_selector("text=Nothing matches")
    page.get_by_label("At most").fill("99")
    page.wait_for_selector(f".count:text-is('{won}')")
    page.locator("tr[data-n]").first.wait_for()
    page.locator("h1").first.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("Enter")
    page.wait_for_selector("main[data-ready=trajectory] table.heat tr.module")
    page.keyboard.press("ArrowRight")
    assert page.locator(".position").inner_text().startswith("turn 2 of")
    page.keyboard.press("g")
    page.wait_for_selector("main[data-ready=group] svg.graph .node")
    asked = page.evaluate("() => performance.getEntriesByType('resource').map(r => r.name)")
    assert [name for name in asked if not name.startswith("data:")] == []
