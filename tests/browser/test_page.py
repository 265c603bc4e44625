"""The page in a real browser: what a person does with it, by hand and by keys."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from page_cases import make_run

At = Callable[..., Any]
INK = """() => {
  const canvas = document.querySelector(".curve canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let drawn = 0;
  for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0;
  return drawn;
}"""


def cells(page: Any, column: int) -> list[str]:
    return [text.strip() for text in page.locator(f"table.rows tbody tr td:nth-child({column})").all_inner_texts()]


def shows(page: Any, column: int, wanted: list[int]) -> None:
    """Wait until a column has these numbers: the head of a table says what was asked for before the rows are there."""
    for _ in range(200):
        if [int(text) for text in cells(page, column)] == wanted:
            return
        page.wait_for_timeout(50)
    assert [int(text) for text in cells(page, column)] == wanted


def where(page: Any) -> dict[str, str]:
    return page.evaluate("() => Object.fromEntries(AG.here())")


def settle(page: Any) -> None:
    page.locator(".waiting").first.wait_for(state="detached")


def test_overview_shows_runs_curves_and_endings(at: At) -> None:
    page = at()
    assert page.locator("h1").inner_text() == "cases-0"
    assert page.locator("section table tbody tr").count() >= 2
    page.locator(".curve canvas").first.wait_for()
    titles = page.locator(".curve h3 > span:first-child").all_inner_texts()
    assert titles[0] == "eval/success"
    assert "train/success" in titles
    settle(page)
    assert page.locator("a.part").count() >= 2
    drawn = page.evaluate(INK)
    assert drawn > 500  # A line and a band, not an empty canvas.


def test_a_curve_reads_out_hides_and_has_a_table(at: At) -> None:
    page = at()
    curve = page.locator(".curve").first
    curve.locator("canvas").wait_for()
    before = curve.locator(".at").inner_text()
    curve.locator(".plot").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".curve .at:has-text('step')")
    assert before == "last"
    button = curve.locator(".legend button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    curve.locator("summary").click()
    curve.locator("table").wait_for()
    assert curve.locator("table tbody tr").count() >= 4
    assert "seeds" in button.inner_text()


def test_a_click_on_an_ending_filters_the_table(at: At) -> None:
    page = at()
    settle(page)
    page.locator("a.part.good").first.click()
    page.wait_for_selector("main[data-ready=table] table.rows tbody tr[data-n]")
    assert where(page)["ending"] == "success"
    assert set(cells(page, 6)) == {"✓ success"}


def test_sort_by_a_column_and_the_other_way(at: At) -> None:
    page = at("view=table")
    page.get_by_role("button", name="Turns").click()
    page.wait_for_selector("th[aria-sort=descending]:has-text('Turns')")
    turns = sorted((int(t) for t in cells(page, 9)), reverse=True)
    shows(page, 9, turns)
    assert len(set(turns)) > 1
    page.get_by_role("button", name="Turns").click()
    page.wait_for_selector("th[aria-sort=ascending]:has-text('Turns')")
    shows(page, 9, turns[::-1])
    assert where(page)["sort"] == "turns"


def test_filters_count_stay_in_the_address_and_can_be_taken_away(at: At) -> None:
    page = at("view=table")
    total = page.locator(".count").inner_text()
    page.get_by_label("Phase").select_option("eval:trained")
    page.wait_for_selector(".count:has-text('filtered from')")
    assert set(cells(page, 5)) == {"eval:trained"}
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.name") == "q"
    page.keyboard.type("nothing has this name")
    page.wait_for_selector("text=Nothing matches")
    page.reload()
    page.wait_for_selector("text=Nothing matches")
    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_selector(f".count:text-is('{total}')")
    page.get_by_label("At least").fill("1")
    page.wait_for_selector(".count:has-text('filtered from')")
    assert set(cells(page, 7)) == {"1"}
    page.get_by_label("Range of").select_option("credit_sum")  # Another number begins without bounds.
    page.wait_for_selector(f".count:text-is('{total}')")
    page.get_by_label("At most").fill("-0.1")
    page.wait_for_selector(".count:has-text('filtered from')")
    assert cells(page, 11)
    assert all(cell.startswith("\u2212") for cell in cells(page, 11))
    page.get_by_label("Range of").select_option("reward")
    page.wait_for_selector(f".count:text-is('{total}')")
    page.get_by_label("At least").fill("0.5")  # Both at once: neither is lost.
    page.get_by_label("At most").fill("9")
    page.wait_for_selector(".count:has-text('filtered from')")
    assert set(cells(page, 8)) == {"1"}
    page.wait_for_function("() => /low=0.5/.test(location.hash) && /high=9/.test(location.hash)")


def test_keys_go_through_the_table_and_open_a_trajectory(at: At) -> None:
    page = at("view=table")
    first = page.locator("tr[aria-selected]").get_attribute("data-n")
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    picked = page.locator("tr[aria-selected]").get_attribute("data-n")
    assert (first, picked) == ("0", "2") or int(picked) > int(first)
    page.keyboard.press("Enter")
    page.wait_for_selector("main[data-ready=trajectory]")
    assert where(page)["n"] == picked
    page.keyboard.press("j")
    page.wait_for_selector("main[data-ready=trajectory] h1:not(:empty)")
    page.wait_for_url(re.compile(rf"[#&]n={int(picked) + 1}(&|$)"))
    page.keyboard.press("Escape")
    page.wait_for_selector("main[data-ready=table]")


def test_who_leaves_while_a_trajectory_arrives_is_not_taken_back(at: At) -> None:
    page = at("view=table")
    page.evaluate(
        """() => {
          const real = AG.source.trajectory;
          AG.source.trajectory = async (...given) => {
            const found = await real(...given);
            AG.go("table");
            window.left = location.hash;
            return found;
          };
        }"""
    )
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.left")
    page.wait_for_selector("main[data-ready=table] tr[data-n]")
    page.wait_for_timeout(300)
    assert where(page)["view"] == "table"
    assert page.locator("main[data-ready=table] tr[data-n]").count()


def test_step_through_a_trajectory_with_keys(at: At, viewer: Any) -> None:
    page = at("view=trajectory&n=0")
    record = viewer.watch.runs[0].trajectory(0)
    count = len(record["turns"])
    assert page.locator(".position").inner_text() == f"turn 1 of {count}"
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert page.locator(".position").inner_text() == f"turn 3 of {count}"
    assert page.locator(".turn.now").get_attribute("id") == "turn-2"
    assert where(page)["turn"] == "2"
    page.keyboard.press("p")
    page.keyboard.press("End")
    page.keyboard.press("n")
    assert page.locator(".position").inner_text() == f"turn {count} of {count}"
    said = page.locator("article.turn .said.model .body").all_text_contents()
    assert said == [t["completion"]["text"] for t in record["turns"]]


def test_the_heat_strip_has_every_module_and_the_right_numbers(at: At, viewer: Any) -> None:
    page = at("view=trajectory&n=0")
    settle(page)
    credit = viewer.watch.runs[0].credit(0)
    shown = {m["label"]: m for m in credit["modules"] if m["advantages"] or m["shaped"]}
    hidden = [m for m in credit["modules"] if not m["advantages"] and not m["shaped"]]
    assert len(shown) >= 5
    assert hidden
    for label, module in shown.items():
        row = page.locator(f"table.heat tbody tr:has(th:text-is('{label}'))").first
        words = row.locator("td[data-turn]").evaluate_all("cells => cells.map(c => c.getAttribute('aria-label'))")
        given = module["advantages"] or module["shaped"]
        assert len(words) == len(given)
        for word, value in zip(words, given, strict=True):
            said = float(word.rsplit(": ", 1)[1].replace("−", "-").replace("+", ""))
            assert said == pytest.approx(value, abs=0.006 + 0.01 * abs(value))
    page.locator(".heat-card summary").last.click()
    page.locator(".why dt").last.wait_for()
    assert page.locator(".why dt").count() == len(hidden)
    page.locator("table.heat tbody td[data-turn]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".position").inner_text().startswith("turn 2 of")
    assert "turn 2" in page.locator(".heat-card .readout").inner_text()


def test_the_group_is_a_graph_with_its_choices_in_words(at: At, viewer: Any) -> None:
    row = viewer.watch.runs[0].trajectory(0)
    group = viewer.watch.runs[0].groups(row["group"], "train", 0)
    page = at(f"view=group&g={quote(row['group'])}&gp=train&gi=0")
    assert page.locator("svg.graph .node").count() == len(group["nodes"])
    assert page.locator("svg.graph .edge-part").count() == len(group["edges"])
    assert page.locator("table.attempts tbody tr").count() == len(group["trajectories"])
    steps = sum(len(t["steps"]) for t in group["trajectories"])
    assert page.locator("table.attempts a.state").count() == steps
    assert page.locator(".choice").count() >= 1
    assert "did better than" in page.locator(".choice").first.inner_text()
    page.locator("svg.graph .node").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.locator("dialog .visits a").first.click()
    page.wait_for_selector("main[data-ready=trajectory]")


def test_equal_states_of_attempts_stand_in_one_column(at: At) -> None:
    page = at("view=table")
    assert page.evaluate("() => AG.columns([[1, 2, 3], [1, 3, 4], [1, 2, 4]], 50)") == {
        "places": [[0, 1, 2], [0, 2, 3], [0, 1, 3]],
        "width": 4,
        "line": [1, 2, 3, 4],
    }
    assert page.evaluate("() => AG.align(['a', 'b', 'c'], ['a', 'x', 'c'])") == [[0, 0], [1, None], [None, 1], [2, 2]]
    assert page.evaluate("() => AG.columns([[...Array(300).keys()]], 50)") is None


def test_compare_two_picked_in_the_table(at: At, viewer: Any) -> None:
    run = viewer.watch.runs[0]
    a = run.trajectory(0)
    others = [run.trajectory(n) for n in range(1, 4)]
    b = next(t for t in others if [x["action"] for x in t["turns"]] != [x["action"] for x in a["turns"]])
    page = at("view=table")
    for n in (0, b["n"]):
        page.locator(f"tr[data-n='{n}'] input").check()
    page.keyboard.press("c")
    page.wait_for_selector("main[data-ready=diff]")
    assert (where(page)["a"], where(page)["b"]) == ("0", str(b["n"]))
    assert page.locator("#parting").count() == 1
    parted = page.locator("#parting .half:not(.gap)").all_inner_texts()
    assert len(set(parted)) == len(parted)
    same = 0
    for x, y in zip(a["turns"], b["turns"], strict=False):
        if (x["observation"]["state"], x["action"]) != (y["observation"]["state"], y["action"]):
            break
        same += 1
    if same:
        assert f"The same for {same} turn" in page.locator(".verdict").inner_text()
    page.keyboard.press("s")
    page.wait_for_url(re.compile(rf"[#&]a={b['n']}(&|$)"))


def test_tokens_say_why_where_there_are_none(browser: Any, viewer: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{viewer.url}&view=trajectory&n=0")
    page.get_by_label("Colour tokens by").select_option("logprob")
    page.wait_for_selector(".problem, .said.model p.soft")
    assert "token" in page.locator("main").inner_text()
    assert page.locator(".said.model .body").first.inner_text().strip()
    context.close()


def test_help_lists_the_keys_of_the_view(at: At) -> None:
    page = at("view=table")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert "open the trajectory" in page.locator("dialog").inner_text()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def test_back_goes_back(at: At) -> None:
    page = at("view=table&phase=train")
    page.locator("tr[data-n='2'] td.id a").click()
    page.wait_for_selector("main[data-ready=trajectory]")
    page.go_back()
    page.wait_for_selector("main[data-ready=table]")
    assert where(page)["phase"] == "train"
    assert set(cells(page, 5)) <= {f"train {i}" for i in range(1, 5)}


def test_another_run_is_one_choice_away(at: At) -> None:
    page = at()
    page.get_by_label("Run", exact=True).select_option("1")
    page.wait_for_selector("h1:text-is('cases-1')")


def test_the_decisive_turn_is_marked_with_its_interval(looked: Any, serve: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, "decided", iterations=1)
    words = ["decide", str(run), "--policy", "noisy-oracle", "-p", "epsilon=0.5", "--turns", "10", "--k", "32"]
    subprocess.run([sys.executable, "-m", "agentgym.cli", *words], check=True, capture_output=True)
    found = {line["id"]: line for line in map(json.loads, (run / "decisive.jsonl").read_text().splitlines())}
    viewer = serve(run)
    data = viewer.watch.runs[0]
    named = [n for n in range(16) if (found.get(data.trajectory(n)["id"]) or {}).get("decisive")]
    record = data.trajectory(named[0])
    decisive = found[record["id"]]["decisive"]
    page = looked.open(f"{viewer.url}&view=trajectory&n={named[0]}")
    settle(page)
    assert page.locator(".turn.decisive").get_attribute("id") == f"turn-{decisive['turn']}"
    way = "won" if record["success"] else "lost"
    said = page.locator(".heat-card").inner_text().replace("\u2212", "-")
    assert f"Turn {decisive['turn'] + 1} {way} it: {decisive['change']:+.2f}" in said
    assert "95 % interval" in said
    row = page.locator("table.heat tbody tr:has(th:text-is('branched, k = 32'))")
    assert row.locator("td[data-turn]").count() == len(record["turns"])
    page.keyboard.press("d")
    assert page.locator(".position").inner_text().startswith(f"turn {decisive['turn'] + 1} of")
