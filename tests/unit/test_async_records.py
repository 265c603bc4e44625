"""Each sampled token carries the version that sampled it, through the ledger and through files, old ones included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym import models
from agentgym.errors import ConfigError, UsageError
from agentgym.ledger import Ledger
from agentgym.recipe import load_recipe
from agentgym.records import dumps, from_json, to_json
from agentgym.types import Completion, Ending, Message, Observation, Sample, Trajectory, Turn


@pytest.fixture(scope="module")
def chat():
    return models.load("scratch:tiny?hidden=16&layers=1&heads=2").chat


def test_the_ledger_keeps_a_version_for_each_token(chat) -> None:
    ledger = Ledger(chat, [Message("user", "hello")])
    ledger.act(Completion("ab", (97, 98), (-1.0, -1.0), version=3))
    ledger.observe([Message("user", "more")])
    ledger.act(Completion("cd", (99, 100), (-1.0, -1.0), version=3, versions=(3, 5)))
    ledger.observe([Message("user", "and")])
    ledger.demonstrate("e")
    (sample,) = ledger.samples()
    assert len(sample.versions) == len(sample.tokens)
    by_turn = {t: [v for v, of in zip(sample.versions, sample.turn, strict=True) if of == t] for t in (-1, 0, 1, 2)}
    assert set(by_turn.pop(-1)) == {-1}
    assert by_turn == {0: [3, 3], 1: [3, 5], 2: [-1, -1]}


def test_versions_that_do_not_match_the_tokens_are_refused(chat) -> None:
    ledger = Ledger(chat, [Message("user", "hello")])
    with pytest.raises(UsageError, match="2 tokens come with 1 versions"):
        ledger.act(Completion("ab", (97, 98), (-1.0, -1.0), versions=(3,)))


def some(versions: tuple[int, ...]) -> Trajectory:
    said = Completion("x" * len(versions), tuple(versions), (0.0,) * len(versions), versions=versions)
    sample = Sample(tuple(versions), (0,) * len(versions), (0.0,) * len(versions), versions)
    turn = Turn(Observation("o"), said, "a")
    return Trajectory("t", "e", "k", "g", 0, 0, (turn,), Ending.SUCCESS, samples=(sample,))


@given(st.lists(st.integers(-1, 9), max_size=5).map(tuple))
def test_versions_come_back_from_disk(versions: tuple[int, ...]) -> None:
    assert from_json(json.loads(dumps(to_json(some(versions))))) == some(versions)


def test_records_without_versions_are_still_read() -> None:
    record = to_json(some((4, 5)))
    del record["turns"][0]["completion"]["versions"], record["samples"][0]["versions"]
    back = from_json(record)
    assert back.turns[0].completion.versions == back.samples[0].versions == ()
    assert back.samples[0].tokens == (4, 5)
    assert "versions" not in dumps(to_json(back)), "and written as they were"


RECIPE = '[env]\nid = "keydoor-v0"\n[asynchrony]\nstaleness = 1\n'


def test_a_fixed_order_and_rollouts_in_the_background_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)
    with pytest.raises(ConfigError, match=r"rollout\.schedule = 'eager'"):
        load_recipe(path)
    assert load_recipe(path, ["--rollout.schedule", "eager"]).asynchrony.staleness == 1
    assert load_recipe(path, ["--asynchrony.staleness", "0"]).asynchrony.queue == 0
    with pytest.raises(ConfigError, match=r"asynchrony\.queue"):
        load_recipe(path, ["--rollout.schedule", "eager", "--asynchrony.queue", "-1"])


def test_recipes_of_runs_from_before_are_still_read(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[env]\nid = "keydoor-v0"\n')
    assert load_recipe(tmp_path / "r.toml").asynchrony.staleness == 0
