"""The terminal viewer, driven by keys at 80x24 and at 40x20."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from view_cases import HOSTILE, made, one, played

from agentgym.store import RunFolder
from agentgym.view.data import RunData
from agentgym.view.strips import heat, one_line, safe, sparkline

terminal = pytest.importorskip("agentgym.view.terminal", reason="needs the extra 'view' (textual)")

SIZES = [(80, 24), (40, 20)]
Acts = Callable[[Any, Any], Awaitable[None]]


def seen(app: Any) -> list[str]:
    """What is on the screen, line by line."""
    return ["".join(part.text for part in strip) for strip in app.screen._compositor.render_strips()]


def drive(path: Path, size: tuple[int, int], acts: Acts) -> None:
    async def run() -> None:
        app = terminal.Terminal(RunData(path))
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: bool(app.found["rows"]))
            await acts(app, pilot)

    asyncio.run(run())


async def until(pilot: Any, true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        await pilot.pause(0.05)


@pytest.mark.parametrize("size", SIZES)
def test_the_table_shows_sorts_and_filters(tmp_path: Path, size: tuple[int, int]) -> None:
    async def acts(app: Any, pilot: Any) -> None:
        lines = seen(app)
        assert "a keydoor-v0" in lines[0]
        assert any("train/success" in line and "▁" in line for line in lines), "a curve"
        assert all(len(line.rstrip()) <= size[0] for line in lines)
        total = 6 + 2 * len(played())
        assert app.found["total"] == total
        assert f"{total} rows" in "".join(lines)
        await pilot.press("s", "r")
        scores = [row["score"] for row in app.found["rows"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[-1]
        await pilot.press("f")
        assert all(row["faults"] for row in app.found["rows"])
        await pilot.press("x", "p")
        assert {row["phase"] for row in app.found["rows"]} == {"eval:a"}
        await pilot.press("x", "slash", *"0:keydoor", "enter")
        assert 0 < app.found["total"] < total
        assert all("0:keydoor" in row["id"] for row in app.found["rows"])
        await pilot.press("x")
        assert app.found["total"] == total

    drive(made(tmp_path), size, acts)


@pytest.mark.parametrize("size", SIZES)
def test_one_trajectory_turn_by_turn(tmp_path: Path, size: tuple[int, int]) -> None:
    async def acts(app: Any, pilot: Any) -> None:
        await pilot.press("p", "p", "j", "enter")
        screen = app.screen
        n = app.found["rows"][1]["n"]
        record = app.data.trajectory(n)
        await until(pilot, lambda: screen.gave is not None)
        await pilot.pause(0.1)
        lines = seen(app)
        assert one_line(record["id"], size[0]) in lines[0]
        assert f"turn 1/{len(record['turns'])}" in lines[1]
        text = "\n".join(lines)
        assert "recorded" in text
        assert "reward" in text
        strips = str(screen.query_one("#strips").content)
        with_credit = [one for one in app.data.credit(n)["modules"] if one["advantages"] and any(one["advantages"])]
        assert with_credit
        for module in with_credit:
            assert one_line(module["name"], 14) in strips
        await pilot.press("n")
        assert screen.now == 1
        shown = str(screen.query_one("#turn").content)
        assert record["turns"][1]["observation"]["text"] in shown
        assert record["turns"][1]["completion"]["text"] in shown
        await pilot.press("G", "j", "j")
        assert "in the end" in str(screen.query_one("#turn").content)
        await pilot.press("k", "p", "left", "g")
        assert screen.now == 0
        await pilot.press("c")
        assert with_credit[0]["name"][:14] not in str(screen.query_one("#strips").content)
        await pilot.press("right_square_bracket")
        assert screen.record["n"] == app.found["rows"][2]["n"]
        await pilot.press("question_mark")
        assert "shows this" in "".join(seen(app))
        await pilot.press("escape", "q")
        assert app.screen is not screen
        await pilot.press("q")

    drive(made(tmp_path), size, acts)


@pytest.mark.parametrize("size", SIZES)
def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path, size: tuple[int, int]) -> None:
    with RunFolder.create("a", tmp_path) as run:
        run.trajectories.append(one(f"[red]{HOSTILE}", HOSTILE))

    async def acts(app: Any, pilot: Any) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.gave is not None)
        await pilot.press("n", "space")
        await pilot.pause(0.1)
        for line in seen(app):
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202e\ud800-\udfff]", line)
        shown = str(app.screen.query_one("#turn").content)
        assert "[bold]x[/bold]" in shown, "markup is text"
        assert "\\x00" in shown
        assert "\x1b" not in shown

    drive(tmp_path / "a", size, acts)


def test_a_growing_run_is_followed(tmp_path: Path) -> None:
    with RunFolder.create("a", tmp_path) as run:
        run.trajectories.append(one("first"))

        async def acts(app: Any, pilot: Any) -> None:
            assert "live" in seen(app)[0]
            run.trajectories.append(one("second"))
            await until(pilot, lambda: len(app.found["rows"]) == 2)
            await pilot.press("j", "enter")
            assert app.screen.record["id"] == "second"

        drive(run.path, (80, 24), acts)


def test_an_empty_run_can_be_left(tmp_path: Path) -> None:
    RunFolder.create("a", tmp_path).close()

    async def go() -> None:
        app = terminal.Terminal(RunData(tmp_path / "a"))
        async with app.run_test(size=(40, 20)) as pilot:
            await pilot.pause(0.3)
            await pilot.press("enter", "j", "k", "s", "p", "e", "right_square_bracket")
            assert "0 rows" in "".join(seen(app))
            await pilot.press("q")

    asyncio.run(go())


def test_strips_say_size_and_sign() -> None:
    assert heat([1.0, -1.0, 0.0, None, 0.1, -0.1], 0, 10).plain == "█▓· ▁░"
    assert heat([float(n) for n in range(100)], 99, 10).plain[-1] == "█"
    assert len(heat([1.0] * 100, 50, 10).plain) == 10
    assert heat([], 0, 10).plain == ""
    assert sparkline([float(n) for n in range(80)], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([None, None], 8) == "  "
    assert sparkline([2.0, 2.0], 8) == "▄▄"
    assert safe("a\x1b[31mb\r\nc\u202ed") == "ab\nc\\u202ed"
    assert len(one_line("x" * 500, 20)) == 20
