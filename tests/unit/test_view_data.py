"""What a page is told about a run: rows, trajectories, credit, groups, curves; each against a slower way to know it."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from view_cases import HOSTILE, made, one, played

from agentgym import registry
from agentgym.credit import Pipeline, TurnTable
from agentgym.errors import StoreError, UnknownNameError, UsageError
from agentgym.lab.variants import VARIANTS
from agentgym.store import RunFolder, TrajectoryLog
from agentgym.types import Ending
from agentgym.view.curves import curves
from agentgym.view.data import RunData, open_runs
from agentgym.view.record import MAX_TEXT
from agentgym.view.rows import RANGED, SORTED, Query


def opened(path: Path) -> RunData:
    run = RunData(path)
    run.refresh(60)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return opened(made(tmp_path_factory.mktemp("view")))


def test_rows_are_filtered_and_sorted_as_by_hand(run: RunData) -> None:
    everything = run.rows(Query(limit=1000))["rows"]
    entries = list(TrajectoryLog(run.index.log))
    assert [row["id"] for row in everything] == [entry.trajectory.id for entry in entries]
    assert {row["ending"] for row in everything} >= {"success", "out_of_turns"}
    rng = random.Random(5)
    for _ in range(150):
        wanted: dict[str, str] = {}
        for name in rng.sample(["phase", "task", "ending", "group", "iteration"], rng.randint(0, 2)):
            value = rng.choice(everything)[name]
            wanted[name] = "" if value is None else str(value)
        if rng.random() < 0.3:
            wanted["q"] = rng.choice(["1:", "5-0", "EVAL", "nothing"])
        if rng.random() < 0.3:
            wanted["fault"] = rng.choice(["0", "1", "invalid", "none such"])
        if rng.random() < 0.3:
            wanted["column"] = rng.choice(RANGED)
            wanted["low"], wanted["high"] = sorted(
                (str(rng.choice([-1, 0, 0.2, 3])), str(rng.choice([0.5, 1, 8]))), key=float
            )
        sort, desc = rng.choice(SORTED), rng.random() < 0.5
        found = run.rows(Query.read({**wanted, "sort": sort, "desc": str(int(desc)), "limit": "1000"}))

        def passes(row: dict[str, Any], wanted: dict[str, str] = wanted) -> bool:
            for name in ("phase", "task", "ending", "group", "iteration"):
                if wanted.get(name) and str(row[name]) != wanted[name]:
                    return False
            fault = wanted.get("fault")
            if fault in ("0", "1") and bool(row["faults"]) != (fault == "1"):
                return False
            if fault not in (None, "0", "1") and fault not in row["fault_kinds"]:
                return False
            if "column" in wanted:
                number = row[wanted["column"]]
                if number is None or not float(wanted["low"]) <= number <= float(wanted["high"]):
                    return False
            needle = wanted.get("q", "").lower()
            return any(needle in str(row[name]).lower() for name in ("id", "task", "group"))

        right = [row for row in everything if passes(row)]
        assert found["total"] == len(right)
        known = [row for row in right if row[sort] is not None]
        missing = [row for row in right if row[sort] is None]
        known.sort(key=lambda row: row[sort], reverse=desc)
        if sort == "n":
            missing = []
        assert [row[sort] for row in found["rows"]] == [row[sort] for row in known + missing], (wanted, sort, desc)
        for name, counts in found["facets"].items():
            if not wanted and name != "fault":
                column = {"phase": "phase", "ending": "ending", "task": "task"}[name]
                assert counts == {v: sum(r[column] == v for r in everything) for v in {r[column] for r in everything}}


def test_pages_of_rows_are_one_list(run: RunData) -> None:
    whole = [row["n"] for row in run.rows(Query(limit=1000, sort="score", desc=True))["rows"]]
    parts = [run.rows(Query(limit=7, offset=o, sort="score", desc=True))["rows"] for o in range(0, len(whole), 7)]
    assert [row["n"] for part in parts for row in part] == whole


@pytest.mark.parametrize(
    "given",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "٣"},
        {"offset": "1e3"},
        {"sort": "path"},
        {"sort": "__class__"},
        {"desc": "2"},
        {"low": "nan"},
        {"high": "x"},
        {"column": "best"},
        {"column": "id"},
        {"iteration": "9" * 40},
        {"q": "x" * 301},
        {"nothing": "1"},
    ],
)
def test_a_value_out_of_place_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Query.read(given)


def test_a_trajectory_is_what_was_played(run: RunData) -> None:
    entry = list(TrajectoryLog(run.index.log))[10]
    t, found = entry.trajectory, run.trajectory(10)
    assert found["id"] == t.id
    assert [turn["observation"]["text"] for turn in found["turns"]] == [turn.observation.text for turn in t.turns]
    assert [turn["action"] for turn in found["turns"]] == [turn.action for turn in t.turns]
    assert found["advantages"] == list(entry.advantages or ())
    assert found["gamma"] == 0.9, "the recipe's"
    rewards = [turn.reward for turn in t.turns]
    by_hand = [sum(0.9 ** (k - i) * r for k, r in enumerate(rewards) if k >= i) for i in range(len(rewards))]
    assert found["returns"] == pytest.approx(by_hand)
    task = next(task for task in registry.tasks("keydoor-v0", "train") if task.id == t.task_id)
    assert found["task_prompt"] == (task.prompt or None)
    with pytest.raises(StoreError):
        run.trajectory(10_000)


def test_every_registered_module_is_there_with_its_own_numbers(run: RunData) -> None:
    numbers = [n for n in range(len(run.index)) if run.parts.phase(n) == ("train", 1)]
    entries = list(TrajectoryLog(run.index.log))
    table = TurnTable.from_trajectories([entries[n].trajectory for n in numbers])
    for n in (numbers[0], numbers[13]):
        found = run.credit(n)
        assert found["recorded"] == list(entries[n].advantages or ())
        assert found["basis"].startswith(f"iteration 1: {len(numbers)} ")
        assert [one["name"] for one in found["modules"]] == registry.names("credit")
        computed = 0
        for module in found["modules"]:
            variant = next(v for v in VARIANTS if v.module == module["name"])
            needed = {c for _, m in variant.pipeline().modules for c in m.required()} - set(table.columns)
            if module["advantages"] is None:
                assert needed
                assert any(repr(column.removeprefix("reward.")) in module["why"] for column in needed)
                continue
            computed += 1
            done = Pipeline.from_config(variant.entries)(table)
            of = done.per_trajectory("advantage", len(numbers))[numbers.index(n)]
            assert of is not None
            assert module["advantages"] == pytest.approx(of.tolist(), abs=0)
        assert computed >= 12
        assert len(found["columns"]["progress"]) == len(entries[n].trajectory.turns)
    evaluation = run.credit(2)
    assert evaluation["recorded"] is None
    assert evaluation["basis"] == "eval:a: 6 trajectories"


def test_a_broken_world_has_no_credit_and_spoils_none(tmp_path: Path) -> None:
    import dataclasses

    with RunFolder.create("a", tmp_path) as folder:
        for n, t in enumerate(played()[:8]):
            broken = n == 3
            ending = Ending.INFRA_ERROR if broken else t.ending
            credit = None if broken else [0.0] * len(t.turns)
            folder.trajectories.append(dataclasses.replace(t, ending=ending), iteration=0, advantages=credit)
    run = opened(tmp_path / "a")
    assert {one["why"] for one in run.credit(3)["modules"] if one["name"] == "rloo"} == {
        "its world broke: it is in no statistic"
    }
    assert run.credit(2)["basis"] == "iteration 0: 7 trajectories"


def test_a_group_is_aligned_at_its_states(run: RunData) -> None:
    entries = list(TrajectoryLog(run.index.log))
    group = entries[8].trajectory.group
    members = [(n, e.trajectory) for n, e in enumerate(entries) if e.trajectory.group == group]
    found = run.groups(group, "train", 0)
    assert [one["n"] for one in found["trajectories"]] == [n for n, _ in members]
    visits: dict[str, list[float]] = {}
    taken: dict[tuple[str, str], list[float]] = {}
    for _, t in members:
        for i, turn in enumerate(t.turns):
            togo = sum(turn.reward for turn in t.turns[i:])
            visits.setdefault(turn.observation.state_key, []).append(togo)
            taken.setdefault((turn.observation.state_key, str(turn.action)), []).append(togo)
    inner = {node["key"]: node for node in found["nodes"] if node["terminal"] is None}
    assert {key: node["visits"] for key, node in inner.items()} == {key: len(v) for key, v in visits.items()}
    for key, node in inner.items():
        assert node["value"] == pytest.approx(fmean(visits[key]))
    several = 0
    for edge in found["edges"]:
        key = found["nodes"][edge["from"]]["key"]
        assert edge["value"] == pytest.approx(fmean(taken[key, edge["action"]]))
        actions = {action for state, action in taken if state == key}
        if len(actions) == 1:
            assert edge["advantage"] is None
        else:
            several += 1
            assert edge["advantage"] == pytest.approx(edge["value"] - fmean(visits[key]))
    assert several
    assert sum(edge["count"] for edge in found["edges"]) == sum(len(t.turns) for _, t in members)
    for one_of, (_, t) in zip(found["trajectories"], members, strict=True):
        assert len(one_of["steps"]) == len(t.turns) + 1
        assert found["nodes"][one_of["steps"][-1]]["terminal"] == t.ending.value
    with pytest.raises(StoreError):
        run.groups("no such group")


def test_runs_that_differ_in_their_seed_are_one_curve(tmp_path: Path) -> None:
    runs = [opened(made(tmp_path, f"k-{seed}", seed)) for seed in (0, 1, 2)]
    lone = opened(made(tmp_path, "other", 0))
    (lone.path / "config.toml").write_text('[env]\nid = "sokoban-v0"\n')
    found = curves([*runs, RunData(lone.path, 3)])["series"]
    (success,) = [one for one in found if one["name"] == "train/success" and len(one["runs"]) == 3]
    assert success["label"] == "k (3 seeds)"
    assert success["seeds"] == [0, 1, 2]
    values = [0.1, 0.2, 0.3]
    half = 4.302653 * stdev(values) / math.sqrt(3)
    first = success["points"][0]
    assert first["mean"] == pytest.approx(0.2)
    assert (first["low"], first["high"]) == pytest.approx((0.2 - half, 0.2 + half))
    alone = curves([runs[1]])["series"]
    (success,) = [one for one in alone if one["name"] == "train/success"]
    assert next((p["low"], p["high"]) for p in success["points"]) == pytest.approx((0.1, 0.25))
    (loss,) = [one for one in alone if one["name"] == "learn/loss"]
    assert [p["mean"] for p in loss["points"]] == [1.0, 0.5, None, 0.25, 0.2]


def test_metrics_are_followed_and_cut_back(tmp_path: Path) -> None:
    path = made(tmp_path)
    run = opened(path)
    assert [line["step"] for line in run.metrics()["lines"]] == [1, 2, 3, 4, 5]
    assert run.metrics(3)["lines"] == run.metrics()["lines"][3:]
    file = path / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    with file.open("ab") as out:
        out.write(lines[0][:20])
        out.flush()
        assert not run.refresh()
        out.write(lines[0][20:] + b"no json\n")
    assert run.refresh()
    assert run.metrics(5)["lines"][0]["step"] == 1
    assert run.about()["warnings"] == ["metrics.jsonl: line 7 is damaged: passed over"]
    file.write_bytes(b"".join(lines[:2]))
    assert run.refresh()
    assert [line["step"] for line in run.metrics()["lines"]] == [1, 2]
    file.write_bytes(b"".join(lines[:1]) + b'{"step":%d,"stage":"x"}\n' * 3000 % tuple(range(3000)))
    run.refresh()
    assert len(run.metrics()["lines"]) <= 2001
    assert run.metrics()["next"] == 3001


def test_hostile_and_huge_texts_stay_bounded_data(tmp_path: Path) -> None:
    with RunFolder.create("a", tmp_path) as folder:
        folder.trajectories.append(one(HOSTILE, HOSTILE, reward=float("nan")))
        folder.trajectories.append(one("huge", "y" * (MAX_TEXT + 7)))
    run = opened(tmp_path / "a")
    found = run.trajectory(0)
    assert found["turns"][0]["observation"]["text"] == HOSTILE
    assert found["turns"][0]["reward"] is None
    assert run.rows()["rows"][0]["score"] is None
    huge = run.trajectory(1)
    assert huge["final"]["text"] == "y" * MAX_TEXT + "\n[... 7 more characters]"
    assert huge["clipped"] > 4
    assert run.trajectory(1, full=True)["final"]["text"] == "y" * (MAX_TEXT + 7)
    for value in (found, huge, run.rows(), run.credit(0), run.groups(run.index.group.of(0)), run.about()):
        json.dumps(value, allow_nan=False)
    assert "NaN" not in json.dumps(run.credit(1))
    assert run.credit(0)["modules"][0]["why"]


def test_tokens_come_from_the_log_and_say_what_they_lack(run: RunData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without a tokenizer"):
        run.tokens(0)
    with pytest.raises(UsageError, match="shown by"):
        run.tokens(0, "colour")


def test_a_run_of_another_kind_is_refused_in_words(tmp_path: Path) -> None:
    path = made(tmp_path)
    with pytest.raises(UnknownNameError):
        open_runs([tmp_path / "b"])
    with pytest.raises(UsageError):
        open_runs([])
    meta = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(meta | {"format": 99}))
    with pytest.raises(StoreError, match="format 99"):
        open_runs([path])
    (path / "run.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        open_runs([path])
    (path / "run.json").unlink()
    with pytest.raises(StoreError, match="no run folder"):
        open_runs([path])


def test_a_run_with_nothing_in_it_answers(tmp_path: Path) -> None:
    RunFolder.create("bare", tmp_path, "no toml [").close()
    (tmp_path / "bare" / "config.toml").unlink()
    run = opened(tmp_path / "bare")
    assert (run.about()["total"], run.about()["env"], run.about()["phases"]) == (0, None, {})
    assert run.rows() == {
        "total": 0,
        "rows": [],
        "facets": {"phase": {}, "ending": {}, "fault": {}, "task": {}},
    }
    assert run.metrics() == {"lines": [], "next": 0}
    assert curves([run]) == {"series": []}
    assert np.isfinite(run.gamma())


def test_columns_that_scorers_wrote_are_kept_and_used(tmp_path: Path) -> None:
    with RunFolder.create("a", tmp_path) as folder:
        for t in played()[:8]:
            after = [-2.0 / (i + 2) for i in range(len(t.turns))]
            columns = {"answer_logprob": after, "answer_logprob_before": [-2.0, *after[:-1]]}
            folder.trajectories.append(t, iteration=0, advantages=[0.0] * len(t.turns), columns=columns)
    entry = list(TrajectoryLog(folder.trajectories.path))[3]
    assert entry.columns is not None
    assert set(entry.columns) == {"answer_logprob", "answer_logprob_before"}
    run = opened(tmp_path / "a")
    found = run.credit(3)
    after, before = entry.columns["answer_logprob"], entry.columns["answer_logprob_before"]
    gain = [math.exp(a) - math.exp(b) for a, b in zip(after, before, strict=True)]
    assert found["columns"]["information_gain"] == pytest.approx(gain)
    (module,) = [one for one in found["modules"] if one["name"] == "information-gain"]
    assert module["why"] is None
    assert any(module["advantages"])
    assert run.trajectory(3)["columns"]["answer_logprob"] == list(after)
