"""Every code block of the guide runs, and the site that is made of it is whole and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import docs_page
import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ELSEWHERE = {"docs/environments.md": "tests/cli/test_init.py"}
"""Pages whose commands another test runs, in the same order."""
PAGES = sorted(
    [
        *(path for path in DOCS.rglob("*.md")),
        *(path for path in (ROOT / "envs").rglob("README.md") if "repos" not in path.parts),
        *(path for path in (ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md") if path.exists()),
    ]
)
"""What the site is made of."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def to_run() -> list[Path]:
    quiet = docs_page.SHOWN
    return [p for p in PAGES if name(p) not in ELSEWHERE and any(b.language not in quiet for b in found(p))]


def found(path: Path) -> list[docs_page.Block]:
    try:
        return docs_page.blocks(path)
    except ValueError:
        return []  # Said by the test of the forms.


NOT_RUN = [(f"{name(path)}:{block.line}", block.reason) for path in PAGES for block in found(path) if block.reason]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_blocks_have_a_form_that_tests_can_read(path: Path) -> None:
    docs_page.blocks(path)


@pytest.mark.parametrize("path", to_run(), ids=name)
@pytest.mark.timeout(600)
def test_blocks_run(path: Path, tmp_path: Path) -> None:
    if lacking := docs_page.missing(path):
        pytest.skip(lacking)
    for folder in ("recipes", "benchmarks", "scripts", "docs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    done = subprocess.run(
        [sys.executable, str(Path(docs_page.__file__)), str(path)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # Pages run side by side.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=580,
    )
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize(("where", "reason"), NOT_RUN, ids=[where for where, _ in NOT_RUN])
def test_blocks_that_cannot_run_here(where: str, reason: str) -> None:
    pytest.skip(f"documentation that no test runs: {reason}")


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_pages_that_another_test_runs(page: str, test: str) -> None:
    assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Words.\n\n    agentgym list\n", "indented"),
        ("## Title\n    agentgym list\n", "indented"),
        ("```\nagentgym list\n```\n", "without a language"),
        ("```sh\nagentgym list\n", "never closed"),
    ],
)
def test_what_would_escape_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(ValueError, match=message):
        docs_page.blocks(tmp_path / "page.md")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\nraise ValueError('seven')\n```\n", "seven"),
        ("```python\nfrom agentgym.credit import Pipelines\n```\n", "cannot import name 'Pipelines'"),
        (
            "<!-- not run: it is wrong -->\n\n```python\nfrom agentgym.credit import Pipelines\n```\n",
            "has no Pipelines",
        ),
        ("<!-- not run: it is wrong -->\n```python\nimport agentgym.credits\n```\n", "agentgym.credits"),
        ("```sh\nagentgym list nonsense\n```\n", "ended with 2"),
        ("```sh\nfalse | cat; false\n```\n", "ended with 1"),
        ("<!-- not run: it is wrong -->\n```sh\nagentgym eval keydoor-v0 --colour red\n```\n", "colour"),
        ("```sh\npip install agentgym-suite\n```\n", "a test cannot run"),
        ("```toml\n[trainer]\nlearning_rate = 1\n```\n", "learning_rate"),
        ("```json\n{'a': 1}\n```\n", "property name"),
        ("```brainfuck\n+\n```\n", "no test knows what to do"),
    ],
)
def test_what_is_wrong_is_found(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(Exception, match=message):
        docs_page.play(tmp_path / "page.md")


class Loads(HTMLParser):
    """Addresses that a browser fetches by itself when it shows a page, and the words of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.addresses.append(given.get("src", ""))
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(given.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="no docs site here: pip install 'agentgym-suite[docs]'")
    pytest.importorskip("mkdocstrings_handlers.python", reason="no docs site here: pip install 'agentgym-suite[docs]'")
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=880,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return target


@pytest.mark.timeout(900)
def test_the_site_is_whole_and_loads_nothing_from_elsewhere(site: Path) -> None:
    from agentgym import registry

    pages = list(site.rglob("*.html"))
    for page in pages:
        reader = Loads()
        reader.feed(page.read_text(encoding="utf-8"))
        foreign = [address for address in reader.addresses if re.match(r"(https?:)?//", address)]
        assert not foreign, f"{page.relative_to(site)} loads {foreign[0]}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet.name
    there = {str(page.relative_to(site)) for page in pages}
    ours = [env for env in registry.names("envs") if registry.spec(env).entry.startswith("agentgym_envs.")]
    assert {f"environments/{env}.html" for env in ours} <= there
    modules = {path.stem for path in (ROOT / "agentgym").glob("[!_]*.py")}
    assert {f"reference/{module}.html" for module in modules} <= there
    episode = (site / "environments/keydoor-v0.html").read_text(encoding="utf-8")
    assert "rewards sum to 1" in episode
    index = (site / "search/search_index.js").read_text(encoding="utf-8")
    assert "anchor-state" in index, "search works without a server: its index is a script"
