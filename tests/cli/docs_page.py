"""Plays the code blocks of one page of the guide, in order, in the folder it is started in: `docs_page.py PAGE`.

One process a page: its Python blocks share one namespace, its commands share a folder, and neither another page nor the
test run sees what they leave behind. `agentgym ...` lines run in this process, since importing torch for each would
take longer than most of them.

A block with `title="NAME"` is also written to that file. `<!-- not run: REASON -->` on the line before a block keeps it
from being run; it is then still read: Python must compile and name what is there, commands must have the options that
they use. `<!-- needs: MODULE -->` and `<!-- needs: sandbox -->` say what a whole page cannot do without.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`\n]*)$")
MARK = re.compile(r"<!-- not run: (.+?) -->")
NEEDS = re.compile(r"<!-- needs: (\w+) -->")
SHOWN = frozenset({"text"})
"""Languages of what is there to be read: output, formulas."""
INSTALLERS = frozenset({"pip", "uv", "apt", "apt-get", "sudo", "docker", "npm", "curl", "wget", "git"})
"""What a test must never call."""
SMALLER = {
    "eval": {"--tasks": "2", "--attempts": "2"},
    "compare": {"--tasks": "2", "--attempts": "2"},
    "train": {"--trainer.iterations": "1", "--trainer.tasks": "2", "--warmstart.epochs": "1", "--eval.tasks": "2"},
}
"""Options that make a command small: they replace those that are there; `--attempts` is never added."""
WHOLE = ("recipes/keydoor.toml",)
"""Recipes of the repository that are trained with; of the others the plan is made (`--dry-run`)."""


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    title: str
    text: str
    reason: str
    """Why it is not run; empty if it is."""


def blocks(path: Path) -> list[Block]:
    """Every fenced block of a page.

    Raises:
        ValueError: a block is never closed, has no language, or is indented instead of fenced.
    """
    lines, found, at, blank, listed = path.read_text(encoding="utf-8").splitlines(), [], 0, True, False
    while at < len(lines):
        opened = FENCE.match(lines[at])
        if opened is None:
            line = lines[at]
            listed = bool(re.match(r"\s*([-*+]|\d+\.) ", line)) or (listed and (not line.strip() or line[0] == " "))
            if blank and line.startswith("    ") and line.strip() and not listed:
                raise ValueError(f"{path.name}:{at + 1}: an indented block is run by no test; put a fence around it")
            blank = not line.strip() or line.startswith("#")
            at += 1
            continue
        begin, indent = at + 1, len(opened["indent"])
        while (at := at + 1) < len(lines) and lines[at].strip() != opened["fence"]:
            pass
        if at == len(lines):
            raise ValueError(f"{path.name}:{begin}: a block that is never closed")
        language, _, rest = opened["info"].strip().partition(" ")
        if not language:
            raise ValueError(f"{path.name}:{begin}: a block without a language")
        title = re.search(r'title="([^"]+)"', rest)
        above = next((each for each in reversed(lines[: begin - 1]) if each.strip()), "")
        mark = MARK.search(above)
        body = "\n".join(each[indent:] for each in lines[begin:at]) + "\n"
        found.append(Block(begin, language, title[1] if title else "", body, mark[1] if mark else ""))
        at, blank = at + 1, True
    return found


def play(page: Path) -> None:
    """Run the blocks of a page in order."""
    module = types.ModuleType(f"page_{page.stem}")
    sys.modules[module.__name__] = module
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        print(f"--- {where} {block.language}", flush=True)
        if block.title:
            assert Path(block.title).name == block.title, f"{where}: title is not a file name"
            Path(block.title).write_text(block.text, encoding="utf-8")
        if block.language in ("python", "py"):
            code = compile(block.text, where, "exec")
            if block.reason:
                imports(block.text, where)
            elif block.title:
                importlib.invalidate_caches()
                spec = importlib.util.spec_from_file_location(Path(block.title).stem, block.title)
                assert spec is not None
                assert spec.loader is not None
                spec.loader.exec_module(importlib.util.module_from_spec(spec))
            else:
                exec(code, module.__dict__)
        elif block.language in ("sh", "bash"):
            for line in commands(block.text):
                command(line, where, run=not block.reason)
        elif block.language == "console":
            # What is shown is a session that nobody repeats here; its commands must be there all the same.
            for line in commands(block.text):
                if line.startswith("$ "):
                    command(line[2:], where, run=False)
        elif block.language == "toml":
            recipe(block.text, where, run=not block.reason)
        elif block.language == "json":
            json.loads(block.text)
        else:
            assert block.language in SHOWN, f"{where}: no test knows what to do with {block.language!r}"


def imports(code: str, where: str) -> None:
    """Whether what a block takes from this project is there. What needs a package that is not there is passed over."""
    for node in ast.walk(ast.parse(code)):
        taken: list[tuple[str, str]] = []
        if isinstance(node, ast.Import):
            taken = [(each.name, "") for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            taken = [(node.module or "", each.name) for each in node.names]
        for source, name in taken:
            if source.partition(".")[0] not in ("agentgym", "agentgym_envs", "agentgym_policies"):
                continue
            try:
                module = importlib.import_module(source)
            except ModuleNotFoundError as error:
                if (error.name or "agentgym").startswith("agentgym"):
                    raise AssertionError(f"{where}: {error}") from error
                continue
            there = not name or hasattr(module, name) or importlib.util.find_spec(f"{source}.{name}") is not None
            assert there, f"{where}: {source} has no {name}"


def commands(text: str) -> list[str]:
    """The command lines of a block, without comments; a line that ends in a backslash goes on in the next."""
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def command(line: str, where: str, run: bool) -> None:
    """Run one line of a shell block, or only read it."""
    words = shlex.split(line, comments=True)
    environ = dict(word.split("=", 1) for word in words[: next(i for i, w in enumerate(words) if "=" not in w)])
    plain = words[len(environ) :]
    if plain[0].endswith("agentgym") and not set(plain) & {"|", "&&", ">", ";", "&"}:
        agentgym(plain[1:], {k: os.path.expanduser(v) for k, v in environ.items()}, where, run)
        return
    if not run:
        return
    assert plain[0] not in INSTALLERS, f"{where}: a test cannot run {line!r}; say why it is not run"
    if plain[0] == "cd":
        os.chdir(plain[1])
        return
    done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{where}: {line} ended with {done.returncode}"


def agentgym(words: list[str], environ: dict[str, str], where: str, run: bool) -> None:
    """One command of ours, in this process, with less of the same work."""
    from agentgym.cli import app, main

    if not run:
        # Reading the words checks that the command and its options are there.
        app.parse_args(words, exit_on_error=False, print_error=False)
        return
    os.environ.update(environ)
    small = smaller(words)
    print(f"$ agentgym {shlex.join(small)}", flush=True)
    code = main(small)
    assert code == 0, f"{where}: agentgym {shlex.join(words)} ended with {code}"


def smaller(words: list[str]) -> list[str]:
    """The same command with less to do."""
    words = list(words)
    if words[0] == "train" and words[1].startswith("recipes/") and words[1] not in WHOLE:
        return words if "--dry-run" in words else [*words, "--dry-run"]
    for option, value in SMALLER.get(words[0], {}).items():
        if option in words:
            words[words.index(option) + 1] = value
        elif words[0] != "compare" and option != "--attempts" and "--dry-run" not in words:
            words += [option, value]
    return words


def recipe(text: str, where: str, run: bool) -> None:
    """A recipe, or a piece of one, through the loader that `agentgym train` uses."""
    data = tomllib.loads(text)
    if not run or "project" in data:
        return
    from agentgym.errors import MissingExtraError
    from agentgym.recipe import load_recipe

    whole = text if "env" in data else f'{text}\n[env]\nid = "cabinet-v0"\n'
    path = Path("piece-of-a-recipe.toml")
    path.write_text(whole, encoding="utf-8")
    try:
        load_recipe(path)
    except MissingExtraError as error:
        print(f"{where}: keys and types are right; {error}")
    except Exception as error:
        raise AssertionError(f"{where}: {error}") from error


def missing(page: Path) -> str:
    """What the whole page needs (`<!-- needs: NAME -->`) and this machine lacks: an importable module, or a sandbox."""
    for need in NEEDS.findall(page.read_text(encoding="utf-8")):
        if need == "sandbox":
            from agentgym.errors import NoSandboxError
            from agentgym.sandbox import backend

            try:
                backend()
            except NoSandboxError as error:
                return f"no sandbox on this machine: {error}"
        elif importlib.util.find_spec(need) is None:
            return f"{need} is not installed"
    return ""


if __name__ == "__main__":
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    play(Path(sys.argv[1]).resolve())
