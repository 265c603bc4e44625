"""One browser and one server for all tests of the page; a page that complains fails its test.

The browser's driver keeps an event loop running in the main thread for as long as it is open, and no other test could
start one meanwhile: it closes with the last test of each module.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, or a skip that says what is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright: pip install playwright")
    pytest.importorskip("starlette", reason="the page's tests need the extra `view`: starlette is not installed")
    pytest.importorskip("uvicorn", reason="the page's tests need the extra `view`: uvicorn is not installed")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("the page's tests need Chromium: none on the path; CHROMIUM names another one")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of one recipe."""
    from page_cases import make_run

    root = tmp_path_factory.mktemp("runs")
    return [make_run(root, f"cases-{seed}", seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Any]]:
    """Serve runs; all servers end with the tests."""
    from agentgym.view.data import open_runs
    from agentgym.view.server import Viewer

    opened: list[Any] = []

    def start(*paths: Path) -> Any:
        viewer = Viewer(open_runs(list(paths)))
        opened.append(viewer.__enter__())
        return opened[-1]

    yield start
    for viewer in opened:
        viewer.__exit__(None, None, None)


@pytest.fixture(scope="module")
def viewer(serve: Callable[..., Any], runs: list[Path]) -> Any:
    return serve(*runs)


class Looked:
    """Pages that were opened, and what they complained of.

    Attributes:
        complaints: errors, dialogs and requests to anywhere else.
    """

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.contexts: list[Any] = []
        self.complaints: list[str] = []

    def open(self, address: str, wait: str = "main[data-ready]", **context: Any) -> Any:
        """A page in a context of its own, drawn."""
        given = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **context}
        made = self.browser.new_context(**given)
        made.set_default_timeout(60_000)  # A bound, for machines that do much else.
        self.contexts.append(made)
        page = made.new_page()
        origin = address.split("/#")[0]

        def request(asked: Any) -> None:
            if not asked.url.startswith((origin, "data:", address.split("#")[0])):
                self.complaints.append(f"request to {asked.url}")

        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", request)
        page.goto(address)
        page.wait_for_selector(wait)
        return page


@pytest.fixture
def looked(browser: Any) -> Iterator[Looked]:
    opened = Looked(browser)
    yield opened
    for context in opened.contexts:
        context.close()
    assert opened.complaints == []


@pytest.fixture
def at(viewer: Any, looked: Looked) -> Callable[..., Any]:
    """Open the page at a view: `at("view=table&q=x")`."""

    def go(where: str = "", **context: Any) -> Any:
        return looked.open(f"{viewer.url}&{where}", **context)

    return go
