"""`agentgym init` writes a package that works, and the guide that walks through it is true."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agentgym.cli import main
from agentgym.cli.skeleton import files

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "environments.md"


def run(*words: str, cwd: Path, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
    )


def registered(project: Path, target: Path) -> None:
    """What installing it would leave: its entry points, read from its own pyproject, in a folder on the path."""
    found = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    folder = target / f"{found['name'].replace('-', '_')}-{found['version']}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {found['name']}\nVersion: {found['version']}\n")
    (points,) = found["entry-points"].items()
    lines = [f"[{points[0]}]", *(f"{name} = {value}" for name, value in points[1].items())]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.timeout(280)
def test_the_commands_of_the_guide_run_in_its_order(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(commands) == 10
    here, installed = tmp_path, tmp_path / "site"
    for words in commands:
        if words[0] == "cd":
            here = here / words[1]
            continue
        if words[0] == "pip":  # A real build would fetch its tools: the same entry point, found the same way.
            assert words == ["pip", "install", "--no-deps", "-e", "."]
            registered(here, installed)
            continue
        if words[0] == "pytest":
            words = ["pytest", *words[1:], "-p", "no:cacheprovider", "-n0"]
        module = {"agentgym": "agentgym.cli", "pytest": "pytest"}[words[0]]
        done = run("-m", module, *words[1:], cwd=here, path=(here, installed))
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        if words[:2] == ["agentgym", "check"]:
            assert "18 of 18 rules are kept" in done.stdout
    assert "number-hunt" in done.stdout  # The last one lists environments.


def test_what_it_writes_and_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "x9-maze", "--folder", "deep/er"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [str(Path("deep/er") / path) for path in files("x9-maze")]
    assert "agentgym check ./x9_maze/env.py:SPEC" in shown.err
    text = "".join((tmp_path / "deep/er" / path).read_text() for path in files("x9-maze"))
    assert "class X9Maze(TextEnv)" in text
    assert not re.search("NAME|MODULE|CLASS", text)


@pytest.mark.parametrize("name", ["Maze", "9maze", "a--b", "-a", "a_b", "a/b", "../a", "", "maze-v0", "käse"])
def test_what_is_no_name_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--", name]) == 2
    assert "error: init: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "said"), [("class", "cannot be called"), ("json", "cannot be called"), ("keydoor", "there already")]
)
def test_names_that_are_taken_are_refused(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", name]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept").write_text("mine")
    assert main(["init", "maze", "--folder", str(tmp_path)]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert main(["init", "maze", "--folder", str(tmp_path / "kept")]) == 2
    assert main(["init", "maze", "--folder", str(tmp_path / "kept" / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "mine"
