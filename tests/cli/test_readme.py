"""Every command and every example of the README runs; what takes minutes runs with less of the same work."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import types
from pathlib import Path

import httpx
import pytest

from agentgym.errors import NoSandboxError
from agentgym.sandbox import backend

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SMALLER = {
    "agentgym train recipes/keydoor.toml": "--trainer.iterations 1 --warmstart.epochs 1 --name keydoor",
    "agentgym train recipes/async.toml": "--trainer.iterations 2 --warmstart.epochs 1 --eval.tasks 4",
    "agentgym train recipes/quickstart.toml": "--dry-run",
    "agentgym eval textworld-coin-v0": "--tasks 3",
    "agentgym eval swe-mutants-v0": "--tasks 2",
}
"""What is added to a command to make it small; the last mention of an option counts."""
SERVED = ("agentgym view",)
"""Commands that serve until they are interrupted."""
ISOLATED = ("agentgym eval swe-mutants-v0", "agentgym doctor sandbox")
"""Commands that need docker or bubblewrap."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def small(command: str) -> list[str]:
    words = shlex.split(command.replace(".venv/bin/", ""))
    for beginning, more in SMALLER.items():
        if command.replace(".venv/bin/", "").startswith(beginning):
            for option, value in zip(shlex.split(more)[::2], shlex.split(more)[1::2] or [""], strict=False):
                if option in words:
                    words[words.index(option) + 1] = value
                else:
                    words += [option, value] if value else [option]
    return words


def test_the_two_set_up_lines_are_the_first_commands() -> None:
    first, second = commands()[:2]
    assert first == "sh scripts/setup.sh && .venv/bin/agentgym train recipes/quickstart.toml"
    assert second == "sh scripts/setup.sh dev && .venv/bin/pytest"
    for script in ("scripts/setup.sh",):
        subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
    wrong = subprocess.run(["sh", str(ROOT / "scripts/setup.sh"), "nonsense"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "use run or dev" in wrong.stderr


def run(command: str, folder: Path) -> None:
    words = small(command)
    assert words[0] == "agentgym", command
    done = subprocess.run(
        [sys.executable, "-m", "agentgym.cli", *words[1:]],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def serve(command: str, folder: Path) -> None:
    """Start it, load the page that it names, interrupt it."""
    words = [sys.executable, "-m", "agentgym.cli", *small(command)[1:]]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as served:
        try:
            assert served.stdout is not None
            address = served.stdout.readline().partition("#")[0]
            assert address.startswith("http://127.0.0.1:"), command
            assert "<title>" in httpx.get(address).text
            served.send_signal(signal.SIGINT)
            assert served.wait(60) == 0
        finally:
            served.kill()


@pytest.mark.timeout(280)
def test_commands_run_in_the_order_of_the_readme(tmp_path: Path) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    pytest.importorskip("textworld", reason="the README plays TextWorld: pip install 'agentgym-suite[textworld]'")
    todo = [commands()[0].partition("&& ")[2], *commands()[2:]]
    assert len(todo) >= 8
    for command in todo:
        if command.startswith(SERVED):
            serve(command, tmp_path)
        elif not command.startswith(ISOLATED):
            run(command, tmp_path)
    assert (tmp_path / "runs" / "keydoor" / "report.html").exists()


@pytest.mark.timeout(280)
@pytest.mark.parametrize("command", ISOLATED)
def test_commands_in_sandboxes_run(command: str, tmp_path: Path) -> None:
    try:
        backend()
    except NoSandboxError as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    [line] = [line for line in commands() if line.startswith(command)]
    run(line, tmp_path)


def test_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = blocks("python")
    assert len(examples) >= 2
    for number, code in enumerate(examples):
        module = types.ModuleType(f"readme_example_{number}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(code, f"README example {number}", "exec"), module.__dict__)
        if hasattr(module, "SPEC"):
            from agentgym import registry

            env = registry.make(module.SPEC)
            task = registry.tasks(module.SPEC)[3]
            env.reset(options={"task": task})
            assert not env.step("9").terminated
            assert env.step(str(task.data["secret"])).info["success"]


def test_toml_examples_are_recipes(tmp_path: Path) -> None:
    from agentgym.recipe import load_recipe

    for block in blocks("toml"):
        path = tmp_path / "example.toml"
        path.write_text('[env]\nid = "keydoor-v0"\n' + block)
        assert load_recipe(path).credit[0]["use"] == "anchor-state"
