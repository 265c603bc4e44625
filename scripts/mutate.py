"""Mutation testing: small faults are put into the credit modules one at a time, and the tests must notice each.

    .venv/bin/python scripts/mutate.py                            # everything in agentgym/credit: hours
    .venv/bin/python scripts/mutate.py --file grpo.py --file rloo.py
    .venv/bin/python scripts/mutate.py --sample 20 --seed 1       # twenty mutants of every file

A mutant exists in memory only: a forked process finds the changed module instead of the file, so that nothing is
written into the working tree and several people can work in it. A mutant is killed when a test fails, when importing
fails, or when the tests run past the limit. Survivors are printed as differences: each is a test that is missing, or a
change that makes no difference (an equivalent mutant), which a person has to tell apart.

Mutations: comparisons and arithmetic exchanged, numbers changed, conditions negated, `and`/`or` exchanged, keyword
flags flipped, returned values dropped, numpy functions exchanged, statements without a value left out. Docstrings,
annotations, error messages and `__all__` are left alone: no behaviour.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mutations import mutants

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "agentgym" / "credit"
TESTS = ROOT / "tests" / "unit" / "credit"
OWN_TESTS = {
    "similar": ["test_similar_parts.py", "test_similar.py"],
    "anchor_state": ["test_similar.py", "test_anchor_state.py"],
}
"""Tests that are for some files alone: `similar` has no others, `anchor_state` has all the common ones, too."""
ELSEWHERE = "test_similar.py", "test_similar_parts.py", "test_credit_scale.py", "test_credit_docs.py"
"""Tests that the other files do without: of one module, slow, or of a page. The lab's are left out everywhere."""


class Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module from a tree instead of its file."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.path)) if name == self.name else None

    def exec_module(self, module: object) -> None:
        exec(compile(self.tree, str(self.path), "exec"), vars(module))


def survives(path: Path, tree: ast.Module, tests: Sequence[str], limit: float) -> bool:
    """Whether the tests pass, within `limit` seconds, with `tree` in the place of a module."""
    child = os.fork()
    if child == 0:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        code = 1
        try:
            import pytest

            sys.meta_path.insert(0, Instead(f"agentgym.credit.{path.stem}", path, tree))
            options = ["-x", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist"]
            code = int(pytest.main([*options, *tests]))
        finally:
            os._exit(code)
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def tests_of(path: Path, given: Sequence[str]) -> list[str]:
    """Test files for a module, quick ones of few cases first."""
    if given:
        return list(given)
    names = OWN_TESTS.get(path.stem, [])
    if path.stem != "similar":
        common = [p.name for p in sorted(TESTS.glob("test_*.py")) if not p.match("test_lab*")]
        names = names + [name for name in common if name not in (*ELSEWHERE, *names)]
    named = sorted(names, key=lambda name: (path.stem not in name, "properties" in name))
    return [str(TESTS / name) for name in named]


def difference(before: ast.Module, after: ast.Module) -> str:
    """The lines that differ, as Python would write them."""
    texts = [ast.unparse(tree).splitlines() for tree in (before, after)]
    lines = list(difflib.unified_diff(*texts, lineterm="", n=0))
    return "\n".join(f"    {line}" for line in lines[2:] if not line.startswith("@@"))


def run(path: Path, options: argparse.Namespace) -> tuple[int, int]:
    """Try a file's mutants; gives how many were killed, and how many there were."""
    from agentgym.seeding import generator

    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = tests_of(path, options.tests)
    found = list(mutants(tree))
    if options.sample and options.sample < len(found):
        chosen = generator(options.seed, "mutate", path.name).permutation(len(found))[: options.sample]
        found = [found[i] for i in sorted(chosen.tolist())]
    began = time.monotonic()
    if not survives(path, tree, tests, 10 * options.limit):
        raise SystemExit(f"{path.name}: the tests fail without any mutation: {' '.join(tests)}")
    limit = max(options.limit, 3 * (time.monotonic() - began))
    killed = 0
    for line, mutant in found:
        if survives(path, mutant, tests, limit):
            print(f"  survived: {path.name}:{line}\n{difference(tree, mutant)}", flush=True)
        else:
            killed += 1
    share = f"{killed / len(found):.0%}" if found else "-"
    print(
        f"{path.name:24} {killed:4} of {len(found):4} killed {share:>5} in {time.monotonic() - began:.0f} s", flush=True
    )
    return killed, len(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", action="append", help="only this file of agentgym/credit; may be given again")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants of each file; all if not given")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tests", action="append", default=[], help="only this test file; may be given again")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds, at least, after which tests hang")
    parser.add_argument("--least", type=float, default=0.0, help="exit with 1 if a smaller share is killed")
    options = parser.parse_args(arguments)
    files = [PACKAGE / name for name in options.file] if options.file else sorted(PACKAGE.glob("*.py"))
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        parser.error(f"no such file in {PACKAGE.relative_to(ROOT)}: {', '.join(missing)}")
    prepare()
    results = [run(path, options) for path in files if path.name != "__init__.py"]
    killed, total = (sum(column) for column in zip(*results, strict=True))
    print(f"{'all':24} {killed:4} of {total:4} killed {killed / max(total, 1):>5.0%}")
    return int(killed < options.least * total)


def prepare() -> None:
    """Import once what every test needs, the credit modules excepted, and take the chance out of the tests."""
    from hypothesis import Phase, settings

    os.environ.setdefault("AGENTGYM_CREDIT_EXAMPLES", "60")

    for name in ("numpy", "pydantic", "pytest"):
        importlib.import_module(name)
    assert not any(name.startswith("agentgym.credit") for name in sys.modules)
    # Without shrinking: that a mutant is killed is all that is asked.
    settings.register_profile("mutate", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutate")


if __name__ == "__main__":
    sys.exit(main())
