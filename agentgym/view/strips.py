"""Numbers as text: sparklines, heat strips and short figures, for a terminal of any width, with or without colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from agentgym.sandbox.text import shown

BARS = "▁▂▃▄▅▆▇█"
GOOD, BAD = "▁▃▅▇█", "░░▒▓▓"
"""Glyphs of growing size, above and below zero: told apart without colours too."""
GREEN, RED, DIM = "green", "red", "bright_black"


def safe(text: str, longest: int = 20_000) -> str:
    """Text from a model or an environment as a terminal shows it and does not obey it, of a bounded length.

    To be read on a screen: colours and what was overwritten are left out, long lines are cut. What commands print keeps
    every character, in a form of one column (`agentgym.cli.show.safe`).
    """
    clipped = text[:longest] + (f"\n[... {len(text) - longest:,} more characters]" if len(text) > longest else "")
    return shown(clipped.encode("utf-8", "surrogatepass")).expandtabs(4)


def one_line(text: str, width: int) -> str:
    """The beginning of a text in one line of at most `width` characters."""
    line = " ".join(safe(text[: 4 * width + 100]).split())
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


def one_line_end(text: str, width: int) -> str:
    """The end of a text in one line of at most `width` characters: what tells names apart stands there."""
    line = " ".join(safe(text[-4 * width - 100 :]).split())
    return line if len(line) <= width else "…" + line[len(line) - max(0, width - 1) :]


def short(value: float | None) -> str:
    """A number in at most six characters, nearly always.

    >>> [short(x) for x in (None, 0, 1.0, -0.1234, 12345.6, 1e-7)]
    ['-', '0', '1', '-0.12', '12346', '1e-07']
    """
    if value is None:
        return "-"
    if value == 0 or (float(value).is_integer() and abs(value) < 1e5):
        return str(int(value))
    if abs(value) < 0.005 or abs(value) >= 1e5:
        return f"{value:.0e}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """A curve in one line, the newest values at its end; gaps where there is none.

    >>> sparkline([0.0, None, 1.0], 10)
    '▁ █'
    """
    if width <= 0 or not values:
        return ""
    if len(values) > width:
        parts = [values[i * len(values) // width : (i + 1) * len(values) // width] for i in range(width)]
        known = [[v for v in part if v is not None] for part in parts]
        values = [sum(part) / len(part) if part else None for part in known]
    numbers = [v for v in values if v is not None]
    if not numbers:
        return " " * len(values)
    low, high = min(numbers), max(numbers)
    spread = high - low
    return "".join(" " if v is None else BARS[min(7, int(8 * (v - low) / spread)) if spread > 0 else 3] for v in values)


def heat(values: Sequence[float | None], now: int, width: int) -> Text:
    """One character a turn: the height says how much, the glyph and the colour whether it is above zero.

    Args:
        values: of the turns; scaled by the largest size among them.
        now: the turn that is looked at, always within what is shown, and underlined.
        width: turns that there is room for.
    """
    first = window(len(values), now, width)
    most = max((abs(v) for v in values if v is not None), default=0.0)
    made = Text()
    for place, value in enumerate(values[first : first + width], start=first):
        style = " underline bold" if place == now else ""
        if value is None:
            made.append(" ", style=style.strip())
        elif most <= 0 or abs(value) < 1e-12 * most or not math.isfinite(value):
            made.append("·", style=DIM + style)
        else:
            size = min(4, int(5 * abs(value) / most))
            made.append(GOOD[size] if value > 0 else BAD[size], style=(GREEN if value > 0 else RED) + style)
    return made


def window(count: int, now: int, width: int) -> int:
    """The first of `width` places that hold `now` about in their middle."""
    return max(0, min(now - width // 2, count - width))
