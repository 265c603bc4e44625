"""What runs a stranger's bytes as code is nowhere in this package: read from the source, not from a promise.

`ruff` bans some of it as well (`select` in pyproject.toml); this finds it under other names, and says which use is
meant. `EXCEPTIONS` is the whole list of uses that stay, each with its reason: a use that is not on it fails, and so
does an exception that is used no more.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("agentgym", "envs", "policies")
DATA = ("envs/agentgym_envs/swe/mutants/repos",)
"""Other people's programs, or programs to be repaired: never imported here."""

MODULES = {
    "pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle", "dbm",
    "xml.etree", "xml.dom", "xml.sax", "xml.parsers", "lxml", "telnetlib", "pty", "imp",
}  # fmt: skip
"""Modules whose readers run what they read, or follow what it points to; importing one is the use."""
CALLS = {
    "eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "builtins.compile",
    "os.system", "os.popen", "os.execl", "os.execlp", "os.spawnl", "subprocess.getoutput", "subprocess.getstatusoutput",
    "torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "pandas.read_pickle",
    "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.full_load_all", "yaml.unsafe_load_all",
    "tempfile.mktemp", "ssl._create_unverified_context", "asyncio.create_subprocess_shell", "code.interact",
    "random.seed", "numpy.random.seed", "np.random.seed",
}  # fmt: skip
KEYWORDS = {
    "shell": True, "verify": False, "allow_pickle": True, "trust_remote_code": True, "weights_only": False,
}  # fmt: skip
"""A keyword argument with this value, or with one that is not a literal, in any call."""
ARCHIVES = {"extractall", "extract", "unpack_archive"}
"""Must have a `filter`."""

EXCEPTIONS = {
    (
        "agentgym/check/replay.py",
        "random.seed",
    ): "finds environments that use the global generators, and puts them back",
    ("agentgym/check/replay.py", "numpy.random.seed"): "the same",
    (
        "agentgym/sandbox/server.py",
        "shell=True",
    ): "a key of a record of facts, given to `dict.update`",
    ("envs/agentgym_envs/swe/mutants/runner.py", "exec"): "runs this suite's own repositories with its own mutations, "
    "in forks with limits, when tasks are made",
    ("envs/agentgym_envs/swe/mutants/runner.py", "compile"): "the same",
    ("envs/agentgym_envs/swe/grading/inside.py", "__import__"): "a program that runs inside the box, on an old Python",
}


class Finder(ast.NodeVisitor):
    """Banned uses in one file, as (line, what)."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self._names: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._names[alias.asname or alias.name.split(".")[0]] = (
                alias.name if alias.asname else alias.name.split(".")[0]
            )
            self._module(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        self._module(node, module)
        for alias in node.names:
            self._names[alias.asname or alias.name] = f"{module}.{alias.name}"
            self._module(node, f"{module}.{alias.name}")

    def visit_Call(self, node: ast.Call) -> None:
        name = self._dotted(node.func)
        if name in CALLS:
            self._say(node, name)
        if name.split(".")[-1] == "import_module" and node.args and isinstance(node.args[0], ast.Constant):
            self._module(node, str(node.args[0].value))
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        for keyword, banned in KEYWORDS.items():
            value = given.get(keyword)
            if value is not None and (not isinstance(value, ast.Constant) or value.value is banned):
                self._say(node, f"{keyword}={banned}")
        last = name.split(".")[-1]
        if isinstance(node.func, ast.Attribute) and last in ARCHIVES and "filter" not in given:
            self._say(node, last)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        # Passed on without being called here: `map(eval, ...)`.
        if node.id in ("eval", "exec", "__import__") and isinstance(node.ctx, ast.Load):
            self._say(node, node.id)

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return self._names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        return ""

    def _module(self, node: ast.AST, name: str) -> None:
        for banned in MODULES:
            if name == banned or name.startswith(banned + "."):
                self._say(node, banned)

    def _say(self, node: ast.AST, what: str) -> None:
        line = getattr(node, "lineno", 0)
        if (line, what) not in self.found:
            self.found.append((line, what))


def banned(text: str) -> list[str]:
    finder = Finder()
    finder.visit(ast.parse(text))
    return [what for _, what in finder.found]


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not path.relative_to(ROOT).as_posix().startswith(DATA):
                yield path


def test_nothing_banned_is_used() -> None:
    found: dict[tuple[str, str], list[int]] = {}
    count = 0
    for path in sources():
        count += 1
        finder = Finder()
        finder.visit(ast.parse(path.read_text("utf-8"), str(path)))
        for line, what in finder.found:
            found.setdefault((path.relative_to(ROOT).as_posix(), what), []).append(line)
    assert count > 300
    new = [f"{path}, line {lines}: {what}" for (path, what), lines in found.items() if (path, what) not in EXCEPTIONS]
    assert new == []
    assert [key for key in EXCEPTIONS if key not in found] == []


def test_other_formats_of_data_name_no_code() -> None:
    """Data files are JSON, TOML, text and safetensors; nothing that is unpickled lies in the package."""
    odd = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".npy", ".joblib", ".dill", ".so", ".dll", ".exe")
    shipped = [
        p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in odd and "__pycache__" not in p.parts
    ]
    assert shipped == []


PLANTED = [
    ("import pickle", "pickle"), ("import pickle as p", "pickle"), ("from pickle import loads as l", "pickle"),
    ("import importlib\nimportlib.import_module('marshal')", "marshal"), ("import shelve", "shelve"),
    ("from importlib import import_module as im\nim('dill')", "dill"), ("import cloudpickle.compat", "cloudpickle"),
    ("eval('1')", "eval"), ("import builtins as b\nb.exec(x)", "builtins.exec"), ("list(map(eval, x))", "eval"),
    ("f = exec", "exec"), ("__import__('os')", "__import__"), ("compile(x, 'f', 'exec')", "compile"),
    ("import torch\ntorch.load(p)", "torch.load"), ("from torch import load as l\nl(p)", "torch.load"),
    ("import torch as t\nt.load(p, weights_only=True)", "torch.load"),
    ("g(p, weights_only=False)", "weights_only=False"),
    ("import numpy as np\nnp.load(p, allow_pickle=True)", "allow_pickle=True"),
    ("np.load(p, allow_pickle=x)", "allow_pickle=True"),
    ("import yaml\nyaml.load(f, Loader=yaml.Loader)", "yaml.load"),
    ("import yaml as y\ny.unsafe_load(f)", "yaml.unsafe_load"),
    ("from yaml import full_load\nfull_load(f)", "yaml.full_load"),
    ("import subprocess as s\ns.run(x, shell=True)", "shell=True"), ("run(x, shell=flag)", "shell=True"),
    ("import os\nos.system(x)", "os.system"), ("from os import popen\npopen(x)", "os.popen"),
    ("import asyncio\nasyncio.create_subprocess_shell(x)", "asyncio.create_subprocess_shell"),
    ("import tarfile\ntarfile.open(p).extractall(q)", "extractall"), ("shutil.unpack_archive(p)", "unpack_archive"),
    ("import httpx\nhttpx.get(u, verify=False)", "verify=False"), ("Client(verify=flag)", "verify=False"),
    ("import xml.etree.ElementTree as E", "xml.etree"), ("from xml.dom import minidom", "xml.dom"),
    ("import lxml.etree", "lxml"),
    ("AutoModel.from_pretrained(m, trust_remote_code=True)", "trust_remote_code=True"),
    ("import pandas as q\nq.read_pickle(p)", "pandas.read_pickle"),
    ("import tempfile\ntempfile.mktemp()", "tempfile.mktemp"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "what"), PLANTED)
def test_what_is_planted_is_found(text: str, what: str) -> None:
    assert what in banned(text)
    assert what in banned(f"def f(x):\n    if x:\n        {text.replace(chr(10), chr(10) + ' ' * 8)}")


@pytest.mark.parametrize(
    "text",
    [
        "model.eval()", "re.compile('a')", "ast.literal_eval(x)", "json.load(f)", "yaml.safe_load(f)", "evaluate(x)",
        "archive.extractall(p, filter='data')", "run(x, shell=False)", "np.load(p, allow_pickle=False)",
        "get(u, verify=True)",
        "'eval(1)'", "# exec\npass", "from safetensors.torch import load_file", "import torch\ntorch.compile(f)",
    ],
)  # fmt: skip
def test_what_is_harmless_is_not(text: str) -> None:
    assert banned(text) == []
