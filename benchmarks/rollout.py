"""What the rollout engine itself costs. Prints one table.

1. Microseconds a turn with a trivial environment and a scripted policy, in process and in worker processes, beside a
   bare loop that calls the same environment and policy with no engine at all.
2. 256 episodes in flight whose steps take a lognormal time (mean 200 ms, heavy tail): wall time over the lower bound
   (the longest episode, or all work over the slots, whichever is larger), beside lock step on the same times.
3. Memory over 10,000 scripted episodes.

    python benchmarks/rollout.py            # about two minutes
    python benchmarks/rollout.py --quick    # seconds, smaller numbers
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import os
import signal
import socket
import time
from pathlib import Path

import numpy as np

from agentgym import dialects, registry
from agentgym.env import EnvSpec, TextEnv
from agentgym.host import HostPool
from agentgym.limits import Limits
from agentgym.policy import Request, Sampling
from agentgym.rollout import attempts, collect, rollout
from agentgym.seeding import derive
from agentgym.tasks import TaskSet
from agentgym.types import Message, Observation, Step, Task
from agentgym_policies.scripted import Scripted

HERE = f"{Path(__file__).resolve()}:SPEC"
TURNS = 20


class Trivial(TextEnv):
    """Answers at once, 20 turns long."""

    def begin(self, task, rng):
        self.count = 0
        return Observation("go on", actions=("a", "b"))

    def act(self, action):
        self.count += 1
        if self.count == TURNS:
            return Step.success(Observation("done"))
        return Step.on(Observation("go on", actions=("a", "b")), 0.0)


def tasks(split: str) -> TaskSet:
    return TaskSet(split, 1 << 20, lambda i: Task(f"t{i}", split=split))


SPEC = EnvSpec(id="trivial-v0", entry=f"{__name__}:Trivial", tasks=f"{__name__}:tasks", max_turns=TURNS)


class First(Scripted):
    """Takes the first admissible action."""

    def choose(self, request):
        return request.observation.actions[0]


def best(measure, repeat):
    return min(measure() for _ in range(repeat))


def engine(hosts, episodes, slots=16):
    """Microseconds a turn."""
    todo = attempts(list(tasks("train")[:episodes]), 1, 0)
    started = time.perf_counter()
    found = collect(todo, env=HERE, policy=First(), limits=Limits(turns=TURNS), hosts=hosts, slots=slots)
    seconds = time.perf_counter() - started
    assert sum(len(t.turns) for t in found) == episodes * TURNS
    return seconds / (episodes * TURNS) * 1e6


def bare(episodes):
    """Microseconds a turn of the same calls with no engine."""
    env, policy, dialect = registry.make(HERE), First(), dialects.get("plain")

    async def loop():
        for i in range(episodes):
            observation, _ = env.reset(seed=i, options={"task": Task(f"t{i}")})
            messages: tuple[Message, ...] = (Message("user", observation.text),)
            for turn in range(TURNS):
                request = Request(f"t{i}", turn, messages, observation, derive(i, turn), Sampling())
                (completion,) = await policy.complete((request,))
                step = env.step(dialect.parse(completion.text).action or "")
                observation = step.observation
                messages = (*messages, Message("assistant", completion.text), Message("user", observation.text))

    started = time.perf_counter()
    asyncio.run(loop())
    return (time.perf_counter() - started) / (episodes * TURNS) * 1e6


def ping(count):
    """Microseconds of a bare round trip of 64 bytes between two processes over a socket: the floor of a worker's."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        while data := theirs.recv(64):
            theirs.sendall(data)
        os._exit(0)
    started = time.perf_counter()
    for _ in range(count):
        ours.sendall(b"." * 64)
        ours.recv(64)
    seconds = time.perf_counter() - started
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    ours.close()
    theirs.close()
    return seconds / count * 1e6


class SleepHost:
    """Every step takes the time that the task says."""

    async def reset(self, task, seed):
        self.times = iter(task.data["seconds"])
        self.left = len(task.data["seconds"])
        return Observation("go on", actions=("a",))

    async def step(self, action):
        await asyncio.sleep(next(self.times))
        self.left -= 1
        seen = Observation("go on", actions=("a",))
        return Step.on(seen) if self.left else Step.success(seen)

    async def oracle(self):
        return None

    def close(self):
        pass


class SleepHosts:
    size = None

    async def acquire(self, alone=False):
        return SleepHost()

    def release(self, host, broken=False):
        pass

    def close(self):
        pass


def in_flight(episodes, slots, turns, mean):
    """Wall time over the lower bound; the same of an engine that costs nothing, and of lock step; the bound in seconds.

    The last two are computed, not slept. Who admits episodes in order without knowing how long they take cannot reach
    the bound; lock step plays in waves, every step as long as the slowest of its wave.
    """
    rng = np.random.default_rng(0)
    sigma = 1.0
    seconds = rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, (episodes, turns))
    todo = attempts([Task(f"t{i}", data={"seconds": row.tolist()}) for i, row in enumerate(seconds)], 1, 0)
    bound = max(seconds.sum(1).max(), seconds.sum() / slots)
    lock = sum(seconds[i : i + slots].max(0).sum() for i in range(0, episodes, slots))
    free = [0.0] * slots
    for total in seconds.sum(1):
        heapq.heapreplace(free, free[0] + total)
    started = time.perf_counter()
    collect(
        todo, env=HERE, policy=First(), limits=Limits(turns=turns), dialect="plain", hosts=SleepHosts(), slots=slots
    )
    return (time.perf_counter() - started) / bound, max(free) / bound, lock / bound, bound


def resident():
    """Resident bytes of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(episodes):
    """Resident memory after a tenth of the episodes, and at the end, in MiB."""
    todo = (attempt for i in range(episodes) for attempt in attempts([Task(f"t{i}")], 1, 0))

    async def run():
        count, early = 0, 0
        async for _ in rollout(todo, env=HERE, policy=First(), limits=Limits(turns=TURNS), slots=64):
            count += 1
            if count == episodes // 10:
                gc.collect()
                early = resident()
        gc.collect()
        return early / 2**20, resident() / 2**20

    return asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller numbers, a few seconds")
    quick = parser.parse_args().quick
    episodes, repeat = (50, 2) if quick else (500, 3)
    rows: list[tuple[str, str, str]] = []

    floor = best(lambda: bare(episodes), repeat)
    rows.append(("bare loop, no engine", f"{floor:.1f} us/turn", ""))
    with HostPool(HERE, kind="inline") as hosts:
        cost = best(lambda: engine(hosts, episodes), repeat)
    rows.append(("engine, in process", f"{cost:.1f} us/turn ({cost / floor:.2f} x bare)", "at most 150 us/turn"))
    rows.append(("bare round trip to a process", f"{best(lambda: ping(20 * episodes), repeat):.1f} us", ""))
    for processes, slots in ((1, 1), (2, 16)):
        with HostPool(HERE, kind="process", processes=processes) as hosts:
            engine(hosts, 8, slots)  # starts the processes
            cost = best(lambda hosts=hosts, slots=slots: engine(hosts, episodes // 5, slots), repeat)
        rows.append((f"engine, {processes} worker(s), {slots} in flight", f"{cost:.1f} us/turn", ""))

    turns, mean = (5, 0.02) if quick else (20, 0.2)
    for many in (256, 1024):
        ratio, floor, lock, bound = in_flight(many, 256, turns, mean)
        what = f"{many} lognormal episodes, 256 in flight, bound {bound:.1f} s"
        rows.append((what, f"{ratio:.3f} x bound", "at most 1.15" if many == 256 else ""))
        rows.append(("  a free engine on the same times", f"{floor:.3f} x bound", ""))
        rows.append(("  lock step on the same times", f"{lock:.3f} x bound", ""))

    count = 1_000 if quick else 10_000
    early, late = memory(count)
    growth = f"{early:.1f} to {late:.1f} MiB ({100 * (late / early - 1):+.1f} %)"
    rows.append((f"resident memory over {count:,} episodes", growth, "at most +5 %"))

    width = max(len(row[0]) for row in rows)
    print(f"{'what':{width}}  {'measured':38}  target")
    for what, measured, target in rows:
        print(f"{what:{width}}  {measured:38}  {target}")


if __name__ == "__main__":
    main()
