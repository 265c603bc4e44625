"""Small plots as SVG text: lines over a few positions, with the spread of each point. No plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f6000", "#56b4e9", "#000000")
"""Told apart by people with any colour vision (after Okabe and Ito); used in order."""
WIDTH, HEIGHT = 330, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 26, 34
ROW = 16


@dataclass(frozen=True)
class Point:
    """A point of a line."""

    x: float
    y: float
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""


@dataclass(frozen=True)
class Panel:
    """One plot."""

    title: str
    x: str
    """What lies along the horizontal axis."""
    lines: Mapping[str, Sequence[Point]]
    """By name, points from left to right."""
    level: float | None = None
    """Height of a dashed line."""
    log_x: bool = False
    log_y: bool = False


def svg(panels: Sequence[Panel], per_row: int = 2) -> str:
    """Panels side by side, each with a legend below it, as one SVG document.

    Args:
        panels: points that a logarithm does not take are left out.
        per_row: panels in a row.
    """
    legend = ROW * math.ceil(max((len(panel.lines) for panel in panels), default=0) / 2) + 6
    width, height = WIDTH * min(per_row, len(panels)), (HEIGHT + legend) * math.ceil(len(panels) / per_row)
    body: list[str] = []
    for i, panel in enumerate(panels):
        place = f"translate({WIDTH * (i % per_row)} {(HEIGHT + legend) * (i // per_row)})"
        colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(panel.lines)}
        body += [f'<g transform="{place}">', _panel(panel, colours), *_legend(colours), "</g>"]
    style = 'font-family="sans-serif" font-size="11" fill="#333"'
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#fff"/>', *body, "</svg>\n"])


def _legend(colours: Mapping[str, str]) -> Iterator[str]:
    for i, (name, colour) in enumerate(colours.items()):
        x, y = 16 + WIDTH // 2 * (i % 2), HEIGHT + ROW * (i // 2)
        yield f'<rect x="{x}" y="{y + 4}" width="14" height="4" fill="{colour}"/>'
        yield f'<text x="{x + 20}" y="{y + 10}">{escape(name)}</text>'


def _panel(panel: Panel, colours: Mapping[str, str]) -> str:
    lines = {
        name: [p for p in points if (p.x > 0 or not panel.log_x) and (p.y > 0 or not panel.log_y)]
        for name, points in panel.lines.items()
    }
    every = [p for points in lines.values() for p in points]
    extra = [] if panel.level is None else [panel.level]
    xs = _Axis([p.x for p in every], panel.log_x)
    ys = _Axis([y for p in every for y in (p.low, p.y, p.high)] + extra, panel.log_y)

    def px(x: float) -> float:
        return LEFT + xs.place(x) * (WIDTH - LEFT - RIGHT)

    def py(y: float) -> float:
        return HEIGHT - BOTTOM - ys.place(y) * (HEIGHT - TOP - BOTTOM)

    right, foot = WIDTH - RIGHT, HEIGHT - BOTTOM
    out = [f'<text x="{LEFT}" y="16" font-weight="bold">{escape(panel.title)}</text>']
    for y in ys.ticks():
        out.append(f'<path d="M{LEFT} {py(y):.1f}H{right}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 5}" y="{py(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in sorted({p.x for p in every}) if len({p.x for p in every}) <= 6 else xs.ticks():
        out.append(f'<text x="{px(x):.1f}" y="{foot + 14}" text-anchor="middle">{x:g}</text>')
    out.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{foot + 28}" text-anchor="middle">{escape(panel.x)}</text>')
    if panel.level is not None:
        out.append(f'<path d="M{LEFT} {py(panel.level):.1f}H{right}" stroke="#333" stroke-dasharray="4 3"/>')
    for name, points in lines.items():
        if not points:
            continue
        there = [f"{px(p.x):.1f} {py(p.y):.1f}" for p in points]
        area = [f"{px(p.x):.1f} {py(p.high):.1f}" for p in points]
        area += [f"{px(p.x):.1f} {py(p.low):.1f}" for p in reversed(points)]
        out.append(f'<path d="M{"L".join(area)}Z" fill="{colours[name]}" opacity="0.15"/>')
        out.append(f'<path d="M{"L".join(there)}" fill="none" stroke="{colours[name]}" stroke-width="1.8"/>')
        out += [f'<circle cx="{p.split()[0]}" cy="{p.split()[1]}" r="2.4" fill="{colours[name]}"/>' for p in there]
    return "\n".join(out)


class _Axis:
    """Where values lie between 0 and 1."""

    def __init__(self, values: Sequence[float], log: bool) -> None:
        self.log = log
        known = [v for v in values if v > 0 or not log]
        low, high = self._of(min(known, default=1.0)), self._of(max(known, default=2.0))
        margin = 0.06 * (high - low) or 0.5
        self.low, self.high = low - margin, high + margin

    def _of(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def place(self, value: float) -> float:
        if self.log and value <= 0:
            return 0.0
        return min(1.0, max(0.0, (self._of(value) - self.low) / (self.high - self.low)))

    def ticks(self) -> list[float]:
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            wide = self.high - self.low > 3
            found = [m * 10.0**d for d in decades for m in ((1,) if wide else (1, 2, 5))]
            return [tick for tick in found if self.low <= math.log10(tick) <= self.high]
        step = 10.0 ** math.floor(math.log10(self.high - self.low))
        step *= next((m for m in (0.2, 0.5, 1.0) if (self.high - self.low) / (step * m) <= 6), 2.0)
        first = math.ceil(self.low / step)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step) + 1)]
