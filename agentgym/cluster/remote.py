"""The policy of a rollout worker whose sampler is an engine on another machine.

A turn's request carries all it needs, so what an engine's death interrupts is asked of the next engine: no episode is
played again for it.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from agentgym.cluster.connect import library
from agentgym.cluster.sampler import Box, raise_told
from agentgym.errors import PolicyError
from agentgym.ledger import ChatTokenizer
from agentgym.policy import Request
from agentgym.types import Completion

RETRY = 0.2
"""Seconds between two looks for an engine that lives."""


class RemotePolicy:
    """Asks engines; an episode stays with one engine while that lives, for the sake of its prefix cache."""

    batching: Literal["each", "batch"] = "each"
    max_batch = 1
    wants_oracle = False

    def __init__(
        self,
        engines: Sequence[Any],
        chat: ChatTokenizer,
        deadline: float,
        wait: float,
        report: Callable[[str, str], None],
    ) -> None:
        """Args: `engines` actors of `Engine`; `chat` the model's tokenizer; `deadline` seconds for one answer; `wait`
        seconds for an engine that is being restarted; `report` is told each loss, kind and sentence."""
        self._engines, self._deadline, self._wait, self._report = list(engines), deadline, wait, report
        self.tokenizer: ChatTokenizer | None = chat
        self.version = 0
        self._edition, self._box = 0, Box()
        self._down: dict[int, float] = {}
        self._ray = library()

    def follow(self, edition: int, box: Box) -> None:
        """Ask for these weights from now on."""
        if edition > self._edition:
            self._edition, self._box = edition, box

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """See `Policy.complete`.

        Raises:
            PolicyError: no engine answers, or one refused.
            UsageError: the recipe cannot be run there.
        """
        return list(await asyncio.gather(*(self._one(request) for request in requests)))

    def forget(self, trajectory: str) -> None:
        """Nobody waits for it, and an engine that is gone has forgotten anyway."""
        self._engines[self._home(trajectory)].forget.remote(trajectory)

    def close(self) -> None:
        """The engines belong to whoever made them."""

    async def _one(self, request: Request) -> Completion:
        count, home = len(self._engines), self._home(request.trajectory)
        until = time.monotonic() + self._wait
        while True:
            for at in ((home + offset) % count for offset in range(count)):
                if self._down.get(at, 0.0) <= time.monotonic():
                    found = await self._ask(at, request)
                    if found is not None:
                        return found
            if time.monotonic() >= until:
                raise PolicyError(f"none of {count} engines has answered for {self._wait:g} s")
            await asyncio.sleep(RETRY)

    async def _ask(self, at: int, request: Request) -> Completion | None:
        left = None if request.deadline is None else request.deadline - time.monotonic()
        call = self._engines[at].complete.remote(replace(request, deadline=None), left, self._edition, self._box)
        try:
            kind, value = await asyncio.wait_for(call, self._deadline)
        except TimeoutError:
            self._ray.kill(self._engines[at], no_restart=False)
            self._lose(at, f"did not answer within {self._deadline:g} s and was killed")
            return None
        except self._ray.exceptions.RayTaskError:
            raise  # A bug there is a bug here.
        except self._ray.exceptions.RayError as error:
            self._lose(at, f"is gone ({type(error).__name__})")
            return None
        if kind:
            raise_told(kind, value)
        return value

    def _lose(self, at: int, why: str) -> None:
        now = time.monotonic()
        if self._down.get(at, 0.0) <= now:  # Of many turns that it took along only the first tells.
            self._report("lost_engines", f"engine {at} {why}; its turns are asked elsewhere")
        self._down[at] = now + 5 * RETRY

    def _home(self, trajectory: str) -> int:
        return zlib.crc32(trajectory.encode("utf-8", "surrogatepass")) % len(self._engines)
