"""Which lines differ between two texts, in time that the texts cannot blow up.

The agent writes one of the two, and `difflib` takes cubic time on texts made for it. Here common lines that stand once
on both sides are the anchors (patience diff); only the small gaps between them are compared closely, and only as long
as a fixed amount of work lasts. Where it does not, the gap is replaced whole: longer, and just as right.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

CLOSE = 300_000
"""How many pairs of lines are compared closely, over all gaps of a file."""
CONTEXT = 3

Block = tuple[int, int, int, int]
"""Lines `[i1:i2]` of the old text become lines `[j1:j2]` of the new."""


def blocks(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """The places where two texts differ, in order.

    >>> blocks(["a", "b", "c"], ["a", "x", "c", "d"])
    [(1, 2, 1, 2), (3, 3, 3, 4)]
    """
    budget = [CLOSE]
    found: list[Block] = []
    i = j = 0
    for anchor_i, anchor_j in [*_anchors(old, new), (len(old), len(new))]:
        found += _gap(old, new, (i, anchor_i, j, anchor_j), budget)
        i, j = anchor_i + 1, anchor_j + 1
    joined: list[Block] = []
    for block in found:
        if joined and joined[-1][1] == block[0] and joined[-1][3] == block[2]:
            joined[-1] = (joined[-1][0], block[1], joined[-1][2], block[3])
        else:
            joined.append(block)
    return joined


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Lines that stand once on each side, the longest run of them that is in order on both."""
    in_old, in_new = Counter(old), Counter(new)
    place = {line: j for j, line in enumerate(new) if in_new[line] == 1}
    pairs = [(i, place[line]) for i, line in enumerate(old) if in_old[line] == 1 and line in place]
    ends: list[int] = []  # The least end of an increasing run, by its length.
    at: list[int] = []  # And which pair that is.
    before: list[int] = []
    for index, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(at[length - 1] if length else -1)
        if length == len(ends):
            ends.append(j)
            at.append(index)
        else:
            ends[length], at[length] = j, index
    chain: list[tuple[int, int]] = []
    index = at[-1] if at else -1
    while index >= 0:
        chain.append(pairs[index])
        index = before[index]
    return chain[::-1]


def _gap(old: Sequence[str], new: Sequence[str], gap: Block, budget: list[int]) -> Iterator[Block]:
    i1, i2, j1, j2 = gap
    while i1 < i2 and j1 < j2 and old[i1] == new[j1]:
        i1, j1 = i1 + 1, j1 + 1
    while i1 < i2 and j1 < j2 and old[i2 - 1] == new[j2 - 1]:
        i2, j2 = i2 - 1, j2 - 1
    if i1 == i2 and j1 == j2:
        return
    work = (i2 - i1) * (j2 - j1)
    if not work or work > 40_000 or work > budget[0]:
        yield (i1, i2, j1, j2)
        return
    budget[0] -= work
    matcher = SequenceMatcher(None, old[i1:i2], new[j1:j2], autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            yield (i1 + a, i1 + b, j1 + c, j1 + d)


def lines_of(text: str) -> list[str]:
    r"""The lines with their `\n`; only that ends a line, as git and patches count them.

    The last may be without.

    >>> lines_of("a\nb"), lines_of("")
    (['a\n', 'b'], [])
    """
    parts = text.split("\n")
    lines = [f"{part}\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


def hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """The hunks of a unified diff, line by line, each with its end."""
    group: list[Block] = []
    for block in [*blocks(old, new), None]:
        if group and (block is None or block[0] - group[-1][1] > 2 * CONTEXT):
            yield from _hunk(old, new, group)
            group = []
        if block is not None:
            group.append(block)


def _hunk(old: Sequence[str], new: Sequence[str], group: list[Block]) -> Iterator[str]:
    lead = min(CONTEXT, group[0][0])
    i1, j1 = group[0][0] - lead, group[0][2] - lead
    tail = min(CONTEXT, len(old) - group[-1][1])
    i2, j2 = group[-1][1] + tail, group[-1][3] + tail
    yield f"@@ -{_range(i1, i2)} +{_range(j1, j2)} @@\n"
    i = i1
    for a, b, c, d in group:
        yield from (_line(" ", line) for line in old[i:a])
        yield from (_line("-", line) for line in old[a:b])
        yield from (_line("+", line) for line in new[c:d])
        i = b
    yield from (_line(" ", line) for line in old[i:i2])


def _range(start: int, end: int) -> str:
    if end - start == 1:
        return str(start + 1)
    return f"{start + 1 if end > start else start},{end - start}"


def _line(mark: str, line: str) -> str:
    return mark + line if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"
