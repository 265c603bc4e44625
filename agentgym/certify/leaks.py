"""Does it keep its deadlines, does a closed one give everything back, and does anything grow over many episodes?"""

from __future__ import annotations

import gc
import os
import threading
import time
import tracemalloc
import weakref
from typing import Any

import numpy as np

from agentgym.certify.finding import Failed
from agentgym.certify.worker import Job
from agentgym.check.subject import Broken
from agentgym.types import Task

SAMPLES = 160
"""How often memory is looked at."""
WARM = 0.3
"""Share of the episodes that are not looked at: caches fill, arenas settle."""
FRESH = 10
"""Every so many episodes play in a copy of their own, which is closed."""
FLOORS = 8
"""Blocks of which the least values are compared."""


def counts() -> dict[str, float]:
    """Threads, descriptors and child processes of this process, as far as the system tells."""
    found: dict[str, float] = {"threads": float(threading.active_count())}
    if os.path.isdir("/proc/self/task"):
        found["threads"] = float(len(os.listdir("/proc/self/task")))
        found["descriptors"] = float(len(os.listdir("/proc/self/fd")) - 1)  # the listing has one of its own
        found["children"] = float(_children(os.getpid()))
    return found


def _children(pid: int) -> int:
    """Child processes and theirs, ended ones that nobody has waited for included."""
    found: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
            found.setdefault(parent, []).append(int(entry))
    todo, count = [pid], 0
    while todo:
        mine = found.get(todo.pop(), [])
        count, todo = count + len(mine), todo + mine
    return count


def memory() -> dict[str, float]:
    """Bytes that Python holds, and bytes that are resident."""
    gc.collect()
    found = {"traced": float(tracemalloc.get_traced_memory()[0])}
    # No `Path` here: its parts are interned, and what looks at memory may take none.
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm", "rb") as file:
            found["rss"] = float(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    return found


def slope(x: list[float], y: list[float]) -> float:
    """The Theil-Sen slope: the median of the slopes of all pairs, which a few jumps do not move.

    >>> slope([0, 1, 2, 3, 4], [0, 2, 400, 6, 8])
    2.0
    """
    a, b = np.asarray(x), np.asarray(y)
    i, j = np.triu_indices(len(a), 1)
    return float(np.median((b[j] - b[i]) / (a[j] - a[i])))


def growth(x: list[float], y: list[float]) -> float:
    """The growth that goes on: that of the whole, of its thirds or of its floor, whichever is least.

    A table that doubles is one large jump, which moves the slope of one third; a cache that fills and is emptied rises
    in every third, and comes back to its floor. A leak moves all of them.

    >>> jumps = [0.0] * 10 + [9e5] * 11
    >>> growth(list(range(21)), jumps), growth(list(range(21)), [float(2 * i) for i in range(21)])
    (0.0, 2.0)
    """
    third = len(x) // 3
    if third < 3:
        return slope(x, y)
    parts = [slope(x[i * third : (i + 1) * third], y[i * third : (i + 1) * third]) for i in range(3)]
    found = [slope(x, y), float(np.median(parts))]
    if (block := len(x) // FLOORS) >= 4:
        floors = [min(y[i * block : (i + 1) * block]) for i in range(FLOORS)]
        found.append(slope([x[i * block] for i in range(FLOORS)], floors))
    return min(found)


def deadlines(job: Job) -> tuple[str, dict[str, Any]]:
    """Making, resetting, stepping and closing end in time; the parent kills what does not."""
    settings, subject = job.settings, job.subject
    longest: dict[str, float] = dict.fromkeys(("make", "reset", "step", "close"), 0.0)

    def timed(name: str, what: str, limit: float, call: Any) -> Any:
        job.at(f"{name}: {what}", limit)
        begin = time.perf_counter()
        value = call()
        seconds = time.perf_counter() - begin
        longest[name] = max(longest[name], seconds)
        if seconds > limit:
            raise Broken(f"{name}: {what} took {seconds:.1f} s, more than {limit:g}")
        return value

    played = 0
    for number in range(3 if settings.quick else 10):
        task = subject.tasks[number % len(subject.tasks)]
        env = timed("make", "the environment", settings.reset_deadline, subject.make)
        try:
            actions = subject.walk(env, task, number, subject.most).actions if number else ()
            observation = timed("reset", f"task {task.id!r}", settings.reset_deadline, lambda: _reset(env, task))  # noqa: B023
            for turn, action in enumerate(actions or ("", "look", *(observation.actions or ())[:1])):
                step = timed(
                    "step",
                    f"task {task.id!r}, turn {turn}",
                    settings.step_deadline,
                    lambda: env.step(action),  # noqa: B023
                )
                if step.terminated or step.truncated:
                    break
        finally:
            timed("close", f"after task {task.id!r}", settings.close_deadline, env.close)
        played += 1
        if job.over:
            break
    figures = {"episodes": played, **{f"{name}_ms": round(1000 * s, 3) for name, s in longest.items()}}
    shown = ", ".join(f"{name} {1000 * s:.1f} ms" for name, s in longest.items())
    return f"{played} copies; the longest: {shown}", figures


def _reset(env: Any, task: Task) -> Any:
    return env.reset(seed=0, options={"task": task})[0]


def freed(job: Job) -> tuple[str, dict[str, Any]]:
    """Once closed and let go, nothing of a copy is left: no thread, no descriptor, no child, no object."""
    subject = job.subject

    def play(seed: int) -> weakref.ref[Any]:
        with subject.env() as env:
            job.at("an episode", job.settings.reset_deadline + job.settings.step_deadline)
            subject.walk(env, subject.tasks[0], seed, subject.most)
            job.at("close: after an episode", job.settings.close_deadline)
            return weakref.ref(env)

    play(0)  # What a module keeps for all its environments is there from now on.
    before = _settled(counts(), {})
    for seed in (0, 1, 2):
        kept = play(seed)
        gc.collect()
        if kept() is not None:
            holders = sorted({type(r).__name__ for r in gc.get_referrers(kept()) if type(r).__name__ != "frame"})
            raise Broken(f"a closed environment is kept alive by {', '.join(holders[:3]) or 'something'}")
        left = _settled(counts(), before)
        more = {name: left[name] - before[name] for name in before if left[name] > before[name]}
        if more:
            shown = ", ".join(f"{count:.0f} {name}" for name, count in more.items())
            raise Failed(f"a closed environment leaves {shown} behind", more)
    return "closed three times; nothing is left", dict(before)


def _settled(now: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """What is ending has a second to end."""
    for _ in range(20):
        if before and all(now[name] <= before[name] for name in before):
            break
        if not before and now["threads"] <= 1 and not now.get("children"):
            break
        time.sleep(0.05)
        now = counts()
    return now


def leaks(job: Job) -> tuple[str, dict[str, Any]]:
    """Memory, threads, descriptors and children do not grow, episode by episode."""
    settings, subject = job.settings, job.subject
    tracemalloc.start()
    env, every, played = subject.make(), max(1, settings.episodes // (SAMPLES // 4 if settings.quick else SAMPLES)), 0
    new = max(1, int(min(settings.episodes, settings.enough) * WARM))
    names = ("played", *memory(), *counts())
    # All of its room at once: what is looked with may not grow itself.
    table, rows = np.zeros((settings.episodes // every + 1, len(names))), 0
    try:
        for played in range(1, settings.episodes + 1):
            job.at(f"episode {played} of {settings.episodes}", settings.reset_deadline + settings.step_deadline)
            # What was played in the warm-up is played again and again: a cache by content is full, a leak goes on.
            seed = 1 + (played - 1) % new
            task = subject.tasks[seed % len(subject.tasks)]
            if played % FRESH == 0:
                with subject.env() as fresh:
                    subject.walk(fresh, task, seed, subject.most)
            else:
                subject.walk(env, task, seed, subject.most)
            if played % every == 0:
                table[rows] = (played, *memory().values(), *counts().values())
                rows += 1
                job.progress(played, settings.episodes)
                if time.monotonic() - job.begin > settings.leak_seconds and played >= settings.enough:
                    break
    finally:
        env.close()
        tracemalloc.stop()
    kept = table[min(int(rows * WARM), max(0, rows - 5)) : rows]
    if len(kept) < 2:
        raise Broken(f"{played} episodes are too few to see a slope; ask for more")
    slopes = {name: growth(kept[:, 0].tolist(), kept[:, i].tolist()) for i, name in enumerate(names) if i}
    limits = {"traced": settings.traced_slope, "rss": settings.rss_slope}
    limit_of = {name: limits.get(name, settings.count_slope) for name in slopes}
    shown = ", ".join(f"{name} {value:+.3g} ({limit_of[name]:g})" for name, value in slopes.items())
    figures: dict[str, Any] = {
        "episodes": played, "different": new, "slopes": {n: round(v, 4) for n, v in slopes.items()}, "limits": limit_of,
        "last": dict(zip(names, table[rows - 1].tolist(), strict=True)),
    }  # fmt: skip
    worse = [name for name, value in slopes.items() if value > limit_of[name]]
    if worse:
        name = worse[-1]  # A thread that stays takes memory too: it is named, not what it costs.
        raise Failed(
            f"{name} grows by {slopes[name]:.3g} an episode, more than {limit_of[name]:g}, over {played} episodes "
            f"(growth and limit: {shown})",
            figures,
        )
    asked = "" if played == settings.episodes else f" of {settings.episodes} (time was up)"
    return f"{played}{asked} episodes; growth an episode and its limit: {shown}", figures
