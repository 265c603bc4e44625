"""What the agent changed, found by the host alone: the files of its box against the files that it was given.

Nothing that the agent could have prepared takes part: not its `.git` (hooks, attributes, filters, flags in the index),
not git, not the shell. The result is a unified diff, so that it can be read, stored and applied elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agentgym.errors import BoxFileError, SandboxError
from agentgym.sandbox.base import Box, BoxSpec
from agentgym.types import Task
from agentgym_envs.swe.grading.populate import populate, pristine
from agentgym_envs.swe.grading.tree import LINK, Entry, Tree, from_tar, leftover
from agentgym_envs.swe.lines import hunks, lines_of

LARGEST = 1 << 20
"""Bytes of a changed file; larger ones are dropped."""
LONGEST = 4 << 20
"""Characters of a patch; where there is more, the largest files are dropped."""
COMPARED = 16 << 20
"""Bytes of changed files, before and after, that are compared; the smallest first."""
FILES = 2_000
"""Files in a patch."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The agent's work as a patch."""

    patch: str
    """A unified diff in git's form; empty where nothing changed."""
    dropped: list[str] = field(default_factory=list[str])
    """Changed files that are not in it, each with the reason: `"logo.png: binary"`."""


def patch_of(box: Box, task: Task, start: Callable[[BoxSpec], Box] | None = None) -> str:
    """The agent's changes as a unified diff; see `changes_of`."""
    return changes_of(box, task, start).patch


def changes_of(box: Box, task: Task, start: Callable[[BoxSpec], Box] | None = None) -> Changes:
    """What the agent changed in the box's work folder since `populate`.

    Args:
        box: the agent's.
        task: what it was populated with.
        start: starts a box; used only where the repository is in an image that this process has not read lately.

    Raises:
        SandboxError: the box or the repository cannot be read.
    """
    before = _before(task, start, box.spec)
    try:
        after = from_tar(box.pack(box.spec.work), keep=lambda path: not leftover(path))
    except BoxFileError as error:
        return Changes("", [f"the work folder: {error}"])
    return between(before, after)


def _before(task: Task, start: Callable[[BoxSpec], Box] | None, spec: BoxSpec) -> Tree:
    try:
        return pristine(task)
    except SandboxError:
        if start is None:
            raise
    fresh = start(spec)
    try:
        populate(fresh, task)
        return pristine(task, fresh)
    finally:
        fresh.close()


def between(before: Tree, after: Tree) -> Changes:
    """The unified diff from one state of files to another.

    Left out and listed: links, files that are no UTF-8 text, names that a patch cannot carry, what is too large.
    Leftovers of tools (caches, backups) are left out silently.
    """
    parts: dict[str, str] = {}
    dropped: list[str] = []
    changed = [path for path in {*before, *after} if before.get(path) != after.get(path) and not leftover(path)]
    compared = length = 0
    for path in sorted(changed, key=lambda path: (_weight(before, after, path), path)):
        old, new = before.get(path), after.get(path)
        compared += _weight(before, after, path)
        problem = _problem(path, old, new)
        if problem is None and (len(parts) >= FILES or compared > COMPARED):
            problem = "too much changed"
        if problem is None:
            part = one(path, old, new)
            if length + len(part) <= LONGEST:
                parts[path] = part
                length += len(part)
                continue
            problem = "the patch is too long"
        dropped.append(f"{path}: {problem}" if path.isprintable() else f"{path!a}: {problem}")
    return Changes("".join(parts[path] for path in sorted(parts)), sorted(dropped))


def _weight(before: Tree, after: Tree, path: str) -> int:
    return sum(len(tree[path].data) for tree in (before, after) if path in tree)


def _problem(path: str, old: Entry | None, new: Entry | None) -> str | None:
    if not path.isprintable() or any(mark in path for mark in '"\\') or path != path.strip():
        return "a name that a patch cannot carry"
    for entry in (old, new):
        if entry is None:
            continue
        if entry.mode == LINK:
            return "a link"
        if len(entry.data) > LARGEST:
            return "too large"
        if _text(entry.data) is None:
            return "binary"
    return None


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def one(path: str, old: Entry | None, new: Entry | None) -> str:
    """The diff of one file, text on both sides; `None` stands for no file."""
    lines = [f"diff --git a/{path} b/{path}\n"]
    if old is None and new is not None:
        lines.append(f"new file mode {new.mode:o}\n")
    elif new is None and old is not None:
        lines.append(f"deleted file mode {old.mode:o}\n")
    elif old and new and old.mode != new.mode:
        lines.append(f"old mode {old.mode:o}\nnew mode {new.mode:o}\n")
    body = list(hunks(lines_of(_text(old.data) or "" if old else ""), lines_of(_text(new.data) or "" if new else "")))
    if body:
        tab = "\t" if " " in path else ""
        lines.append(f"--- a/{path}{tab}\n" if old else "--- /dev/null\n")
        lines.append(f"+++ b/{path}{tab}\n" if new else "+++ /dev/null\n")
    return "".join(lines + body)
