"""What commands print with: tables for people, JSON for scripts, and text from strangers made harmless."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from agentgym.errors import ConfigError
from agentgym.secrets import redact

if TYPE_CHECKING:
    from rich.console import Console

# Escape sequences would let a model or an environment move the cursor, colour the screen or write to the clipboard;
# bidirectional controls would let text pretend to be other text.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

WHOLE = 24
"""Characters of a row's name that are kept in one line where the terminal has three times as many."""


def safe(text: str) -> str:
    """Text that a terminal shows and does not obey.

    >>> safe("a\\x1b[2Jb")
    'a␛[2Jb'
    """
    return CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 32 else "\ufffd", text)


def console(errors: bool = False) -> Console:
    """A console on standard output, or on the error stream, which progress and remarks go to."""
    from rich.console import Console

    return Console(stderr=errors, highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(text: str) -> None:
    """A remark on the error stream."""
    print(safe(redact(text)), file=sys.stderr)


def out_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """A table on standard output; cells are plain text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    look: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0), "title_justify": "left"}
    shown = Table(*columns, title=title, show_header=any(columns), **look)
    console = Console(highlight=False, markup=False, emoji=False)
    rows = list(rows)
    for column in shown.columns:
        column.overflow = "fold"
    if rows and shown.columns and console.width >= 3 * WHOLE:
        # What a row is called stays in one piece, so that it can be found and copied.
        shown.columns[0].no_wrap = max(len(row[0]) for row in rows) <= WHOLE
    for row in rows:
        shown.add_row(*(Text(safe(cell), overflow="fold") for cell in row))
    console.print(shown)


def pairs(rows: Iterable[tuple[str, str]], title: str | None = None) -> None:
    """Names and values, one a line."""
    table(("", ""), rows, title)


def settings(options: Sequence[str], flag: str) -> dict[str, Any]:
    """`["level=4", "hint=last"]` as `{"level": 4, "hint": "last"}`; values are read as TOML where they are TOML.

    Raises:
        ConfigError: one of them is no `name=value`.
    """
    from agentgym.config import parse_overrides

    for option in options:
        if not re.fullmatch(r"[A-Za-z_]\w*=.*", option, re.DOTALL):
            raise ConfigError(f"{flag} takes name=value, not {redact(option)!r}")
    return dict(parse_overrides([f"--{option}" for option in options]))
