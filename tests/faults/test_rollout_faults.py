"""What the engine does when environments hang, crash, die, print garbage, fork and leak."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agentgym.errors import EnvTimeoutError, PolicyError, UsageError
from agentgym.host import HostPool
from agentgym.limits import Limits
from agentgym.rollout import attempts, collect, rollout
from agentgym.types import Completion, Ending, Task
from agentgym_policies.scripted import Oracle

BROKEN = f"{Path(__file__).parent / 'broken.py'}:SPEC"
DEADLINE = 1.0


@pytest.fixture(autouse=True)
def nothing_left():
    """No test leaves a child, a zombie or a stray process behind."""
    before = {p.pid for p in psutil.process_iter()}
    yield
    # A process that was killed is gone when the kernel gets to it; looking does not reap, so a zombie stays seen.
    patience = time.monotonic() + 5
    while (left := children(before)) and time.monotonic() < patience:
        time.sleep(0.05)
    assert left == []
    assert strays(before) == []


def children(before):
    return [p for p in psutil.Process().children(recursive=True) if p.pid not in before]


def strays(before):
    """Sleeping grandchildren that a broken environment started and that were given to init."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "ppid"]):
        line = " ".join(process.info["cmdline"] or [])
        if process.info["pid"] not in before and "time.sleep(3600)" in line and process.info["ppid"] == 1:
            found.append(process)
    return found


def play(tasks, processes, retries=1, slots=12, deadline=DEADLINE, **pool):
    with HostPool(
        BROKEN, kind="process", processes=processes, step_deadline=deadline, reset_deadline=30, **pool
    ) as hosts:
        return collect(
            attempts(tasks, 1, 0), env="broken-v0", policy=Oracle(), limits=Limits(turns=8), hosts=hosts, slots=slots,
            retries=retries, backoff=0.01, dialect="plain",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("hang", "did not answer within 1 s"),
        ("spin", "did not answer within 1 s"),
        ("deaf", "did not answer within 1 s"),
        ("leave", "exited with status 3"),
        ("fail", "RuntimeError: the world is gone"),
        ("system_exit", "SystemExit: 5"),
        ("segfault", "SIGSEGV"),
        ("fork", "did not answer within 1 s"),
        ("hold", "exited with status 4"),
        ("forge", "garbage"),
        ("unspeakable", "object is not a JSON value"),
    ],
)
def test_one_broken_environment_costs_only_itself(way, says):
    bad = Task("bad", data={"break": way})
    good = [Task(f"good-{i}") for i in range(5)]
    deadline = 1.0 if "within 1 s" in says else 20.0  # A busy machine must not be taken for a hung world.
    found = play([*good[:2], bad, *good[2:]], processes=2, deadline=deadline)
    assert [t.ending for t in found if t.task_id != "bad"] == [Ending.SUCCESS] * 5
    (broken,) = [t for t in found if t.task_id == "bad"]
    assert broken.ending is Ending.INFRA_ERROR
    assert says in (broken.error or "")
    assert not broken.trainable
    assert broken.samples == ()


def test_garbage_on_stdout_is_harmless():
    found = play([Task("noisy", data={"break": "garbage", "length": 4})], processes=1)
    assert [t.ending for t in found] == [Ending.SUCCESS]
    assert found[0].retries == 0


def test_a_leak_meets_the_memory_limit():
    good = [Task(f"good-{i}") for i in range(3)]
    found = play([Task("leak", data={"break": "leak"}), *good], processes=2, memory=400 << 20, deadline=20.0)
    assert [t.ending for t in found] == [Ending.INFRA_ERROR, *[Ending.SUCCESS] * 3]
    assert "out of memory" in found[0].error


@pytest.mark.parametrize("processes", [None, 1])
def test_a_retry_gets_a_fresh_environment(processes, tmp_path):
    tasks = [Task(f"t{i}", data={"break": w, "once": str(tmp_path / w)}) for i, w in enumerate(["leave", "fail"])]
    found = play(tasks, processes=processes)
    assert [t.ending for t in found] == [Ending.SUCCESS] * 2
    assert [t.error for t in found] == [None, None]
    assert found[0].retries == 1
    assert found[1].retries == (1 if processes is None else 2)  # in one process it was lost with its neighbour, too
    assert all(len(t.turns) == 3 for t in found)


def test_a_reset_that_hangs_is_killed():
    with HostPool(BROKEN, kind="process", reset_deadline=3.0) as hosts:

        async def reset():
            host = await hosts.acquire()
            with pytest.raises(EnvTimeoutError, match="reset did not answer within 3 s"):
                await host.reset(Task("x", data={"break": "hang", "at": 0}), 0)
            hosts.release(host, broken=True)

        asyncio.run(reset())


@pytest.mark.parametrize("processes", [4])
def test_a_tenth_of_two_hundred_episodes_break(processes):
    ways = ["hang", "leave", "fail", "segfault", "garbage"]
    tasks = [
        Task(f"t{i}", data={"break": ways[i // 10 % 5], "at": 1 + i // 10 % 2} if i % 10 == 0 else {"length": 3})
        for i in range(200)
    ]
    started = time.monotonic()
    found = play(tasks, processes=processes, retries=0, slots=32)
    seconds = time.monotonic() - started
    assert [t.task_id for t in found] == [t.id for t in tasks]
    for task, trajectory in zip(tasks, found, strict=True):
        broken = task.data.get("break", "garbage") != "garbage"
        assert trajectory.ending is (Ending.INFRA_ERROR if broken else Ending.SUCCESS), (task, trajectory.error)
    # Four hangs of a second each, at worst one after the other, and the starts of the processes that were killed.
    assert seconds < 4 * DEADLINE + 16 * 1.5


def test_a_hang_is_over_within_its_deadline():
    with HostPool(BROKEN, kind="process", processes=2, step_deadline=DEADLINE) as hosts:
        hosts.warm(8)
        todo = attempts([Task(f"warm-{i}") for i in range(8)], 1, 0)
        common = {"env": "broken-v0", "policy": Oracle(), "limits": Limits(turns=8), "hosts": hosts, "dialect": "plain"}
        collect(todo, **common)
        tasks = [Task("bad", data={"break": "hang"}), *(Task(f"good-{i}") for i in range(7))]
        started = time.monotonic()
        found = collect(attempts(tasks, 1, 1), retries=0, **common)
        assert time.monotonic() - started < DEADLINE + 2
        assert [t.ending for t in found] == [Ending.INFRA_ERROR, *[Ending.SUCCESS] * 7]


def test_a_task_for_another_environment_is_the_callers_mistake():
    with pytest.raises(UsageError, match="not for this environment"):
        play([Task("x", data={"break": "usage"}), *(Task(f"g{i}") for i in range(4))], processes=2)


def test_leaving_early_leaves_no_process():
    async def some():
        found = rollout(
            attempts([Task(f"t{i}", data={"break": "hang", "at": 2} if i % 2 else {}) for i in range(20)], 1, 0),
            env=BROKEN, policy=Oracle(), slots=6,
        )  # fmt: skip
        async for _ in found:
            await found.aclose()
            break
        return len(asyncio.all_tasks())

    # Other tests of this worker may keep a process of theirs, the maker of games for one.
    before = {p.pid for p in psutil.process_iter()}
    assert asyncio.run(some()) == 1
    assert children(before) == []


INTERRUPTED = """
import sys
from agentgym.host import HostPool
from agentgym.rollout import attempts, collect
from agentgym.types import Task
from agentgym_policies.scripted import Oracle
tasks = [Task(f"t{i}", data={"break": "hang", "at": 2}) for i in range(8)]
hosts = HostPool(sys.argv[1], kind="process", processes=2)
try:
    collect(attempts(tasks, 1, 0), env=sys.argv[1], policy=Oracle(), hosts=hosts,
            on_turn=lambda a, t: print("turn", flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    if sys.argv[2] == "close":
        hosts.close()
"""


@pytest.mark.parametrize(("sent", "then"), [(signal.SIGINT, "close"), (signal.SIGINT, "-"), (signal.SIGKILL, "-")])
def test_interrupts_leave_no_process(sent, then):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, BROKEN, then], stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "turn\n"
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) == 2
        process.send_signal(sent)
        out, _ = process.communicate(timeout=20)
        assert ("interrupted" in out) == (sent == signal.SIGINT)
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []


class Outage:
    """A policy whose server is gone for the first `failures` calls."""

    batching, max_batch, tokenizer, wants_oracle, version = "batch", 4, None, False, 0

    def __init__(self, failures):
        self.failures = failures

    async def complete(self, requests):
        await asyncio.sleep(0)
        self.failures -= 1
        if self.failures >= 0:
            raise PolicyError("the server is gone")
        return [Completion("go") for _ in requests]

    def forget(self, trajectory):
        pass

    def close(self):
        pass


@pytest.mark.parametrize("schedule", ["eager", "ordered"])
@pytest.mark.parametrize(("failures", "ending"), [(1, Ending.SUCCESS), (10**9, Ending.INFRA_ERROR)])
def test_policy_errors_are_retried_and_then_recorded(schedule, failures, ending):
    todo = attempts([Task("a"), Task("b")], 4, 0)
    with HostPool(BROKEN, kind="inline") as hosts:
        found = collect(
            todo, env=BROKEN, policy=Outage(failures), hosts=hosts, slots=4, retries=2, backoff=0.001,
            schedule=schedule,
        )  # fmt: skip
    assert {t.ending for t in found} == {ending}
    if ending is Ending.INFRA_ERROR:
        assert {(t.retries, t.error) for t in found} == {(2, "PolicyError: the server is gone")}


class Buggy(Outage):
    async def complete(self, requests):
        raise ZeroDivisionError("a bug")


def test_a_bug_in_the_policy_is_raised():
    with HostPool(BROKEN, kind="inline") as hosts, pytest.raises(ZeroDivisionError, match="a bug"):
        collect(attempts([Task("a")], 8, 0), env=BROKEN, policy=Buggy(0), hosts=hosts, slots=4)
