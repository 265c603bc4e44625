"""Model servers that fail: what passes is asked again, what does not is an infra error, and nobody else is touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bad_server import HARMLESS, PASSING, BadServer, Plan
from faults_run import Tally

from agentgym.errors import PolicyError
from agentgym.host import HostPool
from agentgym.limits import Limits
from agentgym.policy import Request, Sampling
from agentgym.rollout import attempts, collect
from agentgym.seeding import generator
from agentgym.types import Completion, Ending, Message, Observation, Task, Trajectory
from agentgym_policies.openai import OpenAIPolicy

BROKEN = f"{Path(__file__).parent / 'broken.py'}:SPEC"
TIMEOUT, RETRIES = 0.3, 5


def asked(url: str, seeds: Sequence[int], **options: float) -> list[Completion | PolicyError]:
    """One request after the other, over the same connections: their answers, or why there are none."""
    policy = OpenAIPolicy("m", url, **{"timeout": TIMEOUT, "retries": RETRIES, "backoff": 0.01, **options})

    async def run() -> list[Completion | PolicyError]:
        found: list[Completion | PolicyError] = []
        for seed in seeds:
            request = Request("t", 0, (Message("user", "x"),), Observation("x"), seed, Sampling())
            try:
                found += await policy.complete([request])
            except PolicyError as error:
                found.append(error)
        await policy.disconnect()
        return found

    return asyncio.run(run())


def passing(troubles: Sequence[str] = PASSING) -> Tally:
    """Each trouble twice, then a good answer: the right one, and so are those to the requests after it."""
    tally = Tally("model servers that fail twice, then answer: the right answer")
    for trouble in troubles:
        with BadServer(
            lambda body, tries, trouble=trouble: trouble if tries < 2 and body["seed"] != 1 else "good"
        ) as s:
            got = asked(s.url, [1, 2, 3, 4])
        wrong = [(g.text if isinstance(g, Completion) else str(g)) for g in got]
        tally.add("" if wrong == [f"go {seed}" for seed in (1, 2, 3, 4)] else f"{trouble}: {wrong}")
    tally.note = f"{len(troubles)} kinds of trouble"
    return tally


def lasting(troubles: Sequence[str] = PASSING) -> Tally:
    """Each trouble for good: an infra error that says why, after as many tries as were allowed, in bounded time."""
    tally, slowest = Tally("model servers that never answer: an infra error within the retries"), 0.0
    for trouble in troubles:
        if trouble in HARMLESS:
            continue
        with BadServer(lambda body, tries, trouble=trouble: trouble) as server:
            began = time.monotonic()
            (got,) = asked(server.url, [5], retries=2)
            seconds = time.monotonic() - began
            slowest = max(slowest, seconds)
            tries = sum(server.asked.values())
        said = f"{got} after {seconds:.1f} s and {tries} requests"
        good = isinstance(got, PolicyError) and "after 3 tries" in str(got) and tries == 3 and seconds < 3 * TIMEOUT + 2
        tally.add("" if good else f"{trouble}: {said}")
    tally.note = f"slowest {slowest:.1f} s"
    return tally


def played(plan: Plan, episodes: int) -> tuple[list[Trajectory], BadServer]:
    """Episodes with a server that follows a plan."""
    tasks = [Task(f"t{i}") for i in range(episodes)]
    with BadServer(plan) as server, HostPool(BROKEN, kind="inline") as hosts:
        policy = OpenAIPolicy("m", server.url, timeout=TIMEOUT, retries=RETRIES, backoff=0.01)
        found = collect(
            attempts(tasks, 1, 0), env="broken-v0", policy=policy, limits=Limits(turns=8), hosts=hosts, slots=16,
            retries=1, backoff=0.01, dialect="plain",
        )  # fmt: skip
        policy.close()
    return found, server


def timeless(trajectory: Trajectory) -> Trajectory:
    """Without what a clock says."""
    turns = tuple(
        replace(turn, env_seconds=0.0, completion=replace(turn.completion, seconds=0.0)) for turn in trajectory.turns
    )
    return replace(trajectory, turns=turns, seconds=0.0, retries=0)


def stormy(episodes: int, seed: int = 0) -> Tally:
    """Every third request meets a trouble of any kind, and every tenth episode a server that never answers it."""
    tally = Tally("episodes beside a model server in trouble: healthy ones equal to those without")
    calm, _ = played(lambda body, tries: "good", episodes)
    doomed = {turn.completion.text for t in calm[::10] for turn in t.turns[1:2]}

    def plan(body: dict[str, object], tries: int) -> str:
        if f"go {body['seed']}" in doomed:
            return "overloaded"
        rng = generator(seed, "storm", int(str(body["seed"])), tries)
        return str(rng.choice(PASSING)) if rng.random() < 1 / 3 else "good"

    stormed, server = played(plan, episodes)
    for number, (found, wanted) in enumerate(zip(stormed, calm, strict=True)):
        if number % 10:
            tally.add("" if timeless(found) == timeless(wanted) else f"{found.id}: {found.ending} {found.error}")
        else:
            lost = found.ending is Ending.INFRA_ERROR and not found.trainable and not found.samples
            # The reason is that of the last try, which on a busy machine may be something else.
            told = f"after {RETRIES + 1} tries" in (found.error or "")
            tally.add("" if lost and told else f"{found.id}: {found.ending} {found.error}")
    most = max(server.asked.values())
    if most > 2 * (RETRIES + 1):
        tally.failed.append(f"a request was sent {most} times")
    bad = sum(n for name, n in server.did.items() if name != "good")
    tally.note = f"{bad} of {sum(server.did.values())} requests in trouble, most tries of one {most}"
    return tally
