r"""How a file's text is changed: exact replacement, insertion, and the edit that leads from one text to another.

Strings in, strings out; no box, no disk. A model that asks for what cannot be done gets an `EditError` that says what
is there instead, so that the next try can be better. Lines end with `\n` only: other line breaks are characters.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple

from agentgym.tools import ToolError
from agentgym_envs.swe.lines import lines_of

SHOWN = 5
"""Most line numbers that an error lists."""


class EditError(ToolError):
    """An edit cannot be made as asked: the model's mistake. The message says why."""


class Edit(NamedTuple):
    """An exact replacement: `old` stands once in the text and becomes `new`."""

    old: str
    new: str


def count_lines(text: str) -> int:
    """How many lines there are; a last one without its end counts."""
    return text.count("\n") + (not text.endswith("\n") and bool(text))


def replace_once(text: str, old: str, new: str) -> tuple[str, int]:
    r"""The text with `old`, which must stand there exactly once, as `new`; and the line where it began.

    Where the file's lines end with `\r\n` and those of `old` with `\n`, the file's are kept.

    Raises:
        EditError: `old` is empty, equals `new`, is not there, or is there more than once.

    >>> replace_once("a = 1\nb = 1\n", "b = 1", "b = 2")
    ('a = 1\nb = 2\n', 2)
    """
    if not old:
        raise EditError("the text to replace is empty; use insert to add lines")
    if old == new:
        raise EditError("old and new are the same")
    if old not in text and "\r\n" in text and "\r" not in old:
        old, new = old.replace("\n", "\r\n"), new.replace("\r\n", "\n").replace("\n", "\r\n")
    place = text.find(old)
    if place < 0:
        raise EditError(_missing(text, old))
    if text.find(old, place + 1) >= 0:
        raise EditError(f"the text to replace stands there more than once ({_where(text, old)}); give more lines of it")
    return text[:place] + new + text[place + len(old) :], text.count("\n", 0, place) + 1


def insert_after(text: str, line: int, added: str) -> str:
    r"""The text with whole lines added after line `line`; 0 puts them at the beginning.

    Raises:
        EditError: there is no such line, or nothing to add.

    >>> insert_after("a\nb", 2, "c")
    'a\nb\nc\n'
    """
    lines = lines_of(text)
    if not added:
        raise EditError("there is nothing to insert")
    if not 0 <= line <= len(lines):
        raise EditError(f"there is no line {line}; the file has {len(lines)}")
    ending = "\r\n" if lines and lines[max(0, line - 1)].endswith("\r\n") else "\n"
    if ending == "\r\n" and "\r" not in added:
        added = added.replace("\n", "\r\n")
    if not added.endswith("\n"):
        added += ending
    before = "".join(lines[:line])
    if before and not before.endswith("\n"):
        before += ending
    return before + added + "".join(lines[line:])


def towards(text: str, target: str, most: int) -> Edit | None:
    """One replacement that brings a text nearer to a target; following it again and again gets there.

    Args:
        text: what there is; not empty, and not the target.
        target: what there should be.
        most: characters that `old` and `new` may have together.

    Returns:
        The edit of the first place that differs, with as many lines around it as make it unique; `None` where no edit
        of that size is unique.
    """
    have, want = lines_of(text), lines_of(target)
    block = first_block(have, want, most // 3)
    if block is None:
        return None
    low, high, start, end = block
    while True:
        old = "".join(have[low:high])
        new = "".join(want[start:end])
        if len(old) + len(new) > most:
            return None
        if old and _once(text, old):
            return Edit(old, new)
        # Lines before the place are equal in both; those after it only if the block was not cut, so take from `have`.
        if low > 0:
            low -= 1
            start -= 1
        elif high < len(have):
            return _below(text, have, new, high, most)
        else:
            return None


def _below(text: str, have: list[str], new: str, high: int, most: int) -> Edit | None:
    """As `towards` at the beginning of a file: lines below are added, and stay as they are."""
    for end in range(high + 1, len(have) + 1):
        old, tail = "".join(have[:end]), "".join(have[high:end])
        if new and not new.endswith("\n"):
            new += "\n"
        if len(old) + len(new) + len(tail) > most:
            return None
        if _once(text, old):
            return Edit(old, new + tail)
    return None


def first_block(have: list[str], want: list[str], most: int) -> tuple[int, int, int, int] | None:
    """The first lines that differ: `have[low:high]` is to become `want[start:end]`; `None` where all are equal.

    Of a block with more than `most` characters only the beginning is given: what follows is another step's.
    """
    codes = SequenceMatcher(None, have, want, autojunk=False).get_opcodes()
    found = next((code for code in codes if code[0] != "equal"), None)
    if found is None:
        return None
    _, low, high, start, end = found
    while high - low > 1 and len("".join(have[low:high])) > most:
        high = low + (high - low) // 2
    while end - start > 1 and len("".join(want[start:end])) > most:
        end = start + (end - start) // 2
    return low, high, start, end


def _once(text: str, part: str) -> bool:
    """Whether a part stands in a text once, overlaps counted."""
    place = text.find(part)
    return place >= 0 and text.find(part, place + 1) < 0


def _missing(text: str, old: str) -> str:
    """Why `old` cannot be found, as far as that can be told."""
    wanted = [line.strip() for line in old.split("\n")]
    have = [line.strip() for line in text.split("\n")]
    while wanted and not wanted[-1]:
        wanted.pop()
    while wanted and not wanted[0]:
        wanted.pop(0)
    if wanted:
        size = len(wanted)
        near = [n + 1 for n, line in enumerate(have) if line == wanted[0] and have[n : n + size] == wanted]
        if near:
            return f"the text to replace is not there with just these spaces; other spaces stand in line {near[0]}"
        first = [n + 1 for n, line in enumerate(have) if line == wanted[0]]
        if size > 1 and first:
            return (
                f"the text to replace is not there; its first line stands in line {_few(first)}, what follows differs"
            )
    return "the text to replace is not there; view the file and copy it exactly"


def _where(text: str, old: str) -> str:
    found: list[int] = []
    place = text.find(old)
    while place >= 0 and len(found) <= SHOWN:
        found.append(text.count("\n", 0, place) + 1)
        place = text.find(old, place + 1)
    return f"lines {_few(found)}"


def _few(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:SHOWN])) + (", ..." if len(numbers) > SHOWN else "")
