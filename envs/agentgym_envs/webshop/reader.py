"""Large JSON files read one entry at a time, with where each entry begins and ends.

The full product file has gigabytes: it is gone through once, and after that only the entries that are asked for are
read. Text is scanned as Latin-1, so that characters are bytes and offsets are right whatever the file holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from agentgym.errors import UsageError

CHUNK = 1 << 22
"""Bytes read at a time."""
LONGEST = 1 << 26
"""Bytes of the longest entry; the largest product known has less than a megabyte."""
BLANK = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()


class Entry(NamedTuple):
    """One entry of a file."""

    key: str
    """Its key in an object; empty in an array."""
    value: Any
    start: int
    """Byte at which the value begins."""
    size: int
    """Bytes of the value."""


class _Window:
    """A part of the file that moves on."""

    def __init__(self, path: Path, expected: str) -> None:
        self.path, self.expected = path, expected
        try:
            self.file = path.open("rb")
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from error
        self.text, self.base, self.at, self.ended = "", 0, 0, False

    def more(self) -> bool:
        """Read on; whether there was anything."""
        chunk = self.file.read(CHUNK)
        self.ended = not chunk
        self.base += self.at
        self.text, self.at = self.text[self.at :] + chunk.decode("latin-1"), 0
        return not self.ended

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            self.at = BLANK.match(self.text, self.at).end()  # type: ignore[union-attr] - it matches nothing, too
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def value(self) -> tuple[Any, int, int]:
        """The value that begins here, where it begins and its bytes."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError):
                if len(self.text) - self.at > LONGEST or not self.more():
                    raise self.wrong() from None
                continue
            if len(self.text) - end < 3 and not self.ended:
                self.more()
                continue  # A number may go on ("0" with ".5" or "e+9" to come).
            raw, start = self.text[self.at : end], self.base + self.at
            self.at = end
            if not raw.isascii():
                try:
                    value = json.loads(raw.encode("latin-1").decode("utf-8"))
                except ValueError:
                    raise self.wrong("is not UTF-8") from None
            return value, start, len(raw)

    def wrong(self, what: str = "") -> UsageError:
        """What to say where the file is not what it should be."""
        place = self.base + self.at
        what = what or ("the file ends too early: it is truncated" if self.ended else "is not JSON")
        return UsageError(f"{self.path}: byte {place}: {what}; expected {self.expected}")


def entries(path: Path, expected: str, begin: str = "[") -> Iterator[Entry]:
    """The entries of a file's array (`begin` is `[`) or object (`{`), in order.

    Args:
        path: the file.
        expected: what the file should be and where to get it, for messages.
        begin: the bracket that it begins with.

    Raises:
        UsageError: it cannot be read, is truncated, or is no JSON of that form; the message has the byte.
    """
    window, end = _Window(path, expected), {"[": "]", "{": "}"}[begin]
    with window.file:
        if window.peek() != begin:
            raise window.wrong("is empty" if not window.text else f"begins with {window.text[:20]!r}, not {begin!r}")
        window.at += 1
        first = True
        while (char := window.peek()) != end:
            if not first:
                if char != ",":
                    raise window.wrong()
                window.at += 1
            key = ""
            if begin == "{":
                key = str(window.value()[0])
                if window.peek() != ":":
                    raise window.wrong()
                window.at += 1
            yield Entry(key, *window.value())
            first = False
