"""How much of what can go wrong is survived, counted. Prints one table.

Killed runs, full disks, torn logs, damaged checkpoints, jumping clocks, environments that break in every way, and model
servers in trouble: the checks of `tests/faults`, with the whole numbers.

    python benchmarks/faults.py             # about six minutes on one core
    python benchmarks/faults.py --quick     # a sample, about two
    python benchmarks/faults.py kill envs   # only some
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "faults"))

import faults_clock
import faults_disk
import faults_envs
import faults_kill
import faults_policy
from faults_run import ForkServer, Tally

Check = Callable[[], Tally]


@contextmanager
def small_disk(server: ForkServer, path: Path) -> Iterator[bool]:
    """The server's runs on a small disk in memory, where one can be mounted."""
    if not faults_disk.mounted(path):
        yield False
        return
    root, server.root = server.root, path
    try:
        yield True
    finally:
        server.root = root
        subprocess.run(["umount", str(path)], check=True)


def disks(server: ForkServer, work: Path, quick: bool) -> list[Check]:
    """Files and disks that are full."""
    step = 8 if quick else 1

    def on_disk(check: Callable[[ForkServer], Tally], what: str) -> Tally:
        with small_disk(server, work / "disk") as there:
            return check(server) if there else Tally(what, note="not run: no disk can be mounted here")

    return [
        lambda: faults_disk.limited_files(server, range(900, 360_000, 6_000 * step)),
        lambda: on_disk(lambda s: faults_disk.full_disk(s, range(8_192, 1_900_000, 16_384 * step)), "full disk"),
        lambda: on_disk(lambda s: faults_disk.full_later(s, range(8_192, 560_000, 24_576 * step)), "full disk later"),
    ]


def logs(server: ForkServer, work: Path, quick: bool) -> list[Check]:
    """Logs that are torn."""
    whole, every = server.root / "whole", 9 if quick else 1
    size = (whole / "trajectories.jsonl").stat().st_size
    cuts = [("trajectories.jsonl", n) for n in range(1, size // 3, 997 * every)]
    cuts += [("metrics.jsonl", n) for n in range(1, 1500, 60 * every)]
    return [
        lambda: faults_disk.torn_trajectories(whole, work, every=every),
        lambda: faults_disk.torn_metrics(whole, work, every=every),
        lambda: faults_disk.torn_runs(server, cuts),
    ]


def checkpoints(server: ForkServer, work: Path, quick: bool) -> list[Check]:
    """Checkpoints that are not what was written."""
    parts = [0.5] if quick else [n / 10 for n in range(10)]
    places = [(name, part) for name in faults_disk.FILES for part in parts]
    return [
        lambda: faults_disk.flipped_bytes(work / "flipped", every=4 if quick else 1),
        lambda: faults_disk.flipped_runs(server, places),
    ]


def main() -> None:
    """Count, and print the table."""
    names = ("kill", "disk", "logs", "checkpoints", "clock", "envs", "servers")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", metavar="|".join(names), help="which checks; all if none is named")
    parser.add_argument("--quick", action="store_true", help="a sample of each")
    args = parser.parse_args()
    if unknown := set(args.only) - set(names):
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    logging.getLogger("agentgym.rollout").setLevel(logging.ERROR)
    wanted, quick = args.only or names, args.quick
    with tempfile.TemporaryDirectory() as folder, ForkServer(Path(folder) / "runs") as server:
        work = Path(folder)
        if {"kill", "disk", "logs", "checkpoints", "clock"} & set(wanted):
            server.warm()
        checks: dict[str, list[Check]] = {
            "kill": [
                lambda: faults_kill.killed(server, 14 if quick else 100),
                lambda: faults_kill.killed_again(server, 4 if quick else 30),
            ],
            "clock": [
                lambda: faults_clock.jumped_runs(server),
                lambda: faults_clock.jumped_episodes(work, pytest.MonkeyPatch()),
            ],
            "envs": [lambda: faults_envs.tenth_broken(300 if quick else 2000, work)],
            "servers": [
                faults_policy.passing,
                faults_policy.lasting,
                lambda: faults_policy.stormy(40 if quick else 600),
            ],
        }
        for name, make in (("disk", disks), ("logs", logs), ("checkpoints", checkpoints)):
            checks[name] = make(server, work, quick) if name in wanted else []
        print("| fault | survived | of | seconds | |\n| --- | --- | --- | --- | --- |", flush=True)
        lost: list[str] = []
        for check in (check for name in names if name in wanted for check in checks[name]):
            began = time.monotonic()
            tally = check()
            seconds, fine = time.monotonic() - began, tally.tried - len(tally.failed)
            print(f"| {tally.what} | {fine:,} | {tally.tried:,} | {seconds:.0f} | {tally.note} |", flush=True)
            lost += [f"{tally.what}: {trouble}" for trouble in tally.failed]
    for line in lost:
        print(f"NOT SURVIVED: {line}")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
