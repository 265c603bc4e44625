"""The same episodes in processes that differ in hash seed, time zone, locale and working folder.

On one machine a set has one order; on the next it has another, and so has the game that was made from it.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from agentgym.certify import child
from agentgym.certify.finding import Finding
from agentgym.certify.naming import has_relative_path
from agentgym.check.replay import differ, path_of
from agentgym.check.subject import Point

Tell = Callable[[dict[str, Any]], None]
POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale without Unicode: what is read or written without saying how is not what it was."""


def variants(quick: bool) -> dict[str, dict[str, str]]:
    """Environment variables of each process, by what makes it another one; the first is what others are held to."""
    drawn = str(random.SystemRandom().randrange(2, 1 << 32))
    found = {
        "hash seed 0, UTC": {"PYTHONHASHSEED": "0", "TZ": "UTC0", "LC_ALL": "C.UTF-8"},
        "hash seed 1, another time zone": {"PYTHONHASHSEED": "1", "TZ": "XXX-5:45", "LC_ALL": "C.UTF-8"},
        f"hash seed {drawn}, locale C": {"PYTHONHASHSEED": drawn, "TZ": "YYY+9", **POSIX},
        "hash seed random, episodes in the opposite order": {"PYTHONHASHSEED": "random", "TZ": "UTC0"},
    }
    return dict(list(found.items())[:3]) if quick else found


def processes(request: Mapping[str, Any], tell: Tell) -> Finding:
    """Play the same in every variant and compare; a difference is shown where it begins."""
    begin, settings = time.perf_counter(), request["settings"]
    first: dict[int, dict[str, Any]] = {}
    names = variants(settings["quick"])
    base = next(iter(names))
    with tempfile.TemporaryDirectory() as elsewhere:
        stay = has_relative_path(request["options"])

        def ask(name: str, **args: Any) -> child.Played:
            if "opposite" in name:
                args["reverse"] = True
            cwd = None if name == base or stay else elsewhere
            asked = {**request, "stage": "processes", "args": args}
            return child.run(asked, settings["stage_deadline"], names[name], cwd, tell)

        def finding(ok: bool, detail: str, **figures: Any) -> Finding:
            return Finding("processes", ok, detail, time.perf_counter() - begin, figures)

        for name in names:
            played = ask(name)
            if played.problem:
                return finding(False, f"in the process with {name}: {played.problem}")
            found = {m["episode"]: m for m in played.messages if "episode" in m}
            if name == base:
                first = found
            for episode, message in first.items():
                if found[episode]["digest"] != message["digest"]:
                    one, two = (_points(ask(which, show=episode)) for which in (base, name))
                    how = _difference(one, two) or "not when it is played as the only one"
                    return finding(
                        False, f"task {message['task']!r}, seed {episode}: with {base} and with {name}, {how}"
                    )
    steps = sum(m["steps"] for m in first.values())
    where = "one working folder (an option names a path in it)" if stay else "two working folders"
    detail = f"{len(first)} episodes, {steps} steps, the same in {len(names)} processes: {'; '.join(names)}; {where}"
    return finding(True, detail, processes=len(names), episodes=len(first), steps=steps)


def _points(played: child.Played) -> tuple[list[Point], list[str], str]:
    for message in played.messages:
        if "points" in message:
            return [_point(p) for p in message["points"]], list(message["actions"]), str(message["data"])
    return [], [], ""


def _point(values: list[Any]) -> Point:
    text, role, actions, *rest = values
    return Point(text, role, None if actions is None else tuple(actions), *rest)


def _difference(one: tuple[list[Point], list[str], str], two: tuple[list[Point], list[str], str]) -> str | None:
    if one[2] != two[2]:
        return "the task itself is another one"
    wrong = differ(one[0], two[0])
    if wrong:
        return f"{wrong}{path_of(one[1])}"
    keys = [turn for turn, (a, b) in enumerate(zip(one[0], two[0], strict=False)) if a.key != b.key]
    return f"after {keys[0]} actions the state keys differ{path_of(one[1])}" if keys else None
