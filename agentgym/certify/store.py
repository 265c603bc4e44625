"""Certificates as files: where they lie, how they are written and read, and whether one still speaks of what is here.

A plug-in ships its own in a folder `certificates` beside its top package's `__init__.py`; what a person certifies lies
in the user's data folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from agentgym.certify.sources import fingerprint
from agentgym.env import EnvSpec
from agentgym.errors import StoreError

SCHEMA = 1
LARGEST = 4_000_000
"""Most bytes of a certificate that are read."""
FIELDS = {
    "schema": int, "env": str, "agentgym": str, "python": str, "platform": str, "fingerprint": str, "date": str,
    "quick": bool, "options": dict, "settings": dict, "ok": bool, "complete": bool, "findings": list, "digest": str,
}  # fmt: skip


def data_root() -> Path:
    """`agentgym` in the user's data folder."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "agentgym"


def canonical(record: Mapping[str, Any]) -> str:
    """The text of a certificate: sorted keys, one form for one content, its digest inside."""
    body = {name: value for name, value in record.items() if name != "digest"}
    plain = json.dumps(body, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    body["digest"] = hashlib.blake2b(plain.encode(), digest_size=32).hexdigest()
    return json.dumps(body, sort_keys=True, ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write a certificate, whole or not at all.

    Raises:
        OSError: the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(canonical(record))
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any]:
    """A certificate, checked: all fields there, and as it was written.

    Raises:
        StoreError: it is none, of another schema, or was changed since.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise StoreError(f"{path}: too large for a certificate")
        text = path.read_text(encoding="utf-8")
        found: Any = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read as a certificate: {error}") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path}: not a certificate")
    record = cast(dict[str, Any], found)
    if record.get("schema") != SCHEMA:
        raise StoreError(f"{path}: a certificate of schema {record.get('schema')!r}; this version reads {SCHEMA}")
    wrong = [name for name, kind in FIELDS.items() if not isinstance(record.get(name), kind)]
    if wrong:
        raise StoreError(f"{path}: {wrong[0]!r} is missing or not of its kind")
    try:
        same = canonical(record) == text
    except ValueError:
        same = False
    if not same:
        raise StoreError(f"{path}: was changed since it was written (its digest differs); certify again")
    return record


def file_name(env: str, options: Mapping[str, Any]) -> str:
    """`<id>.json`; options of its own make it another certificate."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", env)
    if not options:
        return f"{name}.json"
    text = json.dumps(dict(options), sort_keys=True, default=repr)
    return f"{name}+{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}.json"


def own_path(env: str, options: Mapping[str, Any]) -> Path:
    """Where a person's certificate of an environment lies."""
    return data_root() / "certificates" / file_name(env, options)


def shipped_path(spec: EnvSpec, options: Mapping[str, Any]) -> Path | None:
    """Where the plug-in's own lies, if it has a package."""
    module = spec.entry.partition(":")[0]
    if module.endswith(".py"):
        return None
    try:
        found = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return None
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    return Path(folders[0]) / "certificates" / file_name(spec.id, options) if folders else None


def status(spec: EnvSpec, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Whether an environment is certified as it is now.

    Returns:
        `state` (`"yes"`, `"stale"` where it has changed since, `"no"`), and where there is a certificate its `date` and
        `path`.
    """
    options = options or {}
    stale: dict[str, Any] | None = None
    now: str | None = None
    for path in (own_path(spec.id, options), shipped_path(spec, options)):
        if path is None or not path.is_file():
            continue
        try:
            record = read(path)
        except StoreError:
            continue
        if not (record["ok"] and record["complete"]) or record["quick"] or record["env"] != spec.id:
            continue
        now = now or fingerprint(spec, options)
        said = {"date": record["date"], "path": str(path)}
        if record["fingerprint"] == now:
            return {"state": "yes", **said}
        stale = stale or {"state": "stale", **said}
    return stale or {"state": "no"}
