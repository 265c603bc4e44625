"""Runs a repository's tests in a forked child, thousands of times a minute: for finding mutants that make good tasks.

The parent compiles everything once, the tests with pytest's rewriting of `assert`; a child imports the repository
from memory, with the mutated files in place of the sound ones, and calls the test functions itself. It knows plain
functions, `parametrize`, `raises` and `approx`, which is what the shipped tests use. Test ids are pytest's own, and
`tests/envs/test_swe_mutants.py` compares its verdicts with pytest's.

Children run our own code with our own mutations: there is a limit of time and memory, and no sandbox.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from agentgym_envs.swe.mutants.observe import Seen, seen, shown
from agentgym_envs.swe.mutants.source import sound

CPU_SECONDS = 1
WALL_SECONDS = 30.0
MEMORY = 1 << 30
"""Bytes that a variant may take beyond what this process has."""


@dataclass(slots=True)
class Outcome:
    """What the tests of one variant did."""

    failed: list[str] = field(default_factory=list[str])
    """Ids of the tests that did not pass, in order."""
    passed: list[str] = field(default_factory=list[str])
    seen: dict[str, Seen] = field(default_factory=dict[str, Seen])
    """A record of each failure."""
    reach: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """For each test, `path:function` of what it called, and how many of the repository's calls below the test."""


class Suite:
    """The tests of one repository, ready to run on variants of it."""

    def __init__(self, repo: str, ids: list[str] | None = None) -> None:
        """Compile the repository and let pytest name its tests, unless `ids` names them.

        Raises:
            RuntimeError: pytest cannot collect them.
        """
        self.repo = repo
        self.sources = sound(repo)
        self.ids = collect(self.sources) if ids is None else ids
        self.codes: dict[str, CodeType] = {}
        self.trees: dict[str, ast.Module] = {}
        for path, text in self.sources.items():
            if path.startswith("tests/") and path.endswith(".py"):
                self.trees[path] = ast.parse(text)
                self.codes[path] = _rewritten(text, path)
            elif path.endswith(".py"):
                self.codes[path] = compile(text, path, "exec")
        self._warm()

    def _warm(self) -> None:
        """Import what the repository needs of the standard library, once for all children."""
        own = {path.split("/")[0].removesuffix(".py") for path in self.sources}
        for path in self.codes:
            for node in ast.walk(ast.parse(self.sources[path])):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module]
                for name in names:
                    if name.split(".")[0] not in own:
                        importlib.import_module(name)

    def run(self, changed: Mapping[str, bytes], *, trace: bool = False, backward: bool = False) -> Outcome | None:
        """Run all tests on the repository with `changed` files.

        Args:
            changed: new content by path.
            trace: whether to record what each test reaches.
            backward: whether the tests of each file run last one first.

        Returns:
            The outcome, or `None` where it hung or its process died.
        """
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._child(writing, changed, trace, backward)
        os.close(writing)
        text = _read(reading, pid)
        try:
            record = json.loads(text)
        except ValueError:
            return None
        return Outcome(
            record["failed"], record["passed"], {k: Seen(**v) for k, v in record["seen"].items()}, record["reach"]
        )

    def _child(self, writing: int, changed: Mapping[str, bytes], trace: bool, backward: bool) -> None:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
            most = MEMORY + _address_space()
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            outcome = self._call_all(changed, trace, backward)
            record = {
                "failed": outcome.failed,
                "passed": outcome.passed,
                "seen": {key: asdict(value) for key, value in outcome.seen.items()},
                "reach": outcome.reach,
            }
            with os.fdopen(writing, "w") as out:
                out.write(json.dumps(record))
            status = 0
        finally:
            os._exit(status)

    def _call_all(self, changed: Mapping[str, bytes], trace: bool, backward: bool) -> Outcome:
        from _pytest.assertion import util

        gc.disable()
        codes = dict(self.codes)
        codes.update({path: compile(text, path, "exec") for path, text in changed.items()})
        finder = _Memory(codes)
        sys.meta_path.insert(0, finder)
        outcome = Outcome()
        order = {test: number for number, test in enumerate(self.ids)}
        compared: list[tuple[str, str, str]] = []

        def note(operator: str, left: object, right: object) -> None:
            compared.append((operator, shown(left), shown(right)))

        for path in sorted(self.trees):
            try:
                module = importlib.import_module(finder.name(path))
            except BaseException:
                outcome.failed += [test for test in self.ids if test.startswith(path + "::")]
                continue
            definitions = {node.name: node for node in self.trees[path].body if isinstance(node, ast.FunctionDef)}
            calls = self._calls(path, module)
            for test, name, parameters in reversed(calls) if backward else calls:
                compared.clear()
                util._reprcompare = note  # pyright: ignore[reportAttributeAccessIssue]
                reach: dict[str, int] = {}
                try:
                    if trace:
                        sys.setprofile(_profile(reach))
                    try:
                        getattr(module, name)(**parameters)
                    finally:
                        sys.setprofile(None)
                    outcome.passed.append(test)
                except BaseException as error:
                    text = self.sources[path].decode()
                    last = compared[-1] if compared else None
                    outcome.failed.append(test)
                    outcome.seen[test] = seen(
                        test, error, error.__traceback__, definitions[name], text, path, parameters, last
                    )
                if trace:
                    outcome.reach[test] = reach
        outcome.failed.sort(key=order.__getitem__)
        outcome.passed.sort(key=order.__getitem__)
        return outcome

    def _calls(self, path: str, module: ModuleType) -> list[tuple[str, str, dict[str, Any]]]:
        """Id, function and parameters of each test of a module, in pytest's order."""
        calls: list[tuple[str, str, dict[str, Any]]] = []
        for name in [name for name in vars(module) if name.startswith("test_")]:
            prefix = f"{path}::{name}"
            ids = [test for test in self.ids if test == prefix or test.startswith(prefix + "[")]
            marks = [mark for mark in getattr(getattr(module, name), "pytestmark", []) if mark.name == "parametrize"]
            rows: list[dict[str, Any]] = [{}]
            if marks:
                keys, values = marks[0].args[:2]
                if isinstance(keys, str):
                    rows = [{keys: value} for value in values]
                else:
                    rows = [dict(zip(keys, value, strict=True)) for value in values]
            calls += [(test, name, row) for test, row in zip(ids, rows, strict=True)]
        return calls


class _Memory(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports modules from code objects."""

    def __init__(self, codes: Mapping[str, CodeType]) -> None:
        self.modules = {self.name(path): (path, code) for path, code in codes.items()}

    @staticmethod
    def name(path: str) -> str:
        """The module's name; test modules lie at the top, as pytest puts them."""
        return path.removeprefix("tests/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.modules:
            return None
        package = self.modules[fullname][0].endswith("/__init__.py")
        return importlib.util.spec_from_loader(fullname, self, is_package=package)

    def exec_module(self, module: ModuleType) -> None:
        exec(self.modules[module.__name__][1], vars(module))  # noqa: S102 - our own code, in a fork with limits


def _profile(reach: dict[str, int]) -> Any:
    depth = 0

    def hook(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal depth
        file = frame.f_code.co_filename
        if file.startswith(("/", "<", "tests/")):
            return
        if event == "call":
            depth += 1
            name = f"{file}:{frame.f_code.co_qualname.split('.<locals>')[0]}"
            reach[name] = min(reach.get(name, depth), depth)
        elif event == "return":
            depth -= 1

    return hook


def _rewritten(text: bytes, path: str) -> CodeType:
    from _pytest.assertion.rewrite import rewrite_asserts

    tree = ast.parse(text)
    rewrite_asserts(tree, text, path)
    return compile(tree, path, "exec", dont_inherit=True)


def _address_space() -> int:
    """Bytes that this process has mapped: a fork begins with them, be they used or not."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _read(reading: int, pid: int) -> str:
    """What the child wrote; it is killed at the deadline."""
    end = time.monotonic() + WALL_SECONDS
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        part = os.read(reading, 1 << 16) if ready else b""
        if not part:
            break
        parts.append(part)
    os.close(reading)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return b"".join(parts).decode()


def collect(files: Mapping[str, bytes]) -> list[str]:
    """Ids of a repository's tests, in pytest's order.

    Raises:
        RuntimeError: pytest fails, or an id has a blank, which logs cannot carry.
    """
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), files)
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-c", os.devnull, "--rootdir", folder]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", "tests"], cwd=folder, env=environment, capture_output=True, text=True
        )
    ids = [line for line in done.stdout.splitlines() if "::" in line]
    if done.returncode != 0 or not ids:
        raise RuntimeError(f"pytest cannot collect the tests:\n{done.stdout}{done.stderr}")
    odd = [test for test in ids if not test.isascii() or any(c.isspace() for c in test)]
    if odd:
        raise RuntimeError(f"ids of tests must be plain: {odd[0]!r}")
    return ids


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
