"""How long a large run takes to open in `agentgym view`, and what the index beside its log costs and saves.

Trajectories of a scripted policy are played once and written again under new names until the run has as many as asked.
Each opening is a process of its own: from its start to the first rows that come over HTTP.

    python benchmarks/view.py --episodes 100000
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from agentgym import registry
from agentgym.log_index import index_path
from agentgym.rollout import attempts, collect
from agentgym.store import RunFolder
from agentgym.types import Trajectory

ENV = "keydoor-v0"
MEMORY = re.compile(r"VmHWM:\s+(\d+) kB")


def played(count: int) -> list[Trajectory]:
    """Trajectories of the noisy oracle."""
    policy = registry.load("policies", "noisy-oracle")(epsilon=0.3)
    tasks = list(registry.tasks(ENV, "train")[: count // 8])
    return collect(attempts(tasks, 8, 0), env=ENV, policy=policy, schedule="ordered")


def write(run: RunFolder, source: list[Trajectory], episodes: int) -> float:
    """Fill a run; gives seconds of a core for each append."""
    began = time.process_time()
    for n in range(episodes):
        one = source[n % len(source)]
        lap = n // len(source)
        group = f"{lap}:{one.task_id}"
        one = dataclasses.replace(one, id=f"{group}#{one.attempt}", group=group)
        credit = [0.01 * ((n + t) % 7 - 3) for t in range(len(one.turns))]
        run.trajectories.append(one, phase="train", iteration=n // 64, advantages=credit)
    return (time.process_time() - began) / episodes


def cpu(process: int) -> float:
    """Seconds of a core that a process has had: what opening takes on an idle machine."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def opened(path: Path) -> dict[str, float]:
    """Seconds to the first rows and until all are there, of two questions, and peak memory of a fresh process."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        token.write_text("benchmark-token-0123456789")
        command = [sys.executable, "-m", "agentgym.cli", "view", str(path), "--token-file", str(token)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        try:
            address = process.stdout.readline().split("/#")[0]
            headers = {"Authorization": "Bearer benchmark-token-0123456789"}
            with httpx.Client(base_url=address, headers=headers, timeout=120) as client:
                while not (first := client.get("/api/runs/0/rows").raise_for_status().json())["rows"]:
                    time.sleep(0.01)
                found = {"first rows": time.perf_counter() - began, "rows then": float(first["total"])}
                found["CPU"] = cpu(process.pid)
                while client.get("/api/runs").raise_for_status().json()["runs"][0].get("indexing"):
                    time.sleep(0.02)
                found["all rows"] = time.perf_counter() - began
                total = client.get("/api/runs/0/rows").raise_for_status().json()["total"]
                for name, query in (
                    ("sort", "sort=score&desc=1"),
                    ("filter", "q=3-2&ending=success&low=0.5&sort=credit_min"),
                    ("last page", f"sort=id&offset={max(0, total - 100)}&limit=100"),
                ):
                    start = time.perf_counter()
                    client.get(f"/api/runs/0/rows?{query}").raise_for_status()
                    found[name] = time.perf_counter() - start
                start = time.perf_counter()
                client.get(f"/api/runs/0/trajectories/{total // 2}").raise_for_status()
                found["one"] = time.perf_counter() - start
                status = Path(f"/proc/{process.pid}/status").read_text()
                memory = MEMORY.search(status)
                found["MB"] = int(memory[1]) / 1000 if memory else float("nan")
        finally:
            process.terminate()
            process.wait(timeout=30)
            process.stdout.close()
    return found


class Unindexed:
    """Stands for no index: what an append costs without one."""

    def open(self, size: int) -> None: ...
    def add(self, *_: object) -> None: ...
    def close(self) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="folder to leave the run in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = given.keep or Path(folder)
        source = played(512)
        with RunFolder.create("bare", root, "seed = 0\n") as run:
            vars(run.trajectories)["_index"] = Unindexed()
            bare = write(run, source, min(given.episodes, 10_000))
        name = "large"
        with RunFolder.create(name, root, f'seed = 0\n[env]\nid = "{ENV}"\n') as run:
            cost = write(run, source, given.episodes)
        log = root / name / "trajectories.jsonl"
        size, index = log.stat().st_size, index_path(log).stat().st_size
        print(
            f"{given.episodes:,} episodes, {size / 1e6:.0f} MB of log, {size / given.episodes / 1e3:.1f} kB each; "
            f"index {index / 1e6:.1f} MB; {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}"
        )
        print(f"append: {1e6 * bare:.0f} us without the index, {1e6 * cost:.0f} us with it")
        rows = {"with the index": opened(root / name)}
        index_path(log).unlink()
        rows["without, first time"] = opened(root / name)
        rows["without, second time"] = opened(root / name)
    names = ("first rows", "CPU", "rows then", "all rows", "sort", "filter", "last page", "one", "MB")
    print("seconds; CPU is until the first rows")
    print("".join(("opened".ljust(22), *(n.rjust(11) for n in names))))
    for title, found in rows.items():
        cells = [f"{found[n]:.0f}" if n in ("MB", "rows then") else f"{found[n]:.3f}" for n in names]
        print("".join((title.ljust(22), *(c.rjust(11) for c in cells))))


if __name__ == "__main__":
    main()
