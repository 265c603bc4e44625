"""One request to a chat-completions server, bounded in time and size, and what tells a good answer from a bad one.

A server is not believed more than it must be: its answer may never end, may be larger than memory, may name a charset
to look up, may hold numbers that are none, and may be the answer to somebody else.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

MAX_ANSWER, MAX_TOKEN = 1 << 20, 1 << 12
"""Most bytes of an answer: so many, and so many for each token that was asked for (log-probabilities take many)."""
IDS_KEPT = 4096
"""Answers that are known by their ids if they come again."""


async def post(
    client: httpx.AsyncClient, url: str, body: dict[str, Any], seconds: float, tokens: int
) -> tuple[httpx.Response, Any]:
    """Send one request.

    Args:
        client: the connections.
        url: where to.
        body: JSON values.
        seconds: for everything, the last byte included.
        tokens: most tokens that were asked for, which bounds the answer's size.

    Returns:
        The answer, read whole and with no header but those that retrying needs; and its connection, for `aclose`.

    Raises:
        TimeoutError: it took too long.
        ValueError: it is too large.
        httpx.HTTPError: the connection broke.
    """
    most = MAX_ANSWER + MAX_TOKEN * tokens
    async with asyncio.timeout(seconds), client.stream("POST", url, json=body) as streamed:
        content = bytearray()
        async for part in streamed.aiter_bytes():
            content += part
            if len(content) > most:
                raise ValueError(f"it has more than {most:,} bytes")
    # Without what it says of the content's form: a charset of the server's choice must not be looked up.
    kept = {name: streamed.headers[name] for name in ("retry-after", "date") if name in streamed.headers}
    reply = httpx.Response(streamed.status_code, headers=kept, content=bytes(content))
    return reply, streamed.extensions["network_stream"]


def asked_for(reply: httpx.Response) -> float | None:
    """Seconds that the server wants us to wait, as a number or as a date; `None` where it does not say."""
    said = reply.headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        # By the server's own clock where it shows it: ours may be wrong.
        now = parsedate_to_datetime(reply.headers["date"]).timestamp() if "date" in reply.headers else time.time()
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except (ValueError, OverflowError):
        return None


class Given:
    """The answers so far, by their ids: a server, or a proxy, that answers twice leaves the second answer in the
    connection, where the next request finds it as its own.

    A server that has one id for all its answers is known by giving it again when it is asked again: from then on its
    ids tell nothing.
    """

    def __init__(self) -> None:
        self._ids: OrderedDict[str, bool] = OrderedDict()
        self._telling = True

    def before(self, answer: Any) -> bool:
        """Whether this very answer was given before."""
        name = answer.get("id") if isinstance(answer, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if not self._telling or not isinstance(name, str) or not name:
            return False
        if name in self._ids:
            self._telling = not self._ids[name]
            self._ids[name] = True
            return self._telling
        self._ids[name] = False
        if len(self._ids) > IDS_KEPT:
            self._ids.popitem(last=False)
        return False
