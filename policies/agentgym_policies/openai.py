"""Any server that speaks the OpenAI chat-completions protocol: vLLM, SGLang, llama.cpp, hosted models.

Answers come as text; token ids and log-probabilities come along where the server gives them (vLLM does). The server
applies its own chat template, so this policy keeps no token ledger.

With the dialect `openai` (or `native_tools`) tools are the server's business, too: requests carry the environment's
tool schemas as `tools`, the answer's `tool_calls` become the text of the dialect, and the conversation goes back with
calls and results under their ids (`agentgym_policies.openai_tools`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import httpx

from agentgym import dialects, secrets
from agentgym.errors import PolicyError, UsageError
from agentgym.policy import Request
from agentgym.seeding import derive
from agentgym.types import Completion
from agentgym_policies import openai_tools
from agentgym_policies.openai_wire import Given, asked_for, post

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
MAX_WAIT = 30.0
"""Most seconds between two tries, whatever the server asks for."""


class OpenAIPolicy:
    """Asks a server; retries with backoff what may pass, and says plainly what will not.

    Attributes:
        retries_made: how many requests had to be sent again so far.
    """

    batching: Literal["each", "batch"] = "each"
    max_batch = 1
    tokenizer = None
    wants_oracle = False
    version = 0

    def __init__(
        self,
        model: str,
        base_url: str = "http://127.0.0.1:8000/v1",
        *,
        api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 60.0,
        retries: int = 4,
        backoff: float = 0.5,
        concurrency: int = 64,
        extra: Mapping[str, Any] | None = None,
        dialect: str = "plain",
        native_tools: bool | None = None,
    ) -> None:
        """Args: `model` the server's name for it; `api_key_env` the environment variable that holds the key, which is
        sent only to `base_url` and never shown; `timeout` seconds for one try, its last byte included; `retries`
        further tries; `backoff` seconds before the first of them, doubled each time; `concurrency` requests at once;
        `extra` more fields of the request body; `dialect` what answers with `tool_calls` are written as, and read by
        the environment; `native_tools` whether tools are given to the server and calls taken from it, where the
        environment has tools (`None`: where the dialect is `openai`).

        Raises:
            UsageError: an address, a number or a variable's name that cannot be.
            UnknownNameError: there is no such dialect.
        """
        if not base_url.startswith(("http://", "https://")):
            raise UsageError(f"base_url must begin with http:// or https://, not {secrets.redact(base_url)!r}")
        if retries < 0 or concurrency < 1 or timeout <= 0:
            raise UsageError("retries must be 0 or more, concurrency at least 1, timeout above 0")
        self.model, self.base_url = model, base_url.rstrip("/")
        self._key = secrets.find(env=api_key_env, what="key")
        self._shown = secrets.know_url(self.base_url)
        self._timeout, self._retries, self._backoff = timeout, retries, backoff
        self._concurrency, self._extra = concurrency, dict(extra or {})
        self._open: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient, asyncio.Semaphore] | None = None
        self._dialect = dialects.get(dialect)
        self._native = dialect == "openai" if native_tools is None else native_tools
        self._tools: dict[str, list[Mapping[str, Any]]] = {}
        self.retries_made = 0
        self._given = Given()
        # Asked for until a server says that it does not know them.
        self._wishes: dict[str, Any] = {"logprobs": True, "return_token_ids": True}

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer requests, side by side.

        Raises:
            PolicyError: the server refused, or did not give a usable answer within the retries.
        """
        return list(await asyncio.gather(*(self._answer(request) for request in requests)))

    def forget(self, trajectory: str) -> None:
        """The trajectory is over: so are its tools."""
        self._tools.pop(trajectory, None)

    def close(self) -> None:
        """Close the connections."""
        if self._open is not None:
            loop, client, _ = self._open
            self._open = None
            if not loop.is_closed():
                # Between two runs of the loop there is time to say good-bye; inside of one, it is said soon.
                if loop.is_running():
                    loop.create_task(client.aclose())
                else:
                    loop.run_until_complete(client.aclose())

    async def disconnect(self) -> None:
        """Close the connections of the running event loop, before it ends; the next request opens others."""
        if self._open is not None and self._open[0] is asyncio.get_running_loop():
            client, self._open = self._open[1], None
            await client.aclose()

    def _client(self) -> tuple[httpx.AsyncClient, asyncio.Semaphore]:
        """The connections of the running event loop; they cannot serve another."""
        loop = asyncio.get_running_loop()
        if self._open is None or self._open[0] is not loop:
            headers = {"Authorization": f"Bearer {self._key.reveal()}"} if self._key else {}
            limits = httpx.Limits(max_connections=self._concurrency)
            client = httpx.AsyncClient(headers=headers, timeout=self._timeout, limits=limits)
            self._open = (loop, client, asyncio.Semaphore(self._concurrency))
        return self._open[1], self._open[2]

    async def _answer(self, request: Request) -> Completion:
        client, gate = self._client()
        began = time.monotonic()
        if self._native:
            self._learn(request)
        url, attempt, reason = f"{self.base_url}/chat/completions", 0, ""
        async with gate:
            for attempt in range(self._retries + 1):
                # Jitter from the request's own seed: many clients do not come back at once, and runs repeat.
                jitter = 0.5 + derive(request.seed, "retry", attempt) / 2**63
                pause = self._backoff * 2**attempt * jitter
                wished = dict(self._wishes)
                try:
                    body = self._body(request, wished)
                    reply, connection = await post(client, url, body, self._timeout, request.sampling.max_tokens)
                    refused = [name for name in wished if reply.status_code in (400, 422) and name in reply.text]
                    if reply.status_code in RETRIED:
                        reason, wait = self._refusal(reply), asked_for(reply)
                        pause = pause if wait is None else max(wait, self._backoff * jitter)
                    elif refused:
                        reason, pause = self._refusal(reply), 0.0
                        for name in refused:
                            self._wishes.pop(name, None)
                    elif not reply.is_success:
                        raise PolicyError(self._refusal(reply))
                    else:
                        answer = reply.json()
                        if self._given.before(answer):
                            await connection.aclose()  # All that is still in it answers other requests, too.
                            raise ValueError("it was given before, to another request")
                        native = self._dialect if request.trajectory in self._tools else None
                        return read(answer, self.version, time.monotonic() - began, native)
                except TimeoutError:
                    reason = f"{self._shown}: no whole answer within {self._timeout:g} s"
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    reason = f"{self._shown}: {type(error).__name__}: {error}".rstrip(": ")
                except (ValueError, RecursionError) as error:
                    reason = f"{self._shown}: the answer is not a chat completion: {error}"
                pause = min(pause, MAX_WAIT)
                if attempt == self._retries or _late(request, time.monotonic() + pause):
                    break
                self.retries_made += 1
                await asyncio.sleep(pause)
        raise PolicyError(secrets.redact(f"{reason} (after {attempt + 1} tries)"))

    def _learn(self, request: Request) -> None:
        """Which tools there are: environments tell it at the start, and when it changes."""
        if request.turn == 0:
            self._tools.pop(request.trajectory, None)
        if request.observation.tools is not None:
            self._tools[request.trajectory] = list(request.observation.tools)

    def _body(self, request: Request, wished: Mapping[str, Any]) -> dict[str, Any]:
        sampling = request.sampling
        messages = [m._replace(content=_sendable(m.content)) for m in request.messages]
        tools = self._tools.get(request.trajectory)
        told: list[dict[str, Any]] = (
            [{"role": m.role, "content": m.content} for m in messages]
            if tools is None
            else openai_tools.conversation(messages, self._dialect)
        )
        body: dict[str, Any] = {
            "model": self.model,
            "messages": told,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": request.seed % 2**31,
            **wished,
        }
        if tools:
            body["tools"] = tools
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        return {**body, **self._extra}

    def _refusal(self, reply: httpx.Response) -> str:
        try:
            error: Any = reply.json().get("error", "")
            message = str(error.get("message", error) if isinstance(error, dict) else error)
        except (ValueError, AttributeError, RecursionError):
            message = reply.text
        # Taken out before the rest is cut off: of a key that is cut in two, half would stay.
        return f"{self._shown}: HTTP {reply.status_code}: {secrets.redact(' '.join(message.split()))[:300]}"


def read(data: Any, version: int, seconds: float, native: dialects.Dialect | None = None) -> Completion:
    """A chat completion as a `Completion`.

    Args:
        data: the server's answer, JSON values.
        version: of the weights.
        seconds: how long it took.
        native: what `tool_calls` are written as; `None` where none were asked for.

    Raises:
        ValueError: it is something else.
    """
    try:
        choice = data["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        if native is not None and message.get("tool_calls"):
            text = openai_tools.said(message, native)
        if not isinstance(text, str):
            raise TypeError("content is not text")
        if native is not None and not message.get("tool_calls"):
            text = openai_tools.worded(text, native)
        usage = data.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        steps = (choice.get("logprobs") or {}).get("content")
        ids = choice.get("token_ids")
        logprobs = tuple(float(step["logprob"]) for step in steps) if steps else None
        tokens = tuple(int(i) for i in ids) if ids else None
        prompt_tokens = int(usage.get("prompt_tokens") or 0)
        cached_tokens = int(details.get("cached_tokens") or 0)
        written = None if usage.get("completion_tokens") is None else int(usage["completion_tokens"])
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not all(map(math.isfinite, logprobs or ())):
        raise ValueError("a log-probability is no finite number")
    if any(not 0 <= number < 2**31 for number in (*(tokens or ()), prompt_tokens, cached_tokens, written or 0)):
        raise ValueError("a token id or a count of tokens is out of all bounds")
    if tokens is not None and logprobs is not None and len(tokens) != len(logprobs):
        raise ValueError(f"{len(tokens)} token ids come with {len(logprobs)} log-probabilities")
    return Completion(
        text=secrets.hide(text),  # A server may show what it was sent.
        tokens=tokens,
        logprobs=logprobs,
        finish="length" if choice.get("finish_reason") == "length" else "stop",
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        written=written,
        version=version,
        seconds=seconds,
    )


def _late(request: Request, now: float) -> bool:
    return request.deadline is not None and now >= request.deadline


def _sendable(text: str) -> str:
    """JSON in UTF-8 has no lone surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
