"""A client of retriever servers, with a deadline that holds, retries, and a memory of what was asked."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx

from agentgym import secrets
from agentgym.errors import UsageError
from agentgym.retrieval.base import MAX_QUERY, Hit, RetrieverError
from agentgym.retrieval.passages import whole
from agentgym.retrieval.wire import read_answer

MAX_ANSWER = 64 << 20
"""Bytes of an answer that are read; more is no answer."""
PAUSE = 0.2
"""Seconds before the first retry; doubled before each further one."""


class HttpRetriever:
    """Asks a server in the common `/retrieve` form; see `agentgym.retrieval.wire`.

    A search changes nothing, so it is asked again where the connection broke, the deadline passed, the server was busy
    (429, 5xx) or the answer was none. What then still fails is a `RetrieverError`: an infra error of the episode,
    never an empty result that a model would be blamed for.
    """

    def __init__(
        self,
        url: str,
        timeout: float = 30.0,
        retries: int = 2,
        cache: int = 4096,
        *,
        token: secrets.Secret | None = None,
    ) -> None:
        """Args:
            url: of the server; `/retrieve` is appended where the path is empty.
            timeout: seconds for one try, from the first byte sent to the last received.
            retries: further tries.
            cache: how many answers are remembered, the latest; 0 for none.
            token: that the server asks for (`agentgym.secrets.find` reads one).

        Raises:
            UsageError: no http address, or a number out of range.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"retriever url {secrets.redact(url)!r}: {error}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UsageError(f"retriever url {secrets.redact(url)!r}: must be like http://host:8000/retrieve")
        if not 0 < timeout < float("inf") or retries < 0 or cache < 0:
            raise UsageError(
                f"retriever: timeout must be above 0, retries and cache from 0 on, not {timeout!r}, {retries!r}, "
                f"{cache!r}"
            )
        self.url = str(parsed.copy_with(path="/retrieve") if parsed.path in ("", "/") else parsed)
        self._shown, self._token = secrets.know_url(self.url), token
        self._timeout, self._retries, self._size = timeout, retries, cache
        self._cache: OrderedDict[tuple[str, int], list[Hit]] = OrderedDict()
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self.requests = 0
        """Tries made so far."""

    def search(self, queries: Sequence[str], most: int) -> list[list[Hit]]:
        """What the server finds, the queries that are not remembered in one request.

        Raises:
            RetrieverError: the server is gone, hangs, refuses, or its answer is none; says which.
        """
        keys = [(whole(query[:MAX_QUERY]), most) for query in queries]
        with self._lock:
            known = {key: self._cache[key] for key in keys if key in self._cache}
        missing = list(dict.fromkeys(key for key in keys if key not in known))
        if missing:
            known |= dict(zip(missing, self._ask([query for query, _ in missing], most), strict=True))
            self._remember({key: known[key] for key in missing})
        return [list(known[key]) for key in keys]

    def close(self) -> None:
        """Close the connections; the next search opens them again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _remember(self, found: dict[tuple[str, int], list[Hit]]) -> None:
        with self._lock:
            self._cache |= found
            while len(self._cache) > self._size:
                self._cache.popitem(last=False)

    def _ask(self, queries: list[str], most: int) -> list[list[Hit]]:
        body = {"queries": queries, "topk": most, "return_scores": True}
        said = ""
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            self.requests += 1
            try:
                status, text = within(self._timeout, lambda: self._post(body))
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
                said = f"{type(error).__name__}: {error}".rstrip(": ")
                continue
            except ValueError as error:
                said = str(error)
                continue
            if status != 200:
                # Taken out before the rest is cut off: of a key that is cut in two, half would stay.
                shown = secrets.redact(" ".join(text[:10_000].decode("utf-8", "replace").split()))
                said = f"HTTP {status}: {shown[:300]}"
                if status != 429 and status < 500:
                    break  # The server understood and refuses: it will again.
                continue
            try:
                return read_answer(json.loads(text), len(queries), most)
            except (ValueError, RecursionError) as error:
                said = f"the answer is not in the form of /retrieve: {error}"
        raise RetrieverError(secrets.redact(f"{self._shown}: {said}")[:1000])

    def _post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        end = time.monotonic() + self._timeout
        with self._lock:
            if self._client is None:
                headers = {"Authorization": f"Bearer {self._token.reveal()}"} if self._token else {}
                self._client = httpx.Client(timeout=self._timeout, headers=headers)
            client = self._client
        content = bytearray()
        with client.stream("POST", self.url, json=body) as reply:
            for block in reply.iter_bytes():
                content += block
                if len(content) > MAX_ANSWER:
                    raise ValueError(f"the answer is longer than {MAX_ANSWER >> 20} MB")
                if time.monotonic() > end:
                    raise TimeoutError(f"no whole answer within {self._timeout:g} s")
        return reply.status_code, bytes(content)


T = TypeVar("T")


def within(seconds: float, function: Callable[[], T]) -> T:
    """What the function gives or raises, if it does in time.

    httpx bounds the wait for each piece, and a server that sends its answer byte by byte never lets that pass: so the
    function runs in a thread that is left behind at the deadline.

    Raises:
        TimeoutError: it did not.
    """
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(function())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="agentgym-retriever")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"no whole answer within {seconds:g} s")
    return found[0]
