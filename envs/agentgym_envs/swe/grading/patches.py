r"""Unified diffs, read strictly: what each file becomes, or that the patch does not apply.

The lenient reader for what models type is elsewhere; patches here come from `changes` or from a task's record, and
must say exactly what they change. Positions may be off (other patches came before), contents may not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from agentgym_envs.swe.grading.tree import FILE, Entry
from agentgym_envs.swe.lines import lines_of

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, '"': 34, "\\": 92}


class PatchError(ValueError):
    """The patch is broken or does not apply; says which file, and why."""


@dataclass(slots=True)
class Hunk:
    """One place that changes: the old lines that must be there, and the new ones."""

    start: int
    old: list[str] = field(default_factory=list[str])
    new: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class FilePatch:
    """What becomes of one file."""

    old: str | None
    """Its path before; `None` where it is new."""
    new: str | None
    """Its path afterwards; `None` where it is deleted."""
    mode: int | None = None
    """Git's mode afterwards, where the patch says."""
    copied: bool = False
    """Whether the old file stays."""
    binary: bool = False
    hunks: list[Hunk] = field(default_factory=list[Hunk])

    @property
    def paths(self) -> list[str]:
        """The paths that it writes or deletes."""
        return [path for path in dict.fromkeys((None if self.copied else self.old, self.new)) if path is not None]


def parse(patch: str) -> list[FilePatch]:
    """The files of a patch.

    Raises:
        PatchError: it is broken.
    """
    lines = lines_of(patch)
    files: list[FilePatch] = []
    at = 0
    while at < len(lines):
        line = lines[at].rstrip("\n")
        if line.startswith("diff --git "):
            at = _git(lines, at, files)
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            files.append(FilePatch(_name(line[4:]), _name(lines[at + 1][4:].rstrip("\n"))))
            at = _hunks(lines, at + 2, files[-1])
        else:
            at += 1
    for file in files:
        if file.old is None and file.new is None:
            raise PatchError("the patch leads from no file to no file")
    return files


def _git(lines: list[str], at: int, files: list[FilePatch]) -> int:
    """One file with git's header lines; where it ends."""
    head = lines[at].rstrip("\n")[len("diff --git ") :]
    old, new = _pair(head)
    file = FilePatch(old, new)
    at += 1
    while at < len(lines):
        line = lines[at].rstrip("\n")
        if line.startswith(("diff --git ", "@@ ")):
            break
        if line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            file.old, file.new = _name(line[4:]), _name(lines[at + 1][4:].rstrip("\n"))
            at += 2
            break
        word, _, rest = line.partition(" mode ")
        if word == "new file" and rest:
            file.old, file.mode = None, _mode(rest)
        elif word == "deleted file" and rest:
            file.new = None
        elif line.startswith("new mode "):
            file.mode = _mode(line[9:])
        elif line.startswith(("rename from ", "copy from ")):
            file.old, file.copied = _plain(line.split(" from ", 1)[1]), line.startswith("copy")
        elif line.startswith(("rename to ", "copy to ")):
            file.new = _plain(line.split(" to ", 1)[1])
        elif line.startswith(("GIT binary patch", "Binary files ")):
            file.binary = True
        at += 1
    files.append(file)
    return _hunks(lines, at, file)


def _mode(text: str) -> int:
    try:
        return int(text.strip(), 8)
    except ValueError:
        raise PatchError(f"{text!r} is no file mode") from None


def _pair(head: str) -> tuple[str, str]:
    """The two names of a `diff --git` line: quoted, or the same path twice."""
    if head.startswith('"'):
        found = re.fullmatch(r'("(?:[^"\\]|\\.)*") ("?.*"?)', head)
        if found:
            return _strip(_plain(found[1])), _strip(_plain(found[2]))
    middle = len(head) // 2
    if head[middle : middle + 1] == " " and _strip(head[:middle]) == _strip(head[middle + 1 :]):
        return _strip(head[:middle]), _strip(head[middle + 1 :])
    old, _, new = head.partition(" b/")
    if not new:
        raise PatchError(f"`diff --git {head[:200]}`: no two names")
    return _strip(_plain(old)), new.rstrip('"')


def _plain(name: str) -> str:
    """A name as git writes it: in quotes with escapes where it is odd."""
    if not (name.startswith('"') and name.endswith('"') and len(name) > 1):
        return name
    out = bytearray()
    for found in re.finditer(r"\\([0-7]{3})|\\(.)|([^\\]+)", name[1:-1]):
        if found[1]:
            out.append(int(found[1], 8) & 255)
        elif found[2]:
            out.append(_ESCAPES.get(found[2], ord(found[2]) & 255))
        else:
            out += found[3].encode(errors="surrogatepass")
    return out.decode(errors="surrogateescape")


def _strip(name: str) -> str:
    return name[2:] if name.startswith(("a/", "b/")) else name


def _name(text: str) -> str | None:
    """The path of a `---` or `+++` line; a time may follow after a tab."""
    name = _plain(text if text.startswith('"') else text.split("\t")[0])
    return None if name == "/dev/null" else _strip(name)


def _hunks(lines: list[str], at: int, file: FilePatch) -> int:
    while at < len(lines) and (found := _HUNK.match(lines[at])):
        hunk = Hunk(int(found[1]))
        old, new = int(found[2] if found[2] is not None else 1), int(found[4] if found[4] is not None else 1)
        at += 1
        while at < len(lines) and (len(hunk.old) < old or len(hunk.new) < new or lines[at].startswith("\\")):
            at = _body(lines, at, hunk, file)
        if len(hunk.old) != old or len(hunk.new) != new:
            raise PatchError(f"{file.new or file.old}: a hunk's header promises other lines than it has")
        file.hunks.append(hunk)
        while at < len(lines) and lines[at].startswith("\\"):
            at = _body(lines, at, hunk, file)
    return at


def _body(lines: list[str], at: int, hunk: Hunk, file: FilePatch) -> int:
    line = lines[at]
    mark, text = line[:1], line[1:]
    if mark == "\\":
        before = lines[at - 1][:1]
        for side in [hunk.old] * (before != "+") + [hunk.new] * (before != "-"):
            if side:
                side[-1] = side[-1].removesuffix("\n")
    elif mark == " " or line == "\n":  # Some tools take the blank off an empty line.
        hunk.old.append(text if mark == " " else "\n")
        hunk.new.append(text if mark == " " else "\n")
    elif mark == "-":
        hunk.old.append(text)
    elif mark == "+":
        hunk.new.append(text)
    else:
        raise PatchError(f"{file.new or file.old}: a hunk is cut off")
    return at + 1


def apply(files: list[FilePatch], read: Callable[[str], Entry | None]) -> dict[str, Entry | None]:
    """What the files are after the patch.

    Args:
        files: parsed.
        read: gives a file as it is now, `None` where there is none.

    Returns:
        New files by path; `None` for those that are gone.

    Raises:
        PatchError: it does not apply.
    """
    made: dict[str, Entry | None] = {}

    def now(path: str) -> Entry | None:
        return made[path] if path in made else read(path)

    for file in files:
        if file.binary:
            raise PatchError(f"{file.new or file.old}: binary")
        entry = now(file.old) if file.old is not None else None
        if file.old is not None and entry is None:
            raise PatchError(f"{file.old}: there is no such file")
        if file.old is None and file.new is not None and now(file.new) is not None:
            raise PatchError(f"{file.new}: is there already")
        try:
            text = entry.data.decode() if entry else ""
        except UnicodeDecodeError:
            raise PatchError(f"{file.old}: is no text") from None
        text = _patched(text, file)
        if file.new is None:
            if text:
                raise PatchError(f"{file.old}: deleted, but the patch does not have all its lines")
            made[str(file.old)] = None
            continue
        if file.old is not None and file.old != file.new and not file.copied:
            made[file.old] = None
        made[file.new] = Entry(text.encode(), file.mode or (entry.mode if entry else FILE))
    return made


def _patched(text: str, file: FilePatch) -> str:
    lines, out, done = lines_of(text), list[str](), 0
    for hunk in file.hunks:
        wanted = hunk.start - 1 if hunk.old else hunk.start
        place = _place(lines, hunk, max(wanted, done), done)
        if place is None:
            raise PatchError(f"{file.new or file.old}: the lines of the hunk at line {hunk.start} are not there")
        out += lines[done:place]
        out += hunk.new
        done = place + len(hunk.old)
    return "".join(out + lines[done:])


def _place(lines: list[str], hunk: Hunk, wanted: int, least: int) -> int | None:
    """Where a hunk's old lines stand: where it says, else the nearest place after the hunk before."""
    count = len(hunk.old)
    if lines[wanted : wanted + count] == hunk.old and wanted <= len(lines):
        return wanted
    if not count:
        return None
    found = [at for at in range(least, len(lines) - count + 1) if lines[at] == hunk.old[0]]
    found = [at for at in found[:10_000] if lines[at : at + count] == hunk.old]
    return min(found, key=lambda at: abs(at - wanted), default=None)
