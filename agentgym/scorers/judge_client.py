"""Asks a judge over the OpenAI chat-completions protocol, as often as it takes to get a verdict or give up."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from agentgym import secrets
from agentgym.scorers.prompts import Question
from agentgym.scorers.verdict import BadVerdictError, read

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
MAX_WAIT = 30.0
"""Most seconds between two tries, whatever the server asks for."""
LARGEST = 1 << 20
"""Most bytes of an answer that are read."""


class NoVerdictError(Exception):
    """No usable verdict within the tries; says why the last one failed, without the key."""


class Answer(NamedTuple):
    """A verdict."""

    reply: str
    score: float
    tries: int


class JudgeClient:
    """A connection to one judge, for any number of threads."""

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        api_key_env: str,
        timeout: float,
        retries: int,
        backoff: float,
        max_tokens: int,
        concurrency: int,
        extra: Mapping[str, Any],
    ) -> None:
        """Args: as in `Judge`.

        Raises:
            UsageError: `api_key_env` is no variable's name, or the key has characters that no header can carry.
        """
        self._model, self._url = model, base_url.rstrip("/")
        self._timeout, self._retries, self._backoff, self._max_tokens = timeout, retries, backoff, max_tokens
        self._extra = dict(extra)
        key = secrets.find(env=api_key_env, what="judge's key")
        headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}
        secrets.know_url(base_url)
        limits = httpx.Limits(max_connections=concurrency)
        self._client = httpx.Client(headers=headers, timeout=timeout, limits=limits)

    def ask(self, question: Question) -> Answer:
        """A verdict. A reply that is none counts as a failed try, like a server that does not answer.

        Raises:
            NoVerdictError: the tries are used up, or the server refused for good.
        """
        reason = ""
        for attempt in range(self._retries + 1):
            wait: float | None = None
            try:
                status, headers, body = self._post(question, attempt)
                if status == 200:
                    reply = secrets.hide(_content(body))  # A server may show what it was sent.
                    return Answer(reply, read(reply, question.verdict, question.statements), attempt + 1)
                said = secrets.redact(" ".join(body.decode(errors="replace").split()))  # Before a key is cut in two.
                reason = f"HTTP {status}: {said[:300]}"
                if status not in RETRIED:
                    raise NoVerdictError(reason)
                wait = _asked_for(headers)
            except BadVerdictError as error:
                reason, wait = f"its reply is no verdict: {error}", 0.0
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
            except (ValueError, RecursionError) as error:
                reason = f"its answer is not a chat completion: {error}"
            if attempt < self._retries:
                time.sleep(min(self._backoff * 2**attempt if wait is None else wait, MAX_WAIT))
        raise NoVerdictError(secrets.redact(f"{reason} (after {self._retries + 1} tries)"))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _post(self, question: Question, attempt: int) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body, within the time for one try however slowly the server drips."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ],
            # Asked for the same again, a judge would say the same again: later tries are drawn.
            "temperature": 0.0 if attempt == 0 else 0.5,
            "seed": attempt,
            "max_tokens": self._max_tokens,
            **self._extra,
        }
        deadline = time.monotonic() + self._timeout
        with self._client.stream("POST", f"{self._url}/chat/completions", json=body) as reply:
            data = b""
            for part in reply.iter_bytes():
                data += part
                if len(data) > LARGEST:
                    raise ValueError(f"more than {LARGEST} bytes")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"no whole answer within {self._timeout:g} s")
            return reply.status_code, reply.headers, data


def _content(body: bytes) -> str:
    """The text of a chat completion.

    Raises:
        ValueError: it is something else.
    """
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(text, str):
        raise ValueError("its content is not text")
    return text


def _asked_for(headers: httpx.Headers) -> float | None:
    """Seconds that the server wants us to wait."""
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None
