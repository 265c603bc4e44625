"""Hosts: the same environment plays the same, wherever it runs."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.env import EnvSpec, TextEnv
from agentgym.errors import EnvCrashedError, UsageError
from agentgym.host import HostPool, wire
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task

HERE = f"{Path(__file__)}:SPEC"


class Echo(TextEnv):
    """Says what it hears, with everything a step may carry."""

    def begin(self, task, rng):
        self.count = 0
        return Observation(f"{task.prompt}{rng.integers(1 << 40)}", state="s", actions=("a", "b"), tools=({"n": 1},))

    def act(self, action):
        self.count += 1
        if action == "fault":
            return Step.fault(Observation("no"), "bad-word", -0.5)
        if action == "end":
            return Step.success(Observation("done", role="tool"), 2.5, rewards={"x": 2.5})
        return Step.on(Observation(action), 0.25, progress=0.5, nested={"list": [1, None, "é"]})

    def oracle(self):
        return f"move {self.count}"


def tasks(split):
    return TaskSet(split, 1, lambda i: Task("t", split=split))


SPEC = EnvSpec(id="echo-v0", entry=f"{__name__}:Echo", tasks=f"{__name__}:tasks", host="process")

ODD = ["", "plain", "\x00", "\ud800 lone", "😀 \u2028\r\n", "x" * 300_000, '"}],\\', "<|im_end|>"]


async def transcript(hosts):
    host = await hosts.acquire()
    seen = [await host.reset(Task("t", prompt="\udc00\x00", data={"k": [1, {"v": None}]}), 7), await host.oracle()]
    for action in [*ODD, "fault", "end"]:
        seen.append(await host.step(action))
    seen.append(await host.reset(Task("t"), 7))
    hosts.release(host)
    return seen


def test_a_process_host_plays_as_an_inline_host():
    with HostPool(HERE, kind="inline") as inline, HostPool(HERE) as process:
        assert process.kind == "process"
        assert asyncio.run(transcript(inline)) == asyncio.run(transcript(process))


@pytest.mark.parametrize(("processes", "workers"), [(None, 5), (2, 2)])
def test_a_pool_uses_hosts_again_and_shares_processes(processes, workers):
    async def play(hosts):
        got = [await hosts.acquire() for _ in range(5)]
        await asyncio.gather(*(host.reset(Task("t"), i) for i, host in enumerate(got)))
        steps = await asyncio.gather(*(host.step(f"say {i}") for i, host in enumerate(got)))
        for host in got:
            hosts.release(host)
        return [step.observation.text for step in steps], {host.worker.pid for host in got}

    with HostPool(HERE, processes=processes) as hosts:
        hosts.warm(5)
        first = asyncio.run(play(hosts))
        again = asyncio.run(play(hosts))  # another event loop, the same processes
    assert first == again
    assert first[0] == [f"say {i}" for i in range(5)]
    assert len(first[1]) == workers


def test_a_host_alone_shares_with_nobody():
    async def play(hosts):
        a, b, alone = await hosts.acquire(), await hosts.acquire(), await hosts.acquire(True)
        for host in (a, b, alone):
            await host.reset(Task("t"), 0)
        assert a.worker is b.worker
        assert alone.worker is not a.worker
        for host in (a, b, alone):
            hosts.release(host)
        assert alone.worker.dead is not None
        assert a.worker.dead is None

    with HostPool(HERE, processes=1) as hosts:
        asyncio.run(play(hosts))


def test_size_bounds_the_hosts():
    async def play(hosts):
        a = await hosts.acquire()
        waiting = asyncio.create_task(hosts.acquire())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        hosts.release(a)
        assert await waiting is a
        hosts.release(a)

    with HostPool(HERE, kind="inline", size=1) as hosts:
        asyncio.run(play(hosts))


def test_wrong_arguments_say_what_to_do():
    with pytest.raises(UsageError, match="inline, process"):
        HostPool(HERE, kind="thread")
    with pytest.raises(UsageError, match="processes must be at least 1"):
        HostPool(HERE, processes=0)
    with pytest.raises(UsageError, match="must be JSON values"):
        HostPool(HERE, {"x": object()})

    async def reset(hosts):
        host = await hosts.acquire()
        try:
            await host.reset(Task("t"), 0)
        finally:
            hosts.release(host, broken=True)

    for kind in ("inline", "process"):
        with HostPool(HERE, {"colour": 1}, kind=kind) as hosts, pytest.raises(UsageError, match="colour"):
            asyncio.run(reset(hosts))


TEXT = st.text(st.characters(exclude_categories=()), max_size=30)


@given(
    st.builds(
        Step,
        st.builds(
            Observation,
            TEXT,
            st.sampled_from(["user", "tool"]),
            st.none() | TEXT,
            st.none() | st.lists(TEXT, max_size=3).map(tuple),
        ),
        st.floats(allow_nan=False),
        st.booleans(),
        st.booleans(),
        st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False), max_size=3),
    ),
    st.integers(1, 40),
)
def test_steps_survive_the_wire_in_pieces_of_any_size(step, size):
    data = wire.frame(wire.from_step(step)) * 2
    frames = wire.Frames()
    found = [message for i in range(0, len(data), size) for message in frames.feed(data[i : i + size])]
    assert [repr(wire.to_step(message)) for message in found] == [repr(rejoined(step))] * 2


def rejoined(step):
    """JSON reads two surrogates that stand side by side as the one character they mean."""
    return wire.to_step(json.loads(json.dumps(wire.from_step(step))))


@given(st.binary(max_size=60))
def test_garbage_on_the_wire_is_an_infra_error(data):
    with pytest.raises(EnvCrashedError, match="garbage"):
        wire.Frames().feed(b"\xff\xff\xff\xff" + data)  # longer than any frame may be
    with pytest.raises(EnvCrashedError, match="garbage"):
        wire.Frames().feed(b"\x03\0\0\0{x}" + data)
    with suppress(EnvCrashedError):
        wire.Frames().feed(data)


def test_numpy_values_travel_and_objects_do_not():
    import numpy as np

    (message,) = wire.Frames().feed(wire.frame({"a": np.float64(0.5), "b": np.arange(2), "c": np.bool_(True)}))
    assert message == {"a": 0.5, "b": [0, 1], "c": True}
    with pytest.raises(TypeError, match="object is not a JSON value"):
        wire.frame(object())
