"""The next step of a solution: look at a file that the known fix changes, change it piece by piece, test, submit.

The oracle goes by what the files say now, not by a list of steps: whatever was done before, it leads each file of the
fix to what the fix makes of it, as long as that can be done by edits that are small enough for one action. It does not
undo what was done to other files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agentgym.dialects import MAX_ACTION, ToolCall
from agentgym_envs.swe import diffs
from agentgym_envs.swe.edit import EditError, first_block, towards
from agentgym_envs.swe.lines import lines_of

MOST = MAX_ACTION // 3
"""Characters of one edit: JSON may need two for one, and a dialect some more."""
AROUND = 12
"""Lines before and after the place of a fix that are looked at, where an observation has room for them."""
Read = Callable[[str], str | None]


def targets(patch: str, read: Read) -> dict[str, str | None]:
    """What the files of the fix are in the end; empty where the patch cannot be read or does not apply.

    Args:
        patch: a unified diff.
        read: gives a file's text at the start, `None` where there is none.
    """
    try:
        return diffs.apply(patch, read) if patch.strip() else {}
    except EditError:
        return {}


def next_call(
    wanted: Mapping[str, str | None],
    read: Read,
    looked: bool,
    tested: bool,
    tools: frozenset[str],
    around: int = AROUND,
) -> ToolCall | None:
    """The next call; `None` where there is no way that the oracle knows.

    Args:
        wanted: as `targets` gives it.
        read: gives a file's text as it is now.
        looked: whether a file of the fix was looked at.
        tested: whether the tests were run since the last change.
        tools: names of the tools that there are.
        around: lines that are looked at before and after the place of a fix.
    """
    if not wanted:
        return None
    if "replace" not in tools:
        return _by_shell(wanted, read, tested, tools)
    for path in sorted(wanted):
        now, target = read(path), wanted[path]
        if now == target:
            continue
        if not looked and now is not None and "view" in tools:
            return _look(path, now, target, around)
        return _change(path, now, target, tools)
    return ToolCall("submit") if tested else ToolCall("run_tests")


def _look(path: str, now: str, target: str | None, around: int) -> ToolCall:
    """Show the place of the first change."""
    total = len(lines_of(now))
    if target is None or total <= 2 * around:
        return ToolCall("view", {"path": path})
    have, want = lines_of(now), lines_of(target)
    first = next((n for n, (a, b) in enumerate(zip(have, want, strict=False)) if a != b), min(len(have), len(want)))
    start = max(1, min(first + 1 - around, total))
    return ToolCall("view", {"path": path, "start": start, "end": min(total, start + 2 * around)})


def _change(path: str, now: str | None, target: str | None, tools: frozenset[str]) -> ToolCall | None:
    """One edit of a file."""
    if target is None:
        return ToolCall("shell", {"command": f"rm -f -- {_quoted(path)}"}) if "shell" in tools else None
    if now:
        edit = towards(now, target, MOST)
        if edit is not None and _writable(edit.old + edit.new):
            return ToolCall("replace", {"path": path, "old": edit.old, "new": edit.new})
        # No text of it is unique and short enough: then by the number of the line.
        diff = _hunk(path, now, target)
        return ToolCall("apply_patch", {"diff": diff}) if "apply_patch" in tools and _writable(diff) else None
    # A new file that is too long for one action begins with what fits; the rest is put in by edits.
    begin = target if len(target) <= MOST else _some(target)
    fits = "create" in tools and begin != now and _writable(begin)
    return ToolCall("create", {"path": path, "text": begin}) if fits else None


def _hunk(path: str, now: str, target: str) -> str:
    """The next change as a diff of one hunk without context."""
    have, want = lines_of(now), lines_of(target)
    block = first_block(have, want, MOST // 3)
    if block is None:
        return ""
    low, high, start, end = block
    lines = [*(_marked("-", line) for line in have[low:high]), *(_marked("+", line) for line in want[start:end])]
    old, new = (low + (high > low), high - low), (start + (end > start), end - start)
    return f"--- a/{path}\n+++ b/{path}\n@@ -{old[0]},{old[1]} +{new[0]},{new[1]} @@\n{''.join(lines)}"


def _marked(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"


def _by_shell(wanted: Mapping[str, str | None], read: Read, tested: bool, tools: frozenset[str]) -> ToolCall | None:
    """The same where there is little more than a shell: each edit is a line of Python."""
    if not {"shell", "submit"} <= tools:
        return None
    for path in sorted(wanted):
        now, target = read(path), wanted[path]
        if now == target:
            continue
        if target is None:
            return ToolCall("shell", {"command": f"rm -f -- {_quoted(path)}"})
        script = _script(path, now or "", target)
        return None if script is None else ToolCall("shell", {"command": script})
    return ToolCall("submit")


def _script(path: str, now: str, target: str) -> str | None:
    """A line of Python that makes the next edit."""
    edit = towards(now, target, MOST // 2) if now else None
    if edit is None or not _writable(edit.old + edit.new):
        return None
    code = (
        f"from pathlib import Path; p = Path({path!r}); p.write_text(p.read_text().replace({edit.old!r}, {edit.new!r}))"
    )
    return f"python3 -c {_quoted(code)}"


def _some(text: str) -> str:
    """The first lines of a text, as many as fit into an action."""
    made = ""
    for line in lines_of(text):
        if len(made) + len(line) > MOST:
            break
        made += line
    return made or text[:MOST]


def _writable(text: str) -> bool:
    """Whether a text can stand in an action: Unicode, and not too long once it is JSON."""
    try:
        return len(ToolCall("x", {"x": text}).canonical().encode()) < MAX_ACTION - 512
    except UnicodeEncodeError:
        return False


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
