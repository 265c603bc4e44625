"""The rollout engine on environments and policies whose timing and words are known."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import models
from agentgym.dialects import get
from agentgym.errors import UsageError
from agentgym.limits import Limits
from agentgym.policy import Sampling
from agentgym.rollout import attempts, collect, rollout
from agentgym.types import Completion, Ending, Observation, Step, Task


class Script:
    """A host whose task data says how many turns it takes, and how long each."""

    def __init__(self, delay):
        self.delay = delay

    async def reset(self, task, seed):
        self.task, self.seed, self.turn = task, seed, 0
        await self.delay()
        return Observation(f"{task.id} {seed}", state="start")

    async def step(self, action):
        self.turn += 1
        await self.delay()
        data = self.task.data
        seen = Observation(f"turn {self.turn}: {action}")
        if self.turn < data.get("length", 3):
            return Step.on(seen, 0.5, rewards={"shape": 0.5}, progress=self.turn / 10)
        end = data.get("end", "success")
        return {
            "success": Step.success(seen, 1.0),
            "failure": Step.failure(seen, -1.0),
            "cut": Step.cut(seen, 0.0, Ending.OUT_OF_TOKENS),
            "truncated": Step(seen, 0.0, False, True, {}),
            "outcome": Step.success(seen, 0.0, outcome=7.0),
            "infra": Step.cut(seen, 0.0, Ending.INFRA_ERROR),
        }[end]

    async def oracle(self):
        return None

    def close(self):
        pass


class Scripts:
    """Hosts that take no time, or a random one."""

    size = None

    def __init__(self, longest=0.0, seed=0):
        self.rng, self.longest = random.Random(seed), longest
        self.out, self.most, self.broken = 0, 0, 0

    async def acquire(self, alone=False):
        self.out += 1
        self.most = max(self.most, self.out)
        return Script(self.delay)

    async def delay(self):
        if self.longest:
            await asyncio.sleep(self.rng.random() * self.longest)

    def release(self, host, broken=False):
        self.out -= 1
        self.broken += broken

    def close(self):
        pass


class Talker:
    """A batch policy that notes who was asked together."""

    tokenizer, wants_oracle, version = None, False, 3

    def __init__(self, batching="batch", max_batch=4, seconds=0.0, text="go"):
        self.batching, self.max_batch, self.seconds, self.text = batching, max_batch, seconds, text
        self.batches, self.forgotten, self.running = [], Counter(), 0

    async def complete(self, requests):
        assert len(requests) <= self.max_batch
        self.running += 1
        assert self.running == 1 or self.batching == "each"
        self.batches.append([(r.trajectory, r.turn, r.seed) for r in requests])
        await asyncio.sleep(self.seconds)
        self.running -= 1
        return [Completion(self.text or "", version=self.version) for _ in requests]

    def forget(self, trajectory):
        self.forgotten[trajectory] += 1

    def close(self):
        pass


def play(todo, policy=None, hosts=None, **more):
    given = {"env": "script-v0", "dialect": "plain", "limits": Limits(turns=10), "backoff": 0.0}
    return collect(todo, policy=policy or Talker(), hosts=hosts or Scripts(), **{**given, **more})


def test_attempts_of_a_group_share_the_start_and_not_the_sampling():
    found = attempts([Task("a"), Task("b"), Task("a")], 3, seed=5, prefix="it1/")
    assert [x.id for x in found][:4] == ["it1/a#0", "it1/a#1", "it1/a#2", "it1/b#0"]
    assert [len({x.env_seed for x in found if x.group == g}) for g in ("it1/a", "it1/b", "it1/a~2")] == [1, 1, 1]
    assert len({x.env_seed for x in found}) == 3
    assert len({x.seed for x in found}) == len({x.id for x in found}) == 9
    assert found == attempts([Task("a"), Task("b"), Task("a")], 3, seed=5, prefix="it1/")
    with pytest.raises(UsageError, match="group_size must be at least 1"):
        attempts([Task("a")], 0, 0)


@pytest.mark.parametrize(
    ("end", "ending", "score", "success"),
    [
        ("success", Ending.SUCCESS, 2.0, True),
        ("failure", Ending.FAILURE, 0.0, False),
        ("cut", Ending.OUT_OF_TOKENS, 1.0, False),
        ("truncated", Ending.OUT_OF_TURNS, 1.0, False),
        ("outcome", Ending.SUCCESS, 7.0, True),
        ("infra", Ending.INFRA_ERROR, 1.5, False),
    ],
)
def test_what_an_environment_ends_with(end, ending, score, success):
    hosts = Scripts()
    (found,) = play(attempts([Task("t", data={"end": end}, split="heldout")], 1, 0), hosts=hosts, retries=0)
    if end != "infra":
        assert (found.ending, found.score, found.success, found.split) == (ending, score, success, "heldout")
        assert [turn.reward for turn in found.turns][:2] == [0.5, 0.5]
        assert found.turns[0].rewards == {"shape": 0.5}
        assert found.turns[0].info == {"progress": 0.1}
        assert found.turns[0].weights_version == 3
        assert found.final == Observation("turn 3: go")
    assert found.ending is ending
    assert hosts.out == 0


@pytest.mark.parametrize(
    ("limits", "length", "ending", "turns"),
    [
        (Limits(turns=4), 100, Ending.OUT_OF_TURNS, 4),
        (Limits(turns=3), 3, Ending.SUCCESS, 3),
        (Limits(turns=10**6, seconds=0.05), 10**6, Ending.OUT_OF_TIME, None),
    ],
)
def test_limits_cut(limits, length, ending, turns):
    (found,) = play(attempts([Task("t", data={"length": length})], 1, 0), limits=limits)
    assert found.ending is ending
    assert turns is None or len(found.turns) == turns
    assert found.final is not None


class Typist(Talker):
    """Says four tokens a turn."""

    async def complete(self, requests):
        tokens = (tuple(self.tokenizer.encode("abc")) if self.tokenizer else (1, 2, 3)) + (257,)
        return [Completion("abc", tokens, (0.0,) * 4) for _ in requests]


def test_tokens_are_limited_with_and_without_a_ledger():
    policy = Typist()
    todo = attempts([Task("t", data={"length": 100})], 1, 0)
    (found,) = play(todo, policy, limits=Limits(turns=50, tokens=24), sampling=Sampling(max_tokens=8))
    assert (found.ending, len(found.turns)) == (Ending.OUT_OF_TOKENS, 5)
    policy.tokenizer = models.load("scratch:tiny").chat
    for tokens in (5, 200, 205, 300):
        (found,) = play(todo, policy, limits=Limits(turns=50, tokens=tokens), sampling=Sampling(max_tokens=8))
        assert found.ending is Ending.OUT_OF_TOKENS
        assert bool(found.turns) == bool(found.samples) == (tokens > 100)
        if found.turns:
            assert len(found.samples[0].tokens) <= tokens


def test_the_policy_sees_the_conversation():
    class Reader(Talker):
        async def complete(self, requests):
            self.seen = requests[0].messages
            return await super().complete(requests)

    policy = Reader()
    play(attempts([Task("t", prompt="Do it.")], 1, 0), policy, system="Be brief.", dialect="action-tag")
    assert policy.seen[0] == ("system", f"Be brief.\n\nDo it.\n\n{get('action-tag').instructions}")
    assert [m.role for m in policy.seen] == ["system", *["user", "assistant"] * 9, "user"]
    assert {m.content for m in policy.seen if m.role == "assistant"} == {"go"}


def test_a_malformed_answer_is_an_observation_in_the_same_state():
    (found,) = play(attempts([Task("t")], 1, 0), Talker(text=""), limits=Limits(turns=3))
    assert found.ending is Ending.OUT_OF_TURNS
    assert [turn.action for turn in found.turns] == [None] * 3
    assert {turn.observation.state_key for turn in found.turns} == {"start"}
    assert {turn.info["fault"] for turn in found.turns} == {"format"}


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    slots=st.integers(1, 6),
    max_batch=st.integers(1, 4),
    batching=st.sampled_from(["each", "batch"]),
    schedule=st.sampled_from(["eager", "ordered"]),
    seed=st.integers(0, 9),
)
def test_every_attempt_is_played_once_and_no_more_than_slots_at_once(
    lengths, slots, max_batch, batching, schedule, seed
):
    tasks = [Task(f"t{i}", data={"length": n}) for i, n in enumerate(lengths)]
    hosts, policy, ended, turns = Scripts(0.001, seed), Talker(batching, max_batch), [], Counter()
    found = play(
        attempts(tasks, 2, seed), policy, hosts, slots=slots, schedule=schedule, on_trajectory=ended.append,
        on_turn=lambda attempt, turn: turns.update([attempt.id]),
    )  # fmt: skip
    assert [t.id for t in found] == [a.id for a in attempts(tasks, 2, seed)]
    assert [len(t.turns) for t in found] == [n for n in lengths for _ in range(2)]
    assert sorted(t.id for t in ended) == sorted(t.id for t in found)
    assert turns == {t.id: len(t.turns) for t in found}
    assert policy.forgotten == {t.id: 1 for t in found}
    assert hosts.most <= slots
    assert hosts.out == hosts.broken == 0


def test_ordered_batches_do_not_depend_on_timing():
    tasks = [Task(f"t{i}", data={"length": 1 + i * 5 % 7}) for i in range(9)]
    seen = []
    for seed, longest in ((0, 0.0), (1, 0.004), (2, 0.004)):
        policy = Talker(max_batch=3)
        play(attempts(tasks, 2, 0), policy, Scripts(longest, seed), slots=7, schedule="ordered")
        seen.append(policy.batches)
    assert seen[0] == seen[1] == seen[2]
    assert [len(batch) for batch in seen[0][:3]] == [3, 3, 1]


def test_eager_does_not_wait_for_a_slow_episode():
    class Slow(Scripts):
        async def acquire(self, alone=False):
            host = await super().acquire(alone)
            if self.out == 1:
                host.delay = lambda: asyncio.sleep(0.2)
            return host

    ended = []
    play(attempts([Task(f"t{i}") for i in range(30)], 1, 0), Talker(), Slow(), slots=4, on_trajectory=ended.append)
    assert ended[-1].task_id == "t0"


def test_a_batch_policy_is_called_with_all_that_wait():
    policy = Talker(max_batch=64, seconds=0.005)
    play(attempts([Task(f"t{i}") for i in range(16)], 1, 0), policy, slots=16)
    assert [len(batch) for batch in policy.batches] == [16, 16, 16]


def test_abandoned_requests_end_when_time_is_up():
    class Quitter(Talker):
        async def complete(self, requests):
            await asyncio.sleep(0.03)
            return [Completion("", finish="abort") for _ in requests]

    (late,) = play(attempts([Task("t")], 1, 0), Quitter(), limits=Limits(turns=3, seconds=0.01))
    assert late.ending is Ending.OUT_OF_TIME
    (early,) = play(attempts([Task("t")], 1, 0), Quitter(), retries=1)
    assert (early.ending, early.retries) == (Ending.INFRA_ERROR, 1)


def test_leaving_early_leaves_nothing_behind():
    hosts = Scripts(0.01)

    async def some():
        found = rollout(
            attempts([Task(f"t{i}", data={"length": 50}) for i in range(20)], 1, 0), env="x", policy=Talker(),
            limits=Limits(turns=i_am_short), dialect="plain", hosts=hosts, slots=5,
        )  # fmt: skip
        async for _ in found:
            break
        await found.aclose()
        return len(asyncio.all_tasks())

    i_am_short = 2
    assert asyncio.run(some()) == 1
    assert hosts.out == 0


def test_wrong_arguments():
    todo = attempts([Task("t")], 1, 0)
    with pytest.raises(UsageError, match="slots must be at least 1"):
        play(todo, slots=0)
    with pytest.raises(UsageError, match="'eager' or 'ordered'"):
        play(todo, schedule="fast")
    with pytest.raises(UsageError, match="same id"):
        play(todo * 2)

    async def inside():
        play(todo)

    with pytest.raises(UsageError, match="event loop"):
        asyncio.run(inside())

    class Mute(Talker):
        async def complete(self, requests):
            return []

    with pytest.raises(UsageError, match=r"Mute\.complete must answer each request: got 0 for 1"):
        play(todo, Mute())
