"""The sampler's arena: whatever comes, goes and grows, each conversation's keys and values stay with it."""

from __future__ import annotations

import asyncio

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import models
from agentgym.policy import Request, Sampling
from agentgym.types import Observation
from agentgym_policies.slots import Arena
from agentgym_policies.transformers import TransformersPolicy

LAYERS, HEADS, DIM = 2, 2, 4
NAMES = ["a", "b", "c", "d", "e"]
CALL = st.tuples(st.permutations(NAMES), st.integers(1, 5), st.integers(1, 40), st.sets(st.sampled_from(NAMES)))


@settings(max_examples=60, deadline=None)
@given(calls=st.lists(CALL, min_size=1, max_size=8))
def test_rows_keep_their_tokens_and_hold_no_rubbish(calls: list[tuple[list[str], int, int, set[str]]]) -> None:
    arena = Arena(LAYERS, HEADS, DIM, torch.float32, torch.device("cpu"))
    written: dict[str, list[float]] = {}
    number = 0.0
    for order, count, grow, forgotten in calls:
        wanted = order[:count]
        written = {name: kept for name, kept in written.items() if name in arena.ids}
        longest = max(len(written.get(name, [])) for name in wanted)
        arena.arrange(wanted, longest + grow)
        assert arena.owners[: len(wanted)] == wanted
        assert arena.capacity >= longest + grow
        for row, name in enumerate(wanted):
            mine = written.setdefault(name, [])
            for _ in range(grow):
                number += 1
                if len(mine) < arena.capacity:
                    arena.keys[:, row, :, len(mine)], arena.values[:, row, :, len(mine)] = number, -number
                    mine.append(number)
                    arena.ids[name].append(int(number))
        for row, name in enumerate(arena.owners):
            kept = torch.tensor(written[name])
            expected = kept[None, None, :, None].expand(LAYERS, HEADS, len(kept), DIM)
            assert torch.equal(arena.keys[:, row, :, : len(kept)], expected)
            assert torch.equal(arena.values[:, row, :, : len(kept)], -expected)
        # Attention reads beyond a row's tokens, under a mask that a NaN would get through.
        assert arena.keys.isfinite().all()
        assert arena.values.isfinite().all()
        for name in forgotten & set(arena.ids):
            arena.forget(name)


def test_sleep_gives_the_memory_back_and_changes_no_answer() -> None:
    loaded = models.load("scratch:tiny?hidden=32&layers=2", seed=1)
    policy = TransformersPolicy(loaded=loaded)
    prompt = tuple(loaded.chat.encode("a room with a door"))

    def ask(turn: int) -> tuple[tuple[int, ...] | None, int]:
        request = Request("t", turn, (), Observation(""), seed=7, sampling=Sampling(max_tokens=4), tokens=prompt)
        answer = asyncio.run(policy.complete([request]))[0]
        return answer.tokens, answer.cached_tokens

    first = ask(0)
    assert policy._arena.keys.numel()
    policy.sleep()
    policy.sleep()
    assert not policy._arena.keys.numel()
    assert ask(0) == first == (first[0], 0)
    policy.close()
