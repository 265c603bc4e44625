"""Metrics: lines that come back, that resume where a checkpoint stands, and that a kill does not spoil."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgym.config import parse
from agentgym.errors import ConfigError, StoreError
from agentgym.track import TrackConfig, Tracker, read_metrics
from agentgym.track.identity import run_id


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


# Other people's trackers --------------------------------------------------------------------------------------------


def wandb_records(path: Path) -> Iterator[Any]:
    """What an offline file of Weights & Biases holds: its own messages, in the form of LevelDB's logs."""
    pb = importlib.import_module("wandb.proto.wandb_internal_pb2")
    data, place, begun = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        begun += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # Whole, or the last part.
            record = pb.Record()
            record.ParseFromString(begun)
            begun = b""
            yield record


def history(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for record in wandb_records(path):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


def test_wandb_offline_has_the_curve_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'agentgym-suite[wandb]'")
    monkeypatch.setenv("WANDB_API_KEY", "CANARY-wandb-0123456789")
    monkeypatch.setenv("WANDB_MODE", "online")  # The recipe says offline, and that is what counts.
    folder = tmp_path / "a-run"
    state, notes = random.getstate(), []
    settings = TrackConfig(to=("wandb",), project="some-project")
    tracker = Tracker(folder, track=settings, config={"trainer": {"lr": 0.5}}, note=notes.append)
    for step in (1, 2, 3):
        tracker.log(step, {"loss": step / 4, "odd": math.nan}, stage=f"train:{step}")
    tracker.cut(1)  # As a resumed run does.
    tracker.log(2, {"loss": 20.0}, stage="again")
    tracker.close()
    assert (tracker.warnings, notes) == ([], [])
    assert random.getstate() == state
    files = list(folder.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 1  # One file and one curve.
    rows = history(files[0])
    assert [(row["step"], row["loss"], row["stage"]) for row in rows] == [(1, 0.25, "train:1"), (2, 20.0, "again")]
    (begun,) = [record.run for record in wandb_records(files[0]) if record.WhichOneof("record_type") == "run"]
    assert (begun.run_id, begun.project, begun.display_name) == (run_id(folder), "some-project", "a-run")
    kept = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert kept["trainer"] == {"lr": 0.5}
    # Of the command line, the machine and the variables nothing is there.
    told = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"CANARY" not in told
    assert sys.argv[0].encode() not in b"".join(path.read_bytes() for path in files)


def test_trackio_has_the_curve_that_counts(tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="trackio is not installed: pip install 'agentgym-suite[trackio]'")
    script = (
        "import sys, json\n"
        "from agentgym.track import TrackConfig, Tracker\n"
        "tracker = Tracker(sys.argv[1], track=TrackConfig(to=('trackio',), project='some-project'), config={'a': 1})\n"
        "for step in (1, 2, 3): tracker.log(step, {'loss': step / 4}, stage='s')\n"
        "tracker.cut(1)\n"
        "tracker.log(2, {'loss': 20.0}, stage='again')\n"
        "tracker.close()\n"
        "print(json.dumps(tracker.warnings))\n"
        "import trackio\n"
        "from trackio.sqlite_storage import SQLiteStorage\n"
        "for run in trackio.Api().runs('some-project'):\n"
        "    print(json.dumps([run.name, run.config['a'], SQLiteStorage.get_logs('some-project', run.name)]))\n"
    )
    environ = {
        **os.environ,
        "TRACKIO_DIR": str(tmp_path / "db"),
        "TRACKIO_SERVER_URL": "http://127.0.0.1:9/?write_token=x",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a-run")],
        env=environ,
        text=True,
        capture_output=True,
        timeout=120,
    )
    warnings, *runs = done.stdout.splitlines()  # And not a word of its own.
    assert warnings == "[]", done
    ((name, config, logs),) = map(json.loads, runs)
    assert name == f"a-run-{run_id(tmp_path / 'a-run')}"
    assert config == 1
    assert [(log["step"], log["loss"], log["stage"]) for log in logs] == [(1, 0.25, "s"), (2, 20.0, "again")]


@pytest.mark.parametrize("when", ["import", "init", "log", "finish"])
def test_a_tracker_that_fails_stops_nothing_and_is_told_of_once(tmp_path: Path, when: str) -> None:
    """A package of that name that breaks; in a process of its own, so that the real one is not replaced here."""
    (tmp_path / "wandb.py").write_text(
        f"when = {when!r}\n"
        "def break_at(place):\n"
        "    if when == place: raise RuntimeError('broken with key sk-0123456789abcdef0123')\n"
        "break_at('import')\n"
        "class Settings:\n"
        "    def __init__(self, **given): pass\n"
        "class Run:\n"
        "    def log(self, values): break_at('log')\n"
        "    def define_metric(self, *given, **more): pass\n"
        "    def finish(self): break_at('finish')\n"
        "def init(**given):\n"
        "    break_at('init')\n"
        "    return Run()\n"
    )
    script = (
        "import sys, json\n"
        "from agentgym.track import TrackConfig, Tracker, read_metrics\n"
        "notes = []\n"
        "tracker = Tracker(sys.argv[1], track=TrackConfig(to=('wandb',)), note=notes.append)\n"
        "for step in (1, 2, 3): tracker.log(step, {'loss': step / 4})\n"
        "tracker.close()\n"
        "tracker.log(4, {'loss': 1.0})\n"
        "tracker.close()\n"
        "print(json.dumps([notes, tracker.warnings, [line.step for line in read_metrics(tracker.path)]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    notes, warnings, steps = json.loads(done.stdout)
    assert steps == [1, 2, 3, 4]
    assert notes == warnings
    (said,) = notes
    assert "wandb failed and is left out from here on (RuntimeError: broken with key [secret])" in said


def test_a_recipe_says_where_metrics_go(tmp_path: Path) -> None:
    assert TrackConfig() == TrackConfig(to=("tensorboard",), project="agentgym", offline=True)
    for wrong in ({"to": ["wand"]}, {"project": "../x"}, {"project": ""}, {"offline": "no"}, {"online": True}):
        with pytest.raises(ConfigError):
            parse(TrackConfig, wrong, "recipe.toml")
    tracker = Tracker(tmp_path, track=TrackConfig(to=()))
    tracker.log(1, {"loss": 1.0})
    tracker.close()
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl"}


def test_a_run_has_one_name_for_trackers(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert run_id(one) == run_id(one)
    assert run_id(one) != run_id(two)
    (one / "track-id").write_text("../../etc\n")
    assert len(run_id(one)) == 12
