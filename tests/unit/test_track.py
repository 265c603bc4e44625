"""Metrics: lines that come back, that resume where a checkpoint stands, and that a kill does not spoil."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from agentgym.errors import StoreError
from agentgym.track import Tracker, read_metrics


def three(folder: Path, tensorboard: bool = False) -> Tracker:
    tracker = Tracker(folder, tensorboard)
    for step in (1, 2, 3):
        tracker.log(step, {"loss": step / 3, "time/seconds": 0.1 * step}, stage=f"train:{step}")
    return tracker


def test_lines_come_back(tmp_path: Path) -> None:
    three(tmp_path).close()
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [(line.step, line.stage, line.values["loss"]) for line in lines] == [
        (1, "train:1", 1 / 3),
        (2, "train:2", 2 / 3),
        (3, "train:3", 1.0),
    ]
    assert read_metrics(tmp_path / "absent.jsonl") == []


def test_nan_and_infinity_are_kept(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, tensorboard=False)
    tracker.log(1, {"a": math.nan, "b": math.inf, "c": -math.inf})
    tracker.close()
    (line,) = read_metrics(tmp_path / "metrics.jsonl")
    assert math.isnan(line.values["a"])
    assert (line.values["b"], line.values["c"]) == (math.inf, -math.inf)


def test_cut_goes_back_to_a_step(tmp_path: Path) -> None:
    tracker = three(tmp_path)
    tracker.cut(2)
    tracker.log(3, {"loss": 9.0}, stage="again")
    tracker.close()
    assert [(line.step, line.values["loss"]) for line in read_metrics(tracker.path)] == [
        (1, 1 / 3),
        (2, 2 / 3),
        (3, 9.0),
    ]
    tracker.cut(0)
    assert tracker.path.read_bytes() == b""


def test_a_torn_line_is_cut_off_at_every_byte(tmp_path: Path) -> None:
    three(tmp_path).close()
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes()
    second = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for end in range(second, len(whole)):
        path.write_bytes(whole[:end])
        assert len(read_metrics(path)) == 2
        tracker = Tracker(tmp_path, tensorboard=False)
        tracker.log(3, {"loss": 1.0})
        tracker.close()
        assert [line.step for line in read_metrics(path)] == [1, 2, 3]
        assert bool(tracker.warnings) == (end > second)


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    three(tmp_path).close()
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"garbage\n" + path.read_bytes())
    with pytest.raises(StoreError, match="line 1 is damaged"):
        read_metrics(path)


def test_tensorboard_shows_what_counts_after_a_resume(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracker = three(tmp_path, tensorboard=True)
    tracker.cut(1)
    tracker.log(2, {"loss": 20.0})
    tracker.log(3, {"loss": 30.0})
    tracker.close()
    board = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    seen = [(event.step, round(event.value, 3)) for event in board.Scalars("loss")]
    assert seen == [(1, 0.333), (2, 20.0), (3, 30.0)]
