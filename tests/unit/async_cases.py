"""A world and a policy whose timing is known, for the tests of what happens in the background."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from agentgym.asynchrony import Drawn, Flow, Player, Table
from agentgym.limits import Limits
from agentgym.policy import Request, Sampling
from agentgym.types import Completion, Observation, Step, Task


class Counter:
    """An environment that ends after as many turns as its task says, and stands still while its task's event says."""

    async def reset(self, task: Task, seed: int) -> Observation:
        self.task, self.turn = task, 0
        return Observation(f"start of {task.id}")

    async def step(self, action: str) -> Step:
        self.turn += 1
        held: threading.Event | None = self.task.data.get("held")
        while held is not None and not held.is_set():
            await asyncio.sleep(0.001)
        seen = Observation(f"turn {self.turn}")
        return Step.success(seen) if self.turn >= self.task.data.get("turns", 1) else Step.on(seen)

    async def oracle(self) -> str | None:
        return "go"

    def close(self) -> None:
        """Nothing to free."""


class Counters:
    """Hosts of it; counts how many are out at once."""

    size: int | None = None

    def __init__(self) -> None:
        self.out = self.most = 0

    async def acquire(self, alone: bool = False) -> Any:
        self.out += 1
        self.most = max(self.most, self.out)
        return Counter()

    def release(self, host: Any, broken: bool = False) -> None:
        self.out -= 1

    def close(self) -> None:
        """Nothing to free."""


class Sleeper:
    """Answers `go`, two tokens, after a while; notes calls during which its version changed."""

    wants_oracle = False
    max_batch = 64

    def __init__(
        self,
        seconds: Callable[[Request], float] = lambda _: 0.0,
        batching: Literal["each", "batch"] = "each",
        tokenizer: Any = None,
    ) -> None:
        self.seconds, self.tokenizer = seconds, tokenizer
        self.batching: Literal["each", "batch"] = batching
        self.version = self.torn = self.calls = self.most = 0
        self.prompts: dict[tuple[str, int], tuple[int, ...]] = {}

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        before = self.version
        self.calls += 1
        self.most = max(self.most, len(requests))
        for request in requests:
            self.prompts[request.trajectory, request.turn] = request.tokens or ()
        await asyncio.sleep(max(self.seconds(request) for request in requests))
        self.torn += self.version != before
        return [Completion("go", (103, 111), (-0.5, -0.5), version=self.version) for _ in requests]

    def forget(self, trajectory: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing to free."""


def player(policy: Any, hosts: Counters | None = None, slots: int = 64) -> Player:
    """A player of that world."""
    return Player(Table("counter-v0", policy, hosts or Counters(), Limits(turns=50), "plain", slots))


def flow(policy: Sleeper, staleness: int = 1, queue: int = 0, tasks: int = 2, group: int = 2) -> Flow:
    """A flow over that world."""
    sizes = {"staleness": staleness, "queue": queue, "tasks": tasks, "group": group, "seed": 5}
    return Flow(player(policy), Sampling(), **sizes)


def drawn(place: int, turns: int = 1) -> Drawn:
    """The task of a place in line."""
    return Drawn(Task(f"t{place}", data={"turns": turns}), 0, True)


def setter(policy: Sleeper, version: int) -> Callable[[], None]:
    """What a swap does."""

    def change() -> None:
        policy.version = version

    return change
