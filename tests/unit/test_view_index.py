"""The index beside a trajectory log: as right as the log, whatever happened to it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from view_cases import HOSTILE, made, one, played

from agentgym import log_index
from agentgym.log_index import MAGIC, index_path
from agentgym.records import unseal
from agentgym.store import RunFolder, TrajectoryLog
from agentgym.view.index import SAVED, LogIndex, text


def contents(log: Path) -> tuple[list[Any], list[str], list[str], list[str], list[str]]:
    index = LogIndex(log)
    index.refresh()
    assert not index.behind or index.stuck
    names = [[coded.of(n) for n in range(len(index))] for coded in (index.task, index.group, index.kind)]
    numbers = index.numbers.values
    told = [repr(one.item()[2:]) for one in numbers]  # The record's own size and checksum are the index's business.
    return told, [text(i) for i in index.ids], *names


def by_log(log: Path, folder: Path) -> Any:
    """What the log alone says."""
    alone = folder / "alone.jsonl"
    shutil.copy(log, alone)
    found = contents(alone)
    alone.unlink()
    return found


def test_the_index_says_what_the_log_says(tmp_path: Path) -> None:
    log = made(tmp_path) / "trajectories.jsonl"
    found = contents(log)
    assert found == by_log(log, tmp_path)
    assert len(found[0]) == 6 + 2 * len(played())
    index = LogIndex(log)
    index.refresh()
    entries = list(TrajectoryLog(log))
    for n, entry in enumerate(entries):
        numbers, t = index.numbers.values[n], entry.trajectory
        assert (text(index.ids[n]), index.task.of(n), index.group.of(n)) == (t.id, t.task_id, t.group)
        assert numbers["turns"] == len(t.turns)
        assert numbers["score"] == t.score
        assert numbers["reward"] == pytest.approx(sum(turn.reward for turn in t.turns))
        assert numbers["faults"] == sum("fault" in turn.info for turn in t.turns)
        if entry.advantages:
            assert numbers["credit_max"] == max(entry.advantages)
            assert numbers["best"] == int(np.argmax(entry.advantages))
            assert numbers["worst"] == int(np.argmin(entry.advantages))
        else:
            assert np.isnan(numbers["credit_sum"])
        assert index.line(n)["id"] == t.id


def test_nothing_is_read_from_the_log_where_the_index_is_whole(tmp_path: Path) -> None:
    log = made(tmp_path) / "trajectories.jsonl"
    whole = log.read_bytes()
    # All but the ends of records is overwritten: rows are still there, and reading one says that it is damaged.
    log.write_bytes(b"".join(b"x" * (len(line) - 19) + line[-19:] for line in whole.splitlines(keepends=True)))
    index = LogIndex(log)
    index.refresh()
    assert len(index) == 6 + 2 * len(played())
    with pytest.raises(Exception, match="damaged"):
        index.line(3)


def test_a_torn_or_damaged_index_is_completed_from_the_log(tmp_path: Path) -> None:
    log = made(tmp_path, iterations=1) / "trajectories.jsonl"
    right, path = contents(log), index_path(log)
    whole = path.read_bytes()
    last = [len(chunk) for chunk, _ in log_index.read(path)]
    assert sum(last) == len(right[0])
    for end in [*range(len(whole) - 300, len(whole), 7), 0, 5, len(MAGIC), len(MAGIC) + 3]:
        path.write_bytes(whole[:end])
        assert contents(log) == right, f"cut at {end}"
    for place in range(0, len(whole), 199):
        broken = bytearray(whole)
        broken[place] ^= 0x55
        path.write_bytes(bytes(broken))
        assert contents(log) == right, f"flipped at {place}"
    path.write_bytes(whole + b"\0" * 500)
    assert contents(log) == right


def test_a_log_that_was_cut_and_grew_again(tmp_path: Path) -> None:
    path = made(tmp_path)
    log = path / "trajectories.jsonl"
    old_index, whole = index_path(log).read_bytes(), log.read_bytes()
    lines = whole.splitlines(keepends=True)
    follower = LogIndex(log)
    follower.refresh()
    for keep in (0, 1, 7, len(lines) - 1):
        # By somebody who knows nothing of the index: it is ahead of the log, and then about other records.
        log.write_bytes(b"".join(lines[:keep]))
        index_path(log).write_bytes(old_index)
        assert contents(log) == by_log(log, tmp_path)
        other = dataclasses.replace(played()[0], id="another", seconds=1.0)
        bare = tmp_path / "bare.jsonl"
        with TrajectoryLog(bare) as writer:
            for _ in range(12):
                writer.append(other)
        log.write_bytes(b"".join(lines[:keep]) + bare.read_bytes())
        bare.unlink()
        index_path(bare).unlink()
        found = contents(log)
        assert found == by_log(log, tmp_path)
        assert found[1][keep:] == ["another"] * 12
        follower.refresh()
        assert [text(i) for i in follower.ids] == found[1], "one that follows sees the same"


def test_cutting_and_resuming_keeps_the_index_right(tmp_path: Path) -> None:
    path = made(tmp_path)
    with RunFolder(path, write=True) as run:
        log = run.trajectories
        middle = len(log.path.read_bytes().splitlines(keepends=True)[0])
        log.cut(middle)
        for trajectory in played()[:3]:
            log.append(trajectory)
    found = contents(path / "trajectories.jsonl")
    assert len(found[0]) == 4
    assert found == by_log(path / "trajectories.jsonl", tmp_path)
    assert sum(len(chunk) for chunk, _ in log_index.read(index_path(path / "trajectories.jsonl"))) == 4


def test_a_writer_completes_the_index_of_an_older_run(tmp_path: Path) -> None:
    log = made(tmp_path, iterations=1) / "trajectories.jsonl"
    index_path(log).unlink()
    with TrajectoryLog(log) as writer:
        writer.append(one("last"))
    assert sum(len(chunk) for chunk, _ in log_index.read(index_path(log))) == 6 + len(played()) + 1
    assert contents(log) == by_log(log, tmp_path)


def test_what_is_damaged_in_the_log_is_passed_over_and_said(tmp_path: Path) -> None:
    log = made(tmp_path, iterations=1) / "trajectories.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"turns"', b'"tunrs"')
    log.write_bytes(b"".join(lines))
    index_path(log).unlink()
    index = LogIndex(log)
    index.refresh()
    assert len(index) == len(lines) - 1
    assert len(index.warnings) == 1
    assert f"byte {sum(map(len, lines[:4]))}" in index.warnings[0]
    body = unseal(lines[5])
    assert body is not None
    assert index.line(4)["id"] in body.decode()


def test_half_a_line_is_no_row_until_it_is_whole(tmp_path: Path) -> None:
    log = made(tmp_path, iterations=1) / "trajectories.jsonl"
    whole = log.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    log.write_bytes(whole[: len(whole) - len(last) // 2])
    index = LogIndex(log)
    index.refresh()
    count = len(index)
    assert index.stuck
    assert not index.refresh(), "nothing new"
    log.write_bytes(whole)
    assert index.refresh()
    assert len(index) == count + 1
    assert not index.stuck


def test_a_row_follows_every_append(tmp_path: Path) -> None:
    with TrajectoryLog(tmp_path / "trajectories.jsonl") as log:
        index = LogIndex(log.path)
        assert not index.refresh()
        for n in range(5):
            log.append(one(f"{n} {HOSTILE}", HOSTILE))
            assert index.refresh()
            assert text(index.ids[n]) == f"{n} {HOSTILE}"
            assert index.task.of(n) == HOSTILE[:80]


def test_an_index_that_cannot_be_written_costs_the_log_nothing(tmp_path: Path) -> None:
    index_path(tmp_path / "trajectories.jsonl").mkdir(parents=True)
    with TrajectoryLog(tmp_path / "trajectories.jsonl") as log:
        log.append(one("a"))
        log.append(one("b"))
        log.cut(log.offset)
    assert [entry.trajectory.id for entry in log] == ["a", "b"]
    assert contents(log.path)[1] == ["a", "b"]


def test_only_a_run_that_nobody_writes_gets_a_new_index(tmp_path: Path) -> None:
    from agentgym.view.data import RunData

    with RunFolder.create("old", tmp_path) as run:
        for n in range(SAVED + 20):
            run.trajectories.append(one(str(n)))
        path = index_path(run.trajectories.path)
        path.unlink()
        seen = RunData(run.path)
        seen.refresh(60)
        assert len(seen.index) == SAVED + 20
        assert seen.live()
        assert not path.exists(), "its writer may be about to write it"
    assert not seen.live()
    seen.refresh(60)
    assert sum(len(chunk) for chunk, _ in log_index.read(path)) == SAVED + 20
    assert contents(run.trajectories.path)[1][-1] == str(SAVED + 19)
