"""Runs that are killed, once and again and in the middle of everything, and continued."""

from __future__ import annotations

import shutil
from collections import Counter

from faults_run import ForkServer, Tally, moment, points


def killed(server: ForkServer, count: int, seed: int = 0) -> Tally:
    """SIGKILL at `count` points of a run, then `agentgym resume`: the same bits as without."""
    tally, where = Tally("SIGKILL, then resumed to the same bits"), Counter[str]()
    for number, point in enumerate(points(server.changes, 2 * count, seed)):
        if tally.tried == count:
            break
        name = f"killed-{number}"
        ended = server.train(name, kill=point)
        if ended.code == 0 and point["after"]:  # It was over before the timer rang.
            shutil.rmtree(server.root / name)
            continue
        where[moment(server.root / name)] += 1
        trouble = "" if ended.code == -9 else f"ended with {ended.code}, not killed: {ended.said[-300:]}"
        trouble = trouble or server.finished(name)
        tally.add(f"{point}: {trouble}" if trouble else "")
    tally.note = ", ".join(f"{n} {w}" for w, n in where.most_common())
    return tally


def killed_again(server: ForkServer, count: int, seed: int = 1) -> Tally:
    """SIGKILL, resumed and killed there, resumed and killed there again, then resumed: still the same bits."""
    tally, kills = Tally("SIGKILL twice more while it was resumed"), 0
    for number, point in enumerate(points(server.changes, count, seed)):
        name = f"again-{number}"
        server.train(name, kill=point)
        for more in points(server.changes, 2, 1000 * seed + number):
            # A resumed run makes the same changes but for those that are done: nearly any point is one of its own.
            ended = server.resume(name, kill={**more, "event": more["event"] // 2})
            kills += ended.code == -9
            if ended.code not in (-9, 0):
                tally.failed.append(f"{point}: resume ended with {ended.code}: {ended.said[-300:]}")
        trouble = server.finished(name)
        tally.add(f"{point}: {trouble}" if trouble else "")
    tally.note = f"{kills} kills of resumed runs"
    return tally
