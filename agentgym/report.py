"""`agentgym report`: the page that `agentgym view` serves, as one file that holds everything and loads nothing.

What does not fit is left out, and the page says so. Everything from models and environments is data in it, never
markup: JSON with every `<` escaped, shown as text, under a content policy that lets no script run but the page's own.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from agentgym.errors import AgentgymError, StoreError, UsageError
from agentgym.records import dumps
from agentgym.store import RunFolder
from agentgym.view import pages
from agentgym.view.curves import curves
from agentgym.view.data import RunData
from agentgym.view.rows import Kinds, row

MAX_TRAJECTORIES = 400
"""Of all runs together."""
MAX_DEMOS = 40
MAX_BYTES = 24_000_000
"""Of all embedded trajectories."""
MAX_CREDIT = 6_000_000
"""Bytes of credit by every module."""
MAX_GROUPS = 5_000_000
"""Bytes of groups aligned at their states."""
MAX_TOKENS = 3_000_000
"""Bytes of tokens with their log-probabilities."""
TASKS_SECONDS = 1.0
"""For asking the environment what its tasks are."""
K = TypeVar("K")
SURROGATES = re.compile("[\ud800-\udfff]")


def write_report(
    run: RunFolder | Sequence[RunFolder], path: str | Path | None = None, limit: int = MAX_TRAJECTORIES
) -> Path:
    """Write the page of a run, or of several; works at any moment of them, and for empty ones.

    Args:
        run: the folder, or folders.
        path: where to write; `report.html` in the folder by default, and beside the folders where there are several.
        limit: most trajectories to embed: evaluations first, then a few demonstrations, then the latest training.

    Returns:
        The page's path.

    Raises:
        UsageError: the limit is negative, or there are no runs.
        StoreError: the installation lacks the page, or the disk refused.
    """
    folders = [run] if isinstance(run, RunFolder) else list(run)
    if limit < 0:
        raise UsageError(f"the limit of trajectories must be at least 0, not {limit}")
    if not folders:
        raise UsageError("a report needs at least one run")
    first = folders[0]
    usual = first.report if len(folders) == 1 else first.path.resolve().parent / "report.html"
    target = Path(path) if path is not None else usual
    text = pages.whole(collect([RunData(folder.path, n) for n, folder in enumerate(folders)], limit))
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f".{target.name}.*"):
            if not alive(stale.suffix[1:]):  # Its writer was killed in the middle of it.
                stale.unlink(missing_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StoreError(f"the report {target} could not be written: {error}") from error
    return target


def alive(pid: str) -> bool:
    """Whether there is a process of that id; for what is no id it is not known, and so there may be."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True


def collect(runs: Sequence[RunData], limit: int = MAX_TRAJECTORIES) -> dict[str, Any]:
    """What the page shows, bounded, and in words what was left out."""
    data: dict[str, Any] = {name: {} for name in ("metrics", "rows", "trajectories", "credit", "tokens", "groups")}
    shown = total = 0
    left = {"credit": 0, "groups": 0, "tokens": 0}
    clipped = 0
    for run in runs:
        run.refresh(seconds=1e9)
        run.parts.list_tasks(TASKS_SECONDS)
        key, share = str(run.n), len(runs)
        picked, there = choose(_phases(run), limit // share)
        total += there
        records = fit(picked, lambda n, run=run: _trajectory(run, n), MAX_BYTES // share)
        numbers = list(records)
        kinds = Kinds(run.index.kind.names)
        data["metrics"][key] = run.metrics()["lines"]
        data["rows"][key] = [row(run.index, n, kinds, run.type_of) for n in numbers]
        data["trajectories"][key] = records
        credit = fit(numbers, run.credit, MAX_CREDIT // share)
        groups = fit(_groups(run, numbers), lambda g, run=run: run.groups(*g), MAX_GROUPS // share)
        tokens = fit(numbers, lambda n, run=run: _tokens(run, n), MAX_TOKENS // share)
        data["credit"][key] = credit
        data["groups"][key] = {_key(group): graph for group, graph in groups.items()}
        data["tokens"][key] = {n: {"logprob": own} for n, own in tokens.items()}
        shown += len(numbers)
        clipped += sum(one["clipped"] > 0 for one in records.values())
        left["credit"] += len(numbers) - len(credit)
        left["tokens"] += len(numbers) - len(tokens)
        left["groups"] += len(_groups(run, numbers)) - len(groups)
    return {
        "runs": {"runs": [run.about() for run in runs], "version": 1},
        "curves": curves(runs),
        **data,
        "limits": limits(shown, total, clipped, left),
    }


def limits(shown: int, total: int, clipped: int, left: dict[str, int]) -> str:
    """What the page leaves out, in words; empty where that is nothing."""
    said: list[str] = []
    if shown < total:
        said.append(f"{shown:,} of {total:,} trajectories are in this file: evaluations, and the latest training.")
    if clipped:
        said.append(f"Long texts of {clipped:,} of them are clipped.")
    missing = [f"the {name} of {count:,}" for name, count in left.items() if count and name != "groups"]
    missing += [f"{left['groups']:,} groups"] if left["groups"] else []
    if missing:
        said.append(f"Left out: {', '.join(missing)}.")
    return " ".join([*said, "agentgym view shows everything."]) if said else ""


def choose(phases: Iterable[str], limit: int) -> tuple[list[int], int]:
    """At most `limit` rows, in the order of the log, and how many there are in all.

    >>> choose(["eval:a", "train", "train", "train"], 2)
    ([0, 3], 4)
    """
    evals: dict[str, list[int]] = {}
    demos: list[int] = []
    latest: deque[int] = deque(maxlen=limit)
    total = 0
    for place, phase in enumerate(phases):
        total += 1
        if phase == "train":
            latest.append(place)
        elif phase == "demo":
            if len(demos) < MAX_DEMOS:
                demos.append(place)
        elif len(kept := evals.setdefault(phase, [])) < limit:
            kept.append(place)  # The same tasks lead every evaluation: its first ones can be compared.
    if total <= limit:
        return list(range(total)), total
    share = limit // max(1, len(evals)) if not latest else limit * 3 // 4 // max(1, len(evals))
    picked = [place for kept in evals.values() for place in kept[:share]][:limit]
    picked += demos[: max(0, limit - len(picked))]
    room = limit - len(picked)
    picked += list(latest)[-room:] if room > 0 else []
    return sorted(picked), total


def fit(keys: Iterable[K], make: Callable[[K], Any], max_bytes: int) -> dict[K, Any]:
    """What `make` gives for the last keys, as many as fit `max_bytes` of JSON; what it cannot give is left out."""
    found: dict[K, Any] = {}
    size = 0
    for key in reversed(list(keys)):
        try:
            value = make(key)
        except (AgentgymError, OSError):
            continue
        size += len(dumps(value))
        if size > max_bytes:
            break
        found[key] = value
    return dict(reversed(found.items()))


def read_data(html: str) -> Any:
    """The data inside a page that `write_report` made.

    Raises:
        UsageError: the text is no such page.
    """
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    if found is None:
        raise UsageError("the text is no report page: it has no data element")
    return json.loads(found.group(1))


def _phases(run: RunData) -> list[str]:
    kinds = Kinds(run.index.kind.names)
    return [kinds.phase[code] for code in run.index.kind.codes.values.tolist()]


def _trajectory(run: RunData, n: int) -> dict[str, Any]:
    return run.trajectory(n)


def _tokens(run: RunData, n: int) -> dict[str, Any]:
    if not (run.folder.model / "tokenizer.json").is_file():
        raise UsageError("without the tokenizer in the run's folder, numbers would have no words")
    return run.tokens(n, "logprob")


def _groups(run: RunData, numbers: Sequence[int]) -> list[tuple[str, str, int | None]]:
    """Groups of several attempts, of which at least one is shown, in the order of the log."""
    counts: dict[tuple[str, str, int | None], int] = {}
    for n in numbers:
        key = (run.index.group.of(n), *run.parts.phase(n))
        counts[key] = counts.get(key, 0) + 1
    return [key for key, count in counts.items() if count > 1]


def _key(group: tuple[str, str, int | None]) -> str:
    """As the page's own `JSON.stringify` writes it."""
    text = json.dumps(list(group), ensure_ascii=False, separators=(",", ":"))
    return SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
