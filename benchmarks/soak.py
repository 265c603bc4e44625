"""10,000 episodes across four environments at once: are memory, descriptors, threads and processes flat?

One rollout of the real engine plays all four, two in this process and two in worker processes; what is looked at is
this process and all below it. Prints one table, then a line a quantity with its growth an episode (Theil-Sen, after a
warm-up) and its limit. Exits with 1 if something grows.

    python benchmarks/soak.py
    python benchmarks/soak.py --episodes 400
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from agentgym import registry
from agentgym.certify.leaks import WARM, counts, growth
from agentgym.host import HostPool
from agentgym.limits import Limits
from agentgym.policy import Policy
from agentgym.rollout import Attempt, rollout
from agentgym.seeding import derive
from agentgym.types import Task

ENVS = {"keydoor-v0": "inline", "tools-stateful-v0": "inline", "search-world-v0": "process", "alfworld-v0": "process"}
TASKS = 16
"""Tasks of each, in turn: what a task makes once (a world, an index) is made in the warm-up."""
LIMITS = {"rss": 4096.0, "threads": 0.002, "descriptors": 0.002, "children": 0.002}
"""Most growth an episode over 10,000; over fewer, more of it is noise."""


class Host:
    """One slot's environments, one of each kind that it has met."""

    def __init__(self, hosts: Mixed, alone: bool) -> None:
        self._hosts, self._alone = hosts, alone
        self.inner: dict[str, Any] = {}
        self.at = ""

    async def reset(self, task: Task, seed: int) -> Any:
        self.at = self._hosts.env_of[task.id]
        if self.at not in self.inner:
            self.inner[self.at] = await self._hosts.pools[self.at].acquire(self._alone)
        return await self.inner[self.at].reset(task, seed)

    def __getattr__(self, name: str) -> Any:
        """`step`, `oracle`, ... of the environment that is played."""
        return getattr(self.inner[self.at], name)

    def close(self) -> None:
        for host in self.inner.values():
            host.close()


class Mixed:
    """Hosts of several environments behind one pool: which one it is the task says."""

    size = None

    def __init__(self, tasks: dict[str, list[Task]]) -> None:
        self.env_of = {task.id: env for env, mine in tasks.items() for task in mine}
        self.pools = {env: HostPool(env, kind=kind, processes=2) for env, kind in ENVS.items()}

    async def acquire(self, alone: bool = False) -> Host:
        return Host(self, alone)

    def release(self, host: Host, broken: bool = False) -> None:
        for env, inner in host.inner.items():
            self.pools[env].release(inner, broken and env == host.at)

    def close(self) -> None:
        for pool in self.pools.values():
            pool.close()


def attempts(tasks: dict[str, list[Task]], episodes: int) -> Iterator[Attempt]:
    """The environments in turn; every episode under another seed."""
    envs = list(tasks)
    for number in range(episodes):
        mine = tasks[envs[number % len(envs)]]
        task, seed = mine[number // len(envs) % len(mine)], derive(0, "soak", number)
        yield Attempt(f"{number}", task, f"{number}", 0, seed, seed)


def tree() -> dict[str, float]:
    """Resident bytes of this process and all below it; its threads, descriptors and children."""
    gc.collect()
    found = {"rss": 0.0, **counts()}
    todo = [os.getpid()]
    while todo:
        pid = todo.pop()
        try:
            found["rss"] += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for thread in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return found


async def soak(episodes: int, slots: int, samples: int = 40) -> tuple[list[dict[str, float]], dict[str, int]]:
    """Play; gives what was seen on the way, and how the episodes ended."""
    tasks = {env: list(registry.tasks(env)[:TASKS]) for env in ENVS}
    policy: Policy = registry.load("policies", "noisy-oracle")(epsilon=0.2)
    hosts, seen, endings = Mixed(tasks), list[dict[str, float]](), dict[str, int]()
    every, begin, done = max(1, episodes // samples), time.perf_counter(), 0
    try:
        flow = rollout(
            attempts(tasks, episodes), env="keydoor-v0", policy=policy, limits=Limits(turns=30), dialect="plain",
            hosts=hosts, slots=slots,
        )  # fmt: skip
        async with aclosing(flow) as played:
            async for trajectory in played:
                done += 1
                endings[trajectory.ending.value] = endings.get(trajectory.ending.value, 0) + 1
                if done % every == 0:
                    seen.append({"episodes": done, "seconds": time.perf_counter() - begin, **tree()})
    finally:
        hosts.close()
    return seen, endings


def verdict(seen: list[dict[str, float]], factor: float = 1.0) -> dict[str, tuple[float, float]]:
    """Growth an episode, and its limit, of everything that may not grow."""
    kept = seen[int(len(seen) * WARM) :]
    x = [row["episodes"] for row in kept]
    return {name: (growth(x, [row[name] for row in kept]), most * factor) for name, most in LIMITS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=16)
    args = parser.parse_args()
    seen, endings = asyncio.run(soak(args.episodes, args.slots))
    print(f"{args.episodes:,} episodes, {args.slots} at once, of {', '.join(f'{e} ({k})' for e, k in ENVS.items())}\n")
    print("| episodes | seconds | MB resident | threads | descriptors | children |\n|---|---|---|---|---|---|")
    for row in seen[3::4]:
        print(
            f"| {row['episodes']:,.0f} | {row['seconds']:.0f} | {row['rss'] / 1e6:.1f} | {row['threads']:.0f} "
            f"| {row['descriptors']:.0f} | {row['children']:.0f} |"
        )
    print(f"\nendings: {', '.join(f'{name} {count:,}' for name, count in sorted(endings.items()))}")
    found = verdict(seen, max(1.0, 10_000 / args.episodes))
    for name, (more, most) in found.items():
        print(f"{name:<12} {more:+10.4f} an episode (limit {most:g}) {'ok' if more <= most else 'GROWS'}")
    return 0 if all(more <= most for more, most in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
