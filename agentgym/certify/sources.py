"""What an environment is made of: the fingerprint that tells whether a certificate still speaks of it.

From the modules that its spec names, imports are followed through its own top package, read from the source and not
run; data files that lie beside those modules count too. An edit of anything else leaves the fingerprint as it was.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentgym.certify.naming import to_record
from agentgym.env import EnvSpec

PASSED = {"__pycache__", "certificates"}
"""Folders that say nothing of an environment."""


def fingerprint(spec: EnvSpec, options: Mapping[str, Any] | None = None) -> str:
    """A digest of the spec, the options, the sources and the data files of an environment.

    Returns:
        64 hexadecimal digits; equal where all of them are equal byte by byte, wherever they lie.
    """
    bare = to_record(EnvSpec(spec.id, spec.entry, spec.tasks))
    # What is not said is left out, so that a new field of specs changes nothing.
    record = {name: value for name, value in to_record(spec).items() if value != bare.get(name) or name == "id"}
    record |= {"entry": spec.entry, "tasks": spec.tasks}
    record.pop("summary", None)
    if spec.entry.startswith("agentgym_file_"):  # named after the place that it was read from
        for name in ("entry", "tasks", "prepare", "metrics"):
            if name in record:
                record[name] = str(record[name]).rpartition(":")[2]
    whole = hashlib.blake2b(digest_size=32)
    whole.update(json.dumps([record, dict(options or {})], sort_keys=True, default=repr).encode())
    for name, path in sources(spec):
        data = path.read_bytes()
        whole.update(f"\n{name}\n{len(data)}\n".encode("utf-8", "backslashreplace"))
        whole.update(data)
    return whole.hexdigest()


def sources(spec: EnvSpec) -> list[tuple[str, Path]]:
    """The files of an environment: a name that is the same wherever it is installed, and the path."""
    files: dict[str, Path] = {}
    home = spec.entry.rpartition(":")[0]
    todo = [r.rpartition(":")[0] for r in (spec.entry, spec.tasks, spec.prepare, spec.metrics) if r]
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        path = _origin(module)
        if path is None:
            continue
        top = module.partition(".")[0]
        if module.endswith(".py") or module.startswith("agentgym_file_"):
            files[path.name] = path
            continue
        files[module] = path
        todo += [".".join(module.split(".")[:i]) for i in range(1, module.count(".") + 1)]
        todo += [name for name in _imports(path, module, path.stat().st_mtime_ns) if name.partition(".")[0] == top]
        # What lies in the top folder is everybody's, but for an environment that lives there.
        if module == home or path.parent != top_folder(top):
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            files |= {f"{package}/{name}": data for name, data in _beside(path.parent)}
    return sorted(files.items())


def top_folder(top: str) -> Path | None:
    """The folder of a top package."""
    path = _origin(top)
    return path.parent if path is not None and path.name == "__init__.py" else None


def _origin(module: str) -> Path | None:
    if module.endswith(".py"):
        return Path(module) if Path(module).is_file() else None
    loaded = sys.modules.get(module)
    if loaded is not None and getattr(loaded, "__file__", None):
        return Path(str(loaded.__file__))
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    place = Path(spec.origin).parent.joinpath(*rest)
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.lru_cache(maxsize=4096)
def _imports(path: Path, module: str, changed: int) -> tuple[str, ...]:
    """`_imported`, once for each version of a file: environments share much."""
    return tuple(_imported(path, module))


def _imported(path: Path, module: str) -> Iterator[str]:
    """Modules that a source names in its import statements, wherever they stand, and parts of packages among them."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _beside(folder: Path) -> Iterator[tuple[str, Path]]:
    """Data files in a package's folder, and whatever is in folders below it that are no packages."""
    for path in sorted(folder.iterdir()):
        if path.name in PASSED or path.name.startswith(".") or path.suffix in (".py", ".pyc", ".md"):
            continue
        if path.is_file():
            yield path.name, path
        elif path.is_dir() and not (path / "__init__.py").is_file():
            for inner in sorted(path.rglob("*")):
                if inner.is_file() and not PASSED & set(inner.parts) and inner.suffix != ".pyc":
                    yield str(inner.relative_to(folder)), inner
