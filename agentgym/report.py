"""One page about a run: learning curves, and trajectories that one can step through turn by turn.

The page is a single file that loads nothing. Everything from models and environments is data in it, never markup: JSON
with every `<` escaped, shown as text, under a content policy that lets no script run but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from collections import deque
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from agentgym.errors import UsageError
from agentgym.records import dumps, plain, to_json
from agentgym.store import Entry, RunFolder
from agentgym.track import Line, read_metrics

MAX_TRAJECTORIES = 400
MAX_DEMOS = 40
MAX_LINES = 2000
MAX_TEXT = 20_000
"""Characters of one text; what is longer is clipped, and the page says so."""
MAX_BYTES = 24_000_000
"""Of all embedded trajectories."""


def write_report(run: RunFolder, path: str | Path | None = None, limit: int = MAX_TRAJECTORIES) -> Path:
    """Write the page of a run; works at any moment of it, and for an empty one.

    Args:
        run: the folder.
        path: where to write; `report.html` in the folder by default.
        limit: most trajectories to embed: evaluations first, then a few demonstrations, then the latest training.

    Returns:
        The page's path.

    Raises:
        StoreError: the metrics are damaged.
        UsageError: the limit is negative.
    """
    if limit < 0:
        raise UsageError(f"the limit of trajectories must be at least 0, not {limit}")
    target = Path(path) if path is not None else run.report
    warnings_before = len(run.trajectories.warnings)
    shown, total = choose(run.trajectories, limit)
    entries, texts_clipped = fit(shown)
    data = {
        "run": {**run.meta, "name": run.path.resolve().name},
        "config": run.config_path.read_text(encoding="utf-8") if run.config_path.exists() else "",
        "metrics": [line_json(line) for line in thin(read_metrics(run.metrics))],
        "trajectories": entries,
        "total": total,
        "clipped": texts_clipped,
        "warnings": run.trajectories.warnings[warnings_before:],
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(page(data), encoding="utf-8")
    os.replace(temporary, target)
    return target


def page(data: Any) -> str:
    """The page with `data` in it.

    `<`, `>` and `&` are escaped in the JSON, so nothing in it can end the element that holds it or begin another.
    """
    text = resources.files("agentgym").joinpath("report_page.html").read_text(encoding="utf-8")
    embedded = dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    # The data goes in last: a placeholder's name inside it must not be replaced.
    return text.replace("@SCRIPTS@", hashes).replace("@DATA@", embedded)


def choose(entries: Iterable[Entry], limit: int) -> tuple[list[Entry], int]:
    """At most `limit` entries, in the order of the log, and how many there are in all. Holds no more than it must."""
    evals: dict[str, list[tuple[int, Entry]]] = {}
    demos: list[tuple[int, Entry]] = []
    latest: deque[tuple[int, Entry]] = deque(maxlen=limit)
    total = 0
    for entry in entries:
        place, total = (total, entry), total + 1
        if entry.phase == "train":
            latest.append(place)
        elif entry.phase == "demo":
            if len(demos) < MAX_DEMOS:
                demos.append(place)
        elif len(kept := evals.setdefault(entry.phase, [])) < limit:
            kept.append(place)  # The same tasks lead every evaluation: its first ones can be compared.
    share = limit // max(1, len(evals)) if not latest else limit * 3 // 4 // max(1, len(evals))
    picked = [place for kept in evals.values() for place in kept[:share]][:limit]
    picked += demos[: max(0, limit - len(picked))]
    room = limit - len(picked)
    picked += list(latest)[-room:] if room > 0 else []
    return [entry for _, entry in sorted(picked, key=lambda place: place[0])], total


def fit(entries: Iterable[Entry], max_bytes: int = MAX_BYTES) -> tuple[list[dict[str, Any]], int]:
    """The entries as JSON values, long texts clipped; the first ones are dropped where all are over `max_bytes`.

    Returns:
        The values, and how many texts were clipped.
    """
    clipped = 0

    def clip(value: Any) -> Any:
        nonlocal clipped
        if isinstance(value, str) and len(value) > MAX_TEXT:
            clipped += 1
            return f"{value[:MAX_TEXT]}\n[... {len(value) - MAX_TEXT:,} more characters]"
        if isinstance(value, list):
            return [clip(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, dict):
            return {k: clip(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
        return value

    found: deque[tuple[dict[str, Any], int]] = deque()
    size = 0
    for entry in entries:
        record = to_json(entry.trajectory, tokens=False)
        for turn in record["turns"]:
            completion = turn["completion"]
            completion["tokens"] = len(completion.get("tokens", ()))
            completion.pop("logprobs", None)
        record |= {"phase": entry.phase, "iteration": entry.iteration}
        record["advantages"] = None if entry.advantages is None else plain(list(entry.advantages))
        record = clip(record)
        weight = len(dumps(record))
        found.append((record, weight))
        size += weight
        while size > max_bytes:
            size -= found.popleft()[1]
    return [record for record, _ in found], clipped


def thin(lines: list[Line]) -> list[Line]:
    """All evaluations, and every so many of the other lines where there are very many; the last one always."""
    step = math.ceil(len(lines) / MAX_LINES) if lines else 1
    last = len(lines) - 1
    return [line for i, line in enumerate(lines) if line.stage.startswith("eval:") or i % step == 0 or i == last]


def line_json(line: Line) -> dict[str, Any]:
    """A line of metrics as JSON values; `null` for NaN and infinities, which make gaps in a curve."""
    values = {name: value if math.isfinite(value) else None for name, value in line.values.items()}
    return {"step": line.step, "stage": line.stage, "values": values}


def read_data(html: str) -> Any:
    """The data inside a page that `page` made."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    if found is None:
        raise UsageError("the text is no report page: it has no data element")
    return json.loads(found.group(1))
