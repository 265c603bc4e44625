"""Runs on disk: exact round trips, torn tails, resuming, locks."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.errors import StoreError, UnknownNameError, UsageError
from agentgym.records import dumps, plain, unplain
from agentgym.store import Entry, RunFolder, TrajectoryLog, from_json, to_json
from agentgym.types import Completion, Ending, Observation, Sample, Trajectory, Turn

floats = st.floats(allow_nan=False)
# Every code point, surrogates as well; only a surrogate *pair* cannot be told from its character in JSON.
texts = st.text(st.characters(codec=None), max_size=20).filter(
    lambda t: t == t.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.just("$float"), inner, max_size=3),
    max_leaves=6,
)
observations = st.builds(
    Observation,
    texts,
    st.sampled_from(["user", "tool", "system"]),
    st.none() | texts,
    st.none() | st.lists(texts, max_size=3).map(tuple),
    st.none() | st.lists(st.dictionaries(texts, values, max_size=2), max_size=2).map(tuple),
)
ids = st.lists(st.integers(0, 1 << 20), max_size=4).map(tuple)
logprobs = st.lists(floats, max_size=4).map(tuple)
completions = st.builds(
    Completion,
    texts,
    st.none() | ids,
    st.none() | logprobs,
    st.sampled_from(["stop", "length", "abort"]),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    floats,
)
turns = st.builds(
    Turn,
    observations,
    completions,
    st.none() | texts,
    floats,
    st.dictionaries(texts, floats, max_size=2),
    st.dictionaries(texts, values, max_size=3),
    floats,
    st.integers(0, 9),
)
trajectories = st.builds(
    Trajectory,
    id=texts,
    env=texts,
    task_id=texts,
    group=texts,
    attempt=st.integers(0, 9),
    seed=st.integers(0, 1 << 63),
    turns=st.lists(turns, max_size=3).map(tuple),
    ending=st.sampled_from(Ending),
    final=st.none() | observations,
    score=floats,
    success=st.booleans(),
    error=st.none() | texts,
    retries=st.integers(0, 3),
    samples=st.lists(st.builds(Sample, ids, ids, logprobs), max_size=2).map(tuple),
    seconds=floats,
    split=st.sampled_from(["train", "heldout"]),
)


def some(name: str = "a", text: str = "You are in a room.") -> Trajectory:
    turn = Turn(Observation(text), Completion("go east", (1, 2), (-0.5, -0.25)), "go east", 1.0, info={"progress": 0.5})
    return Trajectory(
        name, "e-v0", "t", "g", 0, 7, (turn, turn), Ending.SUCCESS, score=1.0, success=True,
        samples=(Sample((1, 2), (-1, 0), (0.0, -0.5)),),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(trajectories)
def test_round_trip_through_text_is_exact(trajectory: Trajectory) -> None:
    text = dumps(to_json(trajectory))
    assert text.isascii()
    assert "\n" not in text
    assert from_json(json.loads(text)) == trajectory
    assert from_json(json.loads(dumps(to_json(trajectory, tokens=False)))) == replace(trajectory, samples=())


@settings(max_examples=100, deadline=None)
@given(values)
def test_any_json_value_comes_back(value: object) -> None:
    assert unplain(json.loads(dumps(plain(value)))) == value


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_floats_that_json_lacks_are_marked(odd: float) -> None:
    turn = Turn(Observation("o"), Completion("c", (1,), (odd,)), "c", odd, {"r": odd}, {"x": [odd]})
    trajectory = replace(some(), turns=(turn,), score=odd)
    back = from_json(json.loads(dumps(to_json(trajectory))))
    seen = [
        back.score,
        back.turns[0].reward,
        back.turns[0].rewards["r"],
        back.turns[0].info["x"][0],
        (back.turns[0].completion.logprobs or ())[0],
    ]
    assert all(repr(value) == repr(odd) for value in seen)


def test_what_is_no_json_is_written_as_its_repr() -> None:
    import numpy as np

    assert plain({"n": np.float32(0.5), "i": np.int64(3), "t": (1, 2)}) == {"n": 0.5, "i": 3, "t": [1, 2]}
    assert unplain(plain({"o": {1, 2}})) == {"o": "{1, 2}"}


def test_a_record_that_is_none_is_refused() -> None:
    for record in ({}, {"id": 1}, {**to_json(some()), "ending": "bliss"}, {**to_json(some()), "turns": [3]}):
        with pytest.raises(StoreError, match="no record of a trajectory"):
            from_json(record)


def write(path: Path, *found: Trajectory) -> None:
    with TrajectoryLog(path, tokens=True) as log:
        for index, trajectory in enumerate(found):
            log.append(trajectory, phase="train", iteration=index, advantages=[0.5, math.nan])


def test_log_gives_back_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, some("a"), some("b", "\ud800 \0 </script> <|im_start|> \x1b[2J\n\u2028" * 50))
    first, second = TrajectoryLog(path)
    assert first == Entry(some("a"), "train", 0, first.advantages)
    assert first.advantages is not None
    assert first.advantages[0] == 0.5
    assert math.isnan(first.advantages[1])
    assert second.trajectory.turns[0].observation.text.startswith("\ud800 \0 </script>")
    lines = path.read_text("ascii").split("\n")
    assert [json.loads(line)["id"] for line in lines[:-1]] == ["a", "b"]


def test_cut_at_every_byte_of_the_last_record(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, some("a"), some("b"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        path.write_bytes(whole[:end])
        reader = TrajectoryLog(path)
        assert [entry.trajectory.id for entry in reader] == ["a"]
        assert bool(reader.warnings) == (end > first)
        assert path.stat().st_size == end, "reading must not change the file"
        with TrajectoryLog(path, tokens=True) as log:
            assert log.offset == first
            assert bool(log.warnings) == (end > first)
            log.append(some("b"), phase="train", iteration=1, advantages=[0.5, math.nan])
        assert path.read_bytes() == whole


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    write(path, some("a"), some("b"), some("c"))
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    log = TrajectoryLog(path)
    found = [entry.trajectory for entry in log]
    assert log.warnings
    assert all(t == some(t.id) for t in found)
    assert len(found) in (1, 2)


def test_cut_back_to_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with TrajectoryLog(path) as log:
        assert log.offset == 0
        log.append(some("a"))
        here = log.offset
        log.append(some("b"))
        log.cut(here)
        log.append(some("c"))
        end = log.offset
        with pytest.raises(StoreError, match="no record ends at byte"):
            log.cut(here - 1)
        with pytest.raises(StoreError, match="the checkpoint was made after"):
            log.cut(end + 1)
    assert [entry.trajectory.id for entry in TrajectoryLog(path)] == ["a", "c"]


def test_replay_policy_reads_the_log(tmp_path: Path) -> None:
    from agentgym_policies.replay import read_log

    write(tmp_path / "log.jsonl", some("a"))
    assert read_log(tmp_path / "log.jsonl") == {"a": tuple(turn.completion for turn in some().turns)}


def test_a_run_folder_is_made_once(tmp_path: Path) -> None:
    with RunFolder.create("one", tmp_path, "seed = 1\n") as run:
        assert run.config_path.read_text() == "seed = 1\n"
        assert run.meta["format"] == 1
        run.trajectories.append(some())
    with pytest.raises(UsageError, match="exists already"):
        RunFolder.create("one", tmp_path)
    with RunFolder.create("one", tmp_path, free=True) as second:
        assert second.path.name == "one-2"
    with RunFolder.create("one", tmp_path, free=True) as third:
        assert third.path.name == "one-3"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "one-2", "one-3"]
    for name in ("", "..", "a/b", ".hidden"):
        with pytest.raises(UsageError, match="plain folder name"):
            RunFolder.create(name, tmp_path)


def test_folders_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    RunFolder.create("quickstart", tmp_path).close()
    with pytest.raises(UnknownNameError, match=r"did you mean .*quickstart"):
        RunFolder(tmp_path / "quikstart")
    (tmp_path / "other").mkdir()
    with pytest.raises(StoreError, match=r"no run\.json"):
        RunFolder(tmp_path / "other")
    (tmp_path / "other" / "run.json").write_text('{"format": 99, "agentgym": "9.1"}')
    with pytest.raises(StoreError, match=r"run format 99.*reads format 1.*9\.1"):
        RunFolder(tmp_path / "other")
    (tmp_path / "other" / "run.json").write_text("[")
    with pytest.raises(StoreError, match="cannot be read"):
        RunFolder(tmp_path / "other")


def test_two_processes_cannot_write_one_folder(tmp_path: Path) -> None:
    RunFolder.create("one", tmp_path).close()
    path = tmp_path / "one"
    code = (
        "import sys; from agentgym.store import RunFolder; run = RunFolder(sys.argv[1], write=True); "
        "print('held', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="written by another process"):
            RunFolder(path, write=True)
        RunFolder(path).close()  # reading is always allowed
        other.kill()
    with RunFolder(path, write=True) as run:  # a killed process holds no lock
        run.trajectories.append(some())


def test_evaluations_are_read_from_the_metrics(tmp_path: Path) -> None:
    from agentgym.track import Tracker

    with RunFolder.create("one", tmp_path) as run:
        assert run.evaluations() == {}
        tracker = Tracker(run.path, tensorboard=False)
        tracker.log(1, {"eval/success": 0.25}, stage="eval:untrained")
        tracker.log(2, {"learn/loss": 1.0}, stage="train:0")
        tracker.log(3, {"eval/success": 0.75}, stage="eval:trained")
        tracker.close()
        assert run.evaluations() == {"eval:untrained": {"eval/success": 0.25}, "eval:trained": {"eval/success": 0.75}}


def test_what_a_killed_process_left_of_a_new_folder_goes_later(tmp_path: Path) -> None:
    for name, age in ((".new-a-1", 7200), (".new-b-2", 60), ("run", 7200), (".new-photos", 7200), (".new-a-b", 7200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text("")
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    RunFolder.create("next", tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-a-b", ".new-b-2", ".new-photos", "next", "run"]
