"""Model servers that time out, drop, throttle, answer late, twice, garbage, and never end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from email.utils import formatdate

import httpx
import pytest
from bad_server import BadServer
from faults_policy import asked, lasting, passing, stormy
from faults_run import FULL, Tally

from agentgym.errors import PolicyError
from agentgym.policy import Request, Sampling
from agentgym.types import Completion, Message, Observation
from agentgym_policies.openai import OpenAIPolicy
from agentgym_policies.openai_wire import Given, asked_for

Figures = Callable[[Tally], None]


def test_what_passes_is_asked_again(figures: Figures) -> None:
    figures(passing())


def test_what_does_not_pass_is_an_infra_error(figures: Figures) -> None:
    figures(lasting())


def test_episodes_beside_trouble_are_those_without(figures: Figures) -> None:
    logging.getLogger("agentgym.rollout").setLevel(logging.ERROR)
    try:
        figures(stormy(600 if FULL else 40))
    finally:
        logging.getLogger("agentgym.rollout").setLevel(logging.NOTSET)


def test_a_server_with_one_id_for_everything_is_believed() -> None:
    class Same(BadServer):
        def _do(self, connection, trouble, answer):  # type: ignore[no-untyped-def]
            return super()._do(connection, trouble, {**answer, "id": "chatcmpl-0"})

    with Same(lambda body, tries: "good") as server:
        got = asked(server.url, range(6))
        assert [g.text for g in got if isinstance(g, Completion)] == [f"go {seed}" for seed in range(6)]
        assert sum(server.asked.values()) == 7, "asked again once, then its ids are known to tell nothing"


def test_ids_are_not_kept_without_end() -> None:
    given = Given()
    assert not any(given.before({"id": f"a{i}"}) for i in range(10_000))
    assert len(given._ids) <= 4096
    assert not any(given.before(odd) for odd in ({}, {"id": 3}, {"id": 3}, {"id": ""}, {"id": ""}, [], None))


def test_nobody_waits_longer_than_the_episode_has() -> None:
    # A server that is told to be busy for a year must not hold an episode whose time is over in half a second.
    class Busy(BadServer):
        def _do(self, connection, trouble, answer):  # type: ignore[no-untyped-def]
            connection.sendall(b"HTTP/1.1 429 X\r\nretry-after: 31536000\r\ncontent-length: 0\r\n\r\n")
            return True

    with Busy(lambda body, tries: "good") as server:
        policy = OpenAIPolicy("m", server.url, timeout=1.0)
        until = time.monotonic() + 0.5
        request = Request("t", 0, (Message("user", "x"),), Observation("x"), 1, Sampling(), deadline=until)

        async def ask() -> None:
            try:
                await policy.complete([request])
            finally:
                policy.close()
                await asyncio.sleep(0)

        with pytest.raises(PolicyError, match=r"HTTP 429.*after 1 tries"):
            asyncio.run(ask())
        assert time.monotonic() < until + 1


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-4", 0.0), ("nan", 0.0), ("", None), ("soon", None), ("Sat, 99 Foo", None)],
)
def test_retry_after_in_seconds(said: str, seconds: float | None) -> None:
    assert asked_for(httpx.Response(429, headers={"retry-after": said})) == seconds


def test_retry_after_as_a_date_is_read_by_the_servers_clock() -> None:
    headers = {"retry-after": formatdate(1_000_007, usegmt=True), "date": formatdate(1_000_000, usegmt=True)}
    assert asked_for(httpx.Response(429, headers=headers)) == 7.0
    assert asked_for(httpx.Response(429, headers={"retry-after": headers["date"]})) == 0.0
