"""The way to a vLLM server: start and restart it, send it turns and weights, and never take its word for either.

Everything here runs in one event loop of its own, so that connections outlive the loops of single rollouts. While new
weights are on their way, no turn is under way: each completion is of exactly one version of the weights.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from agentgym.errors import PolicyError, UsageError
from agentgym.ledger import ChatTokenizer
from agentgym.policy import Request
from agentgym.types import Completion
from agentgym_policies import vllm_wire as wire
from agentgym_policies.vllm_server import Server
from agentgym_policies.vllm_thread import Turnstile
from agentgym_policies.vllm_weights import MANIFEST, Pack

log = logging.getLogger("agentgym.vllm")
REFUSED = frozenset({400, 401, 403, 404, 405, 413, 422})
"""Replies that would be the same if the request came again."""
PROBE = 20.0
"""Seconds in which a server that is well answers a request for one token."""


class RemoteEngine:
    """A server that answers, one way or another.

    Attributes:
        version: version of the weights that the server has.
        retries_made: requests that had to be sent again.
    """

    def __init__(
        self,
        chat: ChatTokenizer,
        vocabulary: int,
        *,
        server: Server | None = None,
        url: str | None = None,
        model: str,
        folder: Path,
        version: int = 0,
        concurrency: int = 64,
        timeout: float = 120.0,
        start_timeout: float = 600.0,
        retries: int = 3,
        restarts: int = 3,
    ) -> None:
        """Args: `server` ours, or `url` of somebody's; `model` its name there; `folder` with the manifest; `version`
        of the weights in the model folder; `concurrency` requests at once; `timeout` seconds for one answer;
        `start_timeout` seconds for a start; `retries` further tries of a request; `restarts` in all."""
        self._chat, self._vocabulary, self._model = chat, vocabulary, model
        self._server, self._folder = server, folder
        self._timeout, self._start_timeout = timeout, start_timeout
        self._retries, self._restarts = retries, restarts
        self.version = self._exported = version
        self.retries_made = 0
        self._pack: Pack | None = None
        self._up = False
        self._hopeless: str | None = None
        self._mending, self._turnstile = asyncio.Lock(), Turnstile()
        self._gate = asyncio.Semaphore(concurrency)
        transport = None if server is None else httpx.AsyncHTTPTransport(uds=str(server.socket))
        self._client = httpx.AsyncClient(base_url=url or "http://vllm", transport=transport, timeout=None)

    # Answers --------------------------------------------------------------------------------------------------------

    async def generate(self, request: Request) -> Completion:
        """One turn.

        Raises:
            PolicyError: the server refuses it, or gave no usable answer within the retries.
            UsageError: the server does not start, or dies again and again.
        """
        question, reason = wire.body(request, self._model, self._chat), ""
        began = time.monotonic()
        async with self._gate:
            for attempt in range(self._retries + 1):
                if _late(request):
                    return aborted(self.version)
                await self.ready()
                starts = self._starts
                try:
                    async with self._turnstile.passing():
                        version = self.version
                        async with asyncio.timeout(self._patience(request)):
                            reply = await self._client.post("/v1/completions", json=question)
                    if reply.status_code in REFUSED:
                        raise PolicyError(f"vllm: {wire.refusal(reply)}")
                    if reply.is_error:
                        reason = wire.refusal(reply)
                    else:
                        found, cut = wire.read(reply, request, self._model, self._chat, self._vocabulary)
                        if not cut:
                            return replace(found, version=version, seconds=time.monotonic() - began)
                        reason = "the server cut the answer short"
                except TimeoutError:
                    if _late(request):
                        return aborted(self.version)
                    reason = f"no answer in {self._timeout:g} s"
                except httpx.HTTPError as error:
                    reason = f"{type(error).__name__}: {error}".rstrip(": ")
                except (ValueError, RecursionError) as error:
                    reason = f"the answer cannot be used: {error}"
                self.retries_made += 1
                log.warning("%s, turn %d: %s", request.trajectory, request.turn, reason)
                await self._examine(starts)
                await asyncio.sleep(min(0.1 * 2**attempt, 5.0))
        raise PolicyError(f"vllm: {reason} (after {self._retries + 1} tries)")

    async def score(self, prompt: tuple[int, ...], answer: tuple[int, ...]) -> tuple[float, ...]:
        """Log-probability of each token of an answer that is given.

        Raises:
            PolicyError: the server did not say.
        """
        async with self._gate:
            await self.ready()
            try:
                async with self._turnstile.passing(), asyncio.timeout(self._timeout):
                    reply = await self._client.post(
                        "/v1/completions", json=wire.score_body(prompt, answer, self._model)
                    )
                if reply.is_error:
                    raise PolicyError(f"vllm: {wire.refusal(reply)}")
                return wire.read_score(reply, prompt, answer)
            except (TimeoutError, httpx.HTTPError, ValueError) as error:
                raise PolicyError(f"vllm: no log-probabilities: {type(error).__name__}: {error}") from error

    # Weights --------------------------------------------------------------------------------------------------------

    async def load(self, pack: Pack) -> None:
        """New weights: turns under way are finished with the old ones first, and what is cached of them goes.

        Raises:
            PolicyError: the server refused them and has the old ones still, or failed and is started again with the
                old ones when it is next asked.
        """
        await self.ready()
        async with self._turnstile.alone():
            await self._send(pack)
        old, self._pack = self._pack, pack
        if old is not None and old.path != pack.path:
            old.path.unlink(missing_ok=True)

    async def _send(self, pack: Pack) -> None:
        told = {
            "path": str(pack.path),
            "checksum": pack.checksum,
            "version": str(pack.version),
            "manifest": str(self._folder / "model" / MANIFEST),
        }
        what = f"vllm: weights of version {pack.version}"
        try:
            async with asyncio.timeout(self._start_timeout):
                await self._command("/pause?mode=wait")
                reply = await self._client.post("/collective_rpc", json={"method": "agentgym_load", "kwargs": told})
                _raise(reply)
                workers: list[dict[str, Any]] = reply.json()["results"]
                refusals = [str(w["refused"]) for w in workers if "refused" in w]
                if workers and len(refusals) == len(workers):  # Nobody has touched anything.
                    await self._command("/resume")
                    raise PolicyError(f"{what} were refused: {refusals[0][:300]}")
                if not workers or any(w["checksum"] != pack.checksum for w in workers):
                    raise ValueError("the server's checksum is another one")
                await self._command("/reset_prefix_cache")
                await self._command("/update_weight_version", {"new_version": str(pack.version)})
                await self._command("/resume")
        except (TimeoutError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            await self._down()
            raise PolicyError(f"{what} did not arrive: {type(error).__name__}: {error}") from error
        self.version = pack.version

    async def forget_prefixes(self) -> None:
        """Nothing of the prefix cache is used again."""
        await self.ready()
        async with self._turnstile.alone():
            await self._command("/reset_prefix_cache")

    async def _command(self, path: str, content: dict[str, str] | None = None) -> None:
        _raise(await self._client.post(path, json=content))

    # Life and death -------------------------------------------------------------------------------------------------

    @property
    def restarts_made(self) -> int:
        """How many times the server had to be started again."""
        return max(0, self._starts - 1)

    @property
    def _starts(self) -> int:
        return 0 if self._server is None else self._server.starts

    async def ready(self) -> None:
        """See that there is a server that listens and has the weights it should have; start it if there is none.

        Raises:
            UsageError: it does not start, is another model's, or has died too often.
        """
        async with self._mending:
            server = self._server
            if self._up and (server is None or server.alive):
                return
            self._up = False
            if server is None:
                await self._meet()
            else:
                if self._hopeless is not None:
                    raise UsageError(self._hopeless)
                if server.starts > self._restarts:
                    raise UsageError(
                        f"vllm: the server has ended {server.starts} times: {server.reason()}; its log: {server.log}"
                    )
                if server.starts:
                    log.warning("the server is started again: %s", server.reason())
                await asyncio.to_thread(server.start)
                await self._await_health(server)
                self.version = self._exported
                if self._pack is not None:
                    await self._send(self._pack)
            self._up = True

    async def _await_health(self, server: Server) -> None:
        ends = time.monotonic() + self._start_timeout
        while time.monotonic() < ends:
            if not server.alive:
                break
            if server.socket.exists() and await self._well():
                return
            await asyncio.sleep(0.1)
        late = server.alive
        reason = server.reason()
        await asyncio.to_thread(server.stop)
        what = f"was not ready after {self._start_timeout:g} s (start_timeout)" if late else "did not start"
        # All who wait are told, and nobody tries again what would end the same way.
        self._hopeless = f"vllm: the server {what}: {reason}; its log: {server.log}"
        raise UsageError(self._hopeless)

    async def _meet(self) -> None:
        try:
            async with asyncio.timeout(PROBE):
                reply = await self._client.get("/v1/models")
            _raise(reply)
            known = [str(entry["id"]) for entry in reply.json()["data"]]
        except (TimeoutError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise PolicyError(f"vllm: {self._client.base_url} is no server: {type(error).__name__}: {error}") from error
        if self._model not in known:
            raise UsageError(f"vllm: {self._client.base_url} serves {', '.join(known)[:200]}, not {self._model!r}")

    async def _well(self) -> bool:
        try:
            async with asyncio.timeout(PROBE):
                return not (await self._client.get("/health")).is_error
        except (TimeoutError, httpx.HTTPError):
            return False

    async def _examine(self, starts: int) -> None:
        """After a failed request: is the server well? It may listen and be dead inside, so one token is asked for."""
        if self._server is None:
            return
        async with self._mending:
            if self._starts != starts or not self._up:
                return  # Somebody else has seen to it.
            probe = {"model": self._model, "prompt": [0], "max_tokens": 1}
            try:
                async with asyncio.timeout(min(PROBE, self._timeout)):
                    well = not (await self._client.post("/v1/completions", json=probe)).is_error
            except (TimeoutError, httpx.HTTPError):
                well = False
            if not well:
                await self._down()

    async def _down(self) -> None:
        """Stop what is beyond help; who comes next starts it again."""
        self._up = False
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    async def close(self) -> None:
        """Stop the server if it is ours, and close the connections."""
        await self._client.aclose()
        await self._down()

    def _patience(self, request: Request) -> float:
        left = self._timeout if request.deadline is None else request.deadline - time.monotonic()
        return max(0.0, min(self._timeout, left))


def aborted(version: int) -> Completion:
    """The answer to a request whose time is up."""
    return Completion("", (), (), finish="abort", version=version)


def _late(request: Request) -> bool:
    return request.deadline is not None and time.monotonic() >= request.deadline


def _raise(reply: httpx.Response) -> None:
    if reply.is_error:
        raise ValueError(wire.refusal(reply))
