"""Runs for the tests of the page: real trajectories of a scripted policy, credit of a real module, in seconds.

`python page_cases.py FOLDER COUNT` is a process that appends to a run while a test looks on.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from agentgym import registry
from agentgym.credit import Pipeline, TurnTable
from agentgym.limits import Limits
from agentgym.rollout import attempts, collect
from agentgym.store import RunFolder
from agentgym.track import Tracker
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn
from agentgym_policies.scripted import NoisyOracle

CONFIG = (
    'name = "cases"\nseed = {seed}\n[env]\nid = "keydoor-v0"\noptions = {{ rooms = 4 }}\n[[credit]]\nuse = "rloo"\n'
)

# What a model or an environment could say to a page. `window.hacked` would be set by whatever ran.
HOSTILE = (
    "</script><script>window.hacked=1;alert(1)</script><img src=x onerror='window.hacked=1'>"
    "<svg/onload=window.hacked=1><iframe src='http://127.0.0.1:9/x'></iframe><a href='javascript:window.hacked=1'>x</a>"
    "<style>*{display:none}</style>{{7*7}} ${window.hacked=1} \u202edcba\u202c \u2066x\u2069 \x1b[2J\x1b[31mred "
    "\0 \x07 \ud800 \u2028 <!-- ]]> &lt;"
)


def played(seed: int, iteration: int, tasks: int = 3, group: int = 4) -> list[Trajectory]:
    """Attempts of one iteration; better ones in later iterations."""
    todo = registry.tasks("keydoor-v0", "train", rooms=4)[:tasks]
    policy = NoisyOracle(max(0.15, 0.9 - 0.15 * iteration))
    with ThreadPoolExecutor(1) as aside:  # The main thread of a test has the browser's event loop.
        return aside.submit(
            collect,
            attempts(todo, group, seed + iteration, prefix=f"{iteration}."),
            env="keydoor-v0",
            policy=policy,
            limits=Limits(turns=10),
        ).result()


def advantages(found: list[Trajectory]) -> list[list[float]]:
    """Credit of every turn, by trajectory."""
    table = Pipeline.from_config([{"use": "rloo"}])(TurnTable.from_trajectories(found))
    by: list[list[float]] = [[] for _ in found]
    for row in np.lexsort((table["turn"], table["trajectory"])):
        by[int(table["trajectory"][row])].append(float(table["advantage"][row]))
    return by


def write(run: RunFolder, seed: int, iteration: int) -> list[Trajectory]:
    """One iteration into the log."""
    found = played(seed, iteration)
    for trajectory, credit in zip(found, advantages(found), strict=True):
        run.trajectories.append(trajectory, phase="train", iteration=iteration, advantages=credit)
    return found


def make_run(root: Path, name: str, seed: int = 0, iterations: int = 4) -> Path:
    """A run that has ended."""
    with RunFolder.create(name, root, CONFIG.format(seed=seed)) as run:
        tracker = Tracker(run.path, tensorboard=False)
        for iteration in range(iterations):
            found = write(run, seed, iteration)
            share = float(np.mean([t.success for t in found]))
            tracker.log(
                iteration + 1, {"train/success": share, "learn/loss": 1 / (iteration + 1)}, f"train:{iteration}"
            )
            values = {"eval/success": share, "eval/success_low": share / 2, "eval/success_high": (1 + share) / 2}
            tracker.log(iteration + 1, values, f"eval:iteration-{iteration + 1}")
        for trajectory in played(seed + 90, 3, tasks=4, group=1):
            run.trajectories.append(trajectory, phase="eval:trained")
        tracker.close()
        return run.path


def odd(name: str, text: str, turns: int = 2) -> Trajectory:
    """A trajectory made of one text."""
    seen = Observation(text, state=text, actions=(text, "go"))
    turn = Turn(seen, Completion(text), text, 1.0, {text: 1.0}, {"fault": text, text: text})
    return Trajectory(name, "keydoor-v0", text, text, 0, 0, (turn,) * turns, Ending.FAILURE, seen, 1.0, error=text)


def hostile_run(root: Path) -> Path:
    """A run in which everything that can be text is hostile, and some of it is huge."""
    with RunFolder.create(
        "hostile", root, "# " + HOSTILE.encode("ascii", "replace").decode() + '\nname = "x"\n'
    ) as run:
        tracker = Tracker(run.path, tensorboard=False)
        tracker.log(1, {f"eval/{HOSTILE}": 1.0, "train/success": float("nan")}, stage=f"eval:{HOSTILE}")
        tracker.close()
        for attempt in range(3):
            run.trajectories.append(odd(f"{attempt} {HOSTILE}", HOSTILE), phase=HOSTILE[:200], iteration=attempt)
        run.trajectories.append(
            odd("huge", "x" * 300_000 + HOSTILE), phase="train", iteration=0, advantages=[1.0, -1e300]
        )
        run.trajectories.append(odd("zalgo", "a" + "\u0315\u0489" * 5000), phase="train", iteration=0)
        run.trajectories.append(odd("empty", ""), phase="train", iteration=0)
        run.trajectories.append(odd("none", "no turns", turns=0), phase="train", iteration=0)
        return run.path


def many(root: Path, count: int) -> Path:
    """A run of very many attempts: one attempt with many names."""
    with RunFolder.create("many", root, CONFIG.format(seed=0)) as run:
        found = write(run, 0, 0)
        log = run.trajectories.path
    one = found[-1].id
    with RunFolder(root / "many", write=True) as run:
        for i in range(count - len(found)):
            run.trajectories.append(replace(found[-1], id=f"{one}-{i}"), phase="train", iteration=i // 64)
    return log.parent


if __name__ == "__main__":
    with RunFolder(sys.argv[1], write=True) as writing:
        for more in range(int(sys.argv[2])):
            write(writing, 50, 10 + more)
            print(more, flush=True)
            time.sleep(0.2)
        sys.stdin.read()  # Holds the lock until the test lets go.
