r"""Unified diffs as models write them: read leniently, applied exactly.

A hunk is looked for where its header says, then at the nearest place where its lines stand exactly; never where they
only nearly do. Line counts in headers, which models often get wrong, are not needed. All files of a diff are changed,
or none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agentgym_envs.swe.edit import EditError
from agentgym_envs.swe.lines import lines_of

HEADER = re.compile(r"@@ ?(?:-(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? ?)?@@|@@\s*$")
GIT = re.compile(r"diff --git a/(.+) b/(.+)")
NO_END = "\\ No newline"
MOST_FILES = 200
"""Files in one diff."""


@dataclass(slots=True)
class Hunk:
    """One place that changes."""

    start: int | None
    """The first line that it takes out or goes by, from 1; `None` where the header does not say."""
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    r"""Each a mark (` `, `-`, `+`) and the line with its `\n`, if it has one."""

    @property
    def old(self) -> list[str]:
        """The lines that must be there."""
        return [line for mark, line in self.lines if mark != "+"]


@dataclass(slots=True)
class FileDiff:
    """What becomes of one file."""

    old: str | None
    """Its path before; `None` where it is new."""
    new: str | None
    """Its path afterwards; `None` where it is deleted."""
    hunks: list[Hunk] = field(default_factory=list[Hunk])


def parse(diff: str) -> list[FileDiff]:
    """The files of a unified diff, with or without git's headers.

    Raises:
        EditError: it is none, is cut off, or has what is not taken (binary files, names outside the folder).
    """
    lines = lines_of(diff.replace("\r\n", "\n"))
    files: list[FileDiff] = []
    at = 0
    while at < len(lines):
        line = lines[at].rstrip("\n")
        if line.startswith(("GIT binary patch", "Binary files ")):
            raise EditError("the diff has a binary file; only text can be changed")
        if found := GIT.fullmatch(line):
            at, made = _git(lines, at, found)
            files += made
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            old, new = _path(line[4:]), _path(lines[at + 1].rstrip("\n")[4:])
            if old is None and new is None:
                raise EditError("the diff leads from nothing to nothing")
            files.append(FileDiff(old, new))
            at += 2
        elif line.startswith("@@"):
            if not files:
                raise EditError("the diff has no file names: lines `--- a/path` and `+++ b/path` must come first")
            at = _hunk(lines, at, files[-1])
        else:
            at += 1
        if len(files) > MOST_FILES:
            raise EditError(f"the diff has more than {MOST_FILES} files")
    # Of git's header and the `---` line after it, the second says it all.
    kept = [one for one in files if one.hunks or one.old != one.new]
    if not kept:
        raise EditError("this is no unified diff: it needs `--- a/path`, `+++ b/path` and `@@` lines")
    return kept


def apply(diff: str, read: Callable[[str], str | None]) -> dict[str, str | None]:
    """What the files of a diff are after it.

    Args:
        diff: a unified diff.
        read: gives the text of a path, `None` where there is no such file.

    Returns:
        The new text by path; `None` for files that are gone.

    Raises:
        EditError: the diff is none, or does not apply; says which hunk of which file, and why.
    """
    texts: dict[str, str | None] = {}

    def now(path: str) -> str | None:
        return texts[path] if path in texts else read(path)

    for one in parse(diff):
        if one.old is None:
            assert one.new is not None  # Seen by `parse`.
            if now(one.new) is not None:
                raise EditError(f"{one.new}: the diff makes this file, but it is there already")
            texts[one.new] = patched("", one.hunks, one.new)
            continue
        text = now(one.old)
        if text is None:
            raise EditError(f"{one.old}: there is no such file")
        changed = patched(text, one.hunks, one.old)
        if one.new is None:
            if changed.strip():
                raise EditError(f"{one.old}: the diff deletes this file, but does not have all its lines")
            texts[one.old] = None
            continue
        if one.new != one.old:
            if now(one.new) is not None:
                raise EditError(f"{one.new}: the diff moves a file there, but it is there already")
            texts[one.old] = None
        texts[one.new] = changed
    return texts


def files(diff: str) -> Mapping[str, str | None]:
    """The paths that a diff changes, each with its path before (`None` where it is new)."""
    return {one.new or one.old or "": one.old for one in parse(diff)}


def patched(text: str, hunks: list[Hunk], path: str = "the file") -> str:
    r"""A text after the hunks of a diff, top to bottom.

    Raises:
        EditError: the lines of a hunk are not there.

    >>> patched("a\nb\nc\n", [Hunk(2, [("-", "b\n"), ("+", "B\n")])])
    'a\nB\nc\n'
    """
    lines, made, done = lines_of(text), list[str](), 0
    ends = [line[:-2] + "\n" if line.endswith("\r\n") else line for line in lines]
    shift = 0
    for number, hunk in enumerate(hunks, 1):
        old = hunk.old
        expected = None if hunk.start is None else max(0, hunk.start - (1 if old else 0)) + shift
        place = _find(ends, old, done, expected)
        if place is None:
            raise EditError(f"{path}: hunk {number} does not apply: {_why(ends, old, done)}")
        if expected is not None:
            shift += place - expected
        made += lines[done:place]
        crlf = bool(lines) and lines[min(place, len(lines) - 1)].endswith("\r\n")
        for mark, line in hunk.lines:
            if mark == "+":
                if made and not made[-1].endswith("\n"):
                    made[-1] += "\n"
                made.append(f"{line[:-1]}\r\n" if crlf and line.endswith("\n") else line)
            else:
                if mark == " ":
                    made.append(lines[place])
                place += 1
        done = place
    rest = lines[done:]
    if rest and made and not made[-1].endswith("\n"):
        made[-1] += "\n"
    return "".join([*made, *rest])


def _git(lines: list[str], at: int, found: re.Match[str]) -> tuple[int, list[FileDiff]]:
    """Pass over git's header lines; they only count for files that are made, moved or deleted without a hunk."""
    old, new = _inside(found[1]), _inside(found[2])
    said: list[str] = []
    at += 1
    while at < len(lines) and not lines[at].startswith(("--- ", "@@", "diff --git ")):
        said.append(lines[at])
        at += 1
    head = "".join(said)
    if "GIT binary patch" in head or "Binary files " in head:
        raise EditError(f"{new}: only text can be changed, no binary file")
    if "copy to " in head:
        raise EditError(f"{new}: a diff that copies a file is not read; make the file instead")
    if at < len(lines) and lines[at].startswith("--- "):
        return at, []  # That line and the next say it all.
    if "new file mode" in head:
        return at, [FileDiff(None, new)]
    return at, [FileDiff(old, None if "deleted file mode" in head else new)]


def _hunk(lines: list[str], at: int, file: FileDiff) -> int:
    """Read one hunk into the file's list; the line after it."""
    found = HEADER.match(lines[at].rstrip("\n"))
    if found is None:
        raise EditError(f"{file.new or file.old}: {lines[at].strip()[:60]!r} is no hunk header like @@ -1,3 +1,4 @@")
    start = int(found[1]) if found[1] else None
    counted = _body(lines, at + 1, int(found[2] or 1), int(found[4] or 1)) if found[1] else None
    end, body = counted or _body(lines, at + 1, None, None) or (at + 1, [])
    if not body:
        raise EditError(f"{file.new or file.old}: a hunk is empty")
    file.hunks.append(Hunk(start, body))
    return end


def _body(lines: list[str], at: int, old: int | None, new: int | None) -> tuple[int, list[tuple[str, str]]] | None:
    """The lines of a hunk: as many as its header says, or up to whatever cannot be one. `None` where the header is
    wrong."""
    body: list[tuple[str, str]] = []
    counts = {" ": 0, "-": 0, "+": 0}
    while at < len(lines):
        line = lines[at]
        if (counts[" "] + counts["-"], counts[" "] + counts["+"]) == (old, new):
            break
        mark, rest = (line[0], line[1:]) if line != "\n" else (" ", "\n")
        if line.startswith(NO_END):
            _unended(body)
        elif mark not in counts or (old is None and _begins(lines, at)):
            break
        else:
            counts[mark] += 1
            body.append((mark, rest))
        at += 1
    if at < len(lines) and lines[at].startswith(NO_END):
        _unended(body)
        at += 1
    if old is None:
        # Empty lines between the last line of a hunk and whatever follows belong to neither.
        while body and body[-1] == (" ", "\n") and at > 0 and lines[at - 1] == "\n":
            body.pop()
            at -= 1
        return at, body
    wrong = counts[" "] + counts["-"] != old or counts[" "] + counts["+"] != new
    more = at < len(lines) and lines[at][0] in " +-" and not _begins(lines, at) and not lines[at].startswith("-- ")
    return None if wrong or more else (at, body)


def _begins(lines: list[str], at: int) -> bool:
    """Whether the next file or hunk begins here."""
    line = lines[at]
    after = lines[at + 1] if at + 1 < len(lines) else ""
    return line.startswith(("@@", "diff --git ")) or (line.startswith("--- ") and after.startswith("+++ "))


def _unended(body: list[tuple[str, str]]) -> None:
    if body:
        mark, line = body[-1]
        body[-1] = (mark, line.removesuffix("\n"))


def _find(lines: list[str], old: list[str], low: int, expected: int | None) -> int | None:
    """Where the lines stand, not before `low`: at the expected place, or else the nearest."""
    last = len(lines) - len(old)
    if not old:  # Nothing to go by but the number.
        return min(max(expected or 0, low), len(lines))
    places = [n for n in range(low, last + 1) if _stand(lines, old, n)]
    if expected is None:
        return places[0] if len(places) == 1 else None
    return min(places, key=lambda n: (abs(n - expected), n), default=None)


def _stand(lines: list[str], old: list[str], at: int) -> bool:
    """Whether the lines stand at a place; that a file's last line has no end is forgiven."""
    if lines[at] != old[0] and lines[at].rstrip("\n") != old[0].rstrip("\n"):
        return False
    end = at + len(old)
    if lines[at : end - 1] != old[:-1]:
        return False
    return lines[end - 1] == old[-1] or (end == len(lines) and lines[-1].rstrip("\n") == old[-1].rstrip("\n"))


def _why(lines: list[str], old: list[str], low: int) -> str:
    places = [n for n in range(low, len(lines) - len(old) + 1) if _stand(lines, old, n)]
    if len(places) > 1:
        return f"its lines stand at {len(places)} places; say which in the header, as @@ -LINE,COUNT +LINE,COUNT @@"
    have = set(lines[low:])
    missing = next((line for line in old if line not in have), None)
    if missing is not None:
        return f"there is no line {missing.rstrip()[:80]!r}" + (" after the hunk before" if low else "")
    return "its lines are all there, but not one after the other"


def _path(name: str) -> str | None:
    """The path in a `---` or `+++` line."""
    name = name.split("\t")[0].strip()
    if name == "/dev/null":
        return None
    return _inside(name[2:] if name.startswith(("a/", "b/")) else name)


def _inside(name: str) -> str:
    if name.startswith('"'):
        raise EditError("file names in quotes are not read")
    if not name or name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise EditError(f"the diff may only name files below the folder, not {name[:80]!r}")
    return name
