"""How requests reach the policy: one by one, or gathered into batches.

A policy with `batching="each"` is called directly. One with `batching="batch"` has at most one call under way; while
it computes, environments go on, and whoever waits when it returns forms the next batch (`eager`). With `ordered` a
round begins only when *every* running episode waits, and is sorted by rank: what is computed together then depends on
the attempts alone, never on how long an environment took, which makes a run's bits repeatable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from agentgym.errors import UsageError
from agentgym.policy import Policy, Request
from agentgym.types import Completion


class Desk(Protocol):
    """Where episodes hand in their requests."""

    def join(self, count: int) -> None:
        """`count` more episodes may ask from now on."""
        ...

    def leave(self) -> None:
        """One episode fewer will ask."""
        ...

    async def ask(self, rank: int, request: Request) -> Completion:
        """The policy's answer. Raises whatever the policy raised."""
        ...

    async def close(self) -> None:
        """Stop a call that is under way."""
        ...


def desk(policy: Policy, ordered: bool) -> Desk:
    """The desk for a policy."""
    return BatchDesk(policy, ordered) if policy.batching == "batch" else DirectDesk(policy)


class DirectDesk:
    """Calls the policy with one request at once."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def join(self, count: int) -> None:
        """Nothing to count."""

    def leave(self) -> None:
        """Nothing to count."""

    async def ask(self, rank: int, request: Request) -> Completion:
        """One call, one answer."""
        return check_answers(self._policy, (request,), await self._policy.complete((request,)))[0]

    async def close(self) -> None:
        """Calls end with the episodes that made them."""


class BatchDesk:
    """Gathers requests; one call of the policy at a time."""

    def __init__(self, policy: Policy, ordered: bool) -> None:
        self._policy, self._ordered = policy, ordered
        self._running = 0
        self._waiting: list[tuple[int, Request, asyncio.Future[Completion]]] = []
        self._round: list[tuple[int, Request, asyncio.Future[Completion]]] = []
        self._task: asyncio.Task[None] | None = None

    def join(self, count: int) -> None:
        """Count episodes that the next ordered round must wait for."""
        self._running += count

    def leave(self) -> None:
        """The others need not wait for this one any more."""
        self._running -= 1
        self._kick()

    async def ask(self, rank: int, request: Request) -> Completion:
        """Wait for the batch that this request lands in."""
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append((rank, request, answer))
        self._kick()
        return await answer

    async def close(self) -> None:
        """Cancel the call under way and wait until it is gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _kick(self) -> None:
        # The task begins in the next pass of the event loop: everybody who asks in this pass is in the batch.
        if self._waiting and (self._task is None or self._task.done()) and self._ready():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def _ready(self) -> bool:
        return bool(self._waiting) and (not self._ordered or len(self._waiting) >= self._running)

    async def _work(self) -> None:
        while self._round or self._ready():
            if not self._round:
                self._round, self._waiting = self._waiting, []
                if self._ordered:
                    self._round.sort(key=lambda entry: entry[0])
            size = max(1, self._policy.max_batch)
            batch, self._round = self._round[:size], self._round[size:]
            if not self._ordered:  # late arrivals may fill the rest of the next batch
                self._waiting, self._round = self._round + self._waiting, []
            batch = [entry for entry in batch if not entry[2].done()]  # their episodes may have been cancelled
            if not batch:
                continue
            requests = [request for _, request, _ in batch]
            try:
                answers = check_answers(self._policy, requests, await self._policy.complete(requests))
            except Exception as error:
                for _, _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, _, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
            await asyncio.sleep(0)  # let those who can answer at once join the next batch


def check_answers(policy: Policy, requests: Sequence[Request], answers: list[Completion]) -> list[Completion]:
    """The answers, if there is one for each request.

    Raises:
        UsageError: the policy broke its contract.
    """
    if len(answers) != len(requests):
        raise UsageError(
            f"{type(policy).__name__}.complete must answer each request: got {len(answers)} for {len(requests)}"
        )
    return answers
