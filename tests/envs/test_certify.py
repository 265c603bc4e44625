"""Certification finds what is broken, in processes that nothing broken gets out of."""

from __future__ import annotations

import json
import re
import time

import broken_envs
import certify_envs as envs
import psutil
import pytest
from broken_envs import Stairs

from agentgym.certify import STAGES, Settings, certify, leaks, replay
from agentgym.certify.leaks import growth, slope
from agentgym.errors import UnknownNameError, UsageError

SMALL = Settings.small(
    tasks=5, compared=8, probed=8, episodes=60, enough=60, budget=30.0, fuzz_seconds=2.0, close_deadline=1.0,
    reset_deadline=3.0, step_deadline=3.0,
)  # fmt: skip

BROKEN = [
    ("leaks", envs.LeaksMemory, "traced grows by"),
    ("leaks", envs.LeaksOutsidePython, "rss grows by"),
    ("leaks", envs.LeaksThreads, "threads grows by"),
    ("leaks", envs.LeaksDescriptors, "descriptors grows by 1 "),
    ("leaks", envs.LeaksChildren, "children grows by"),
    ("leaks", envs.DiesInStep, r"its process died \(exit code 3\) in episode 1 "),
    ("freed", envs.StaysAlive, "kept alive by list"),
    ("freed", envs.KeepsThread, "leaves 1 threads behind"),
    ("processes", envs.HashSeed, "hash seed 1.*the text is"),
    ("processes", envs.TimeZone, "another time zone.*the text is"),
    ("processes", envs.Locale, "locale C"),
    ("isolation", envs.SharesState, "copies at the same time.*alone and among others"),
    ("deadlines", envs.SleepsInClose, "close: after task .* too long: it hangs, and was killed"),
    ("deadlines", envs.StuckInClose, "close: after task .* too long: it hangs, and was killed"),
    ("deadlines", envs.StuckInReset, "reset: task .* too long"),
    ("solved", envs.LosesLater, "heldout task 'heldout-6': the oracle scores 0"),
    ("solved", envs.TalksLater, "heldout task 'heldout-6': saying nothing scores"),
    ("claims", envs.Believes, "saying .*success.* scores 1 and is a success"),
    ("claims", envs.FoundInEcho, "giving back the prompt as 'answer {}' scores 1"),
    ("foreign", envs.OneForAll, "the solution of another task wins"),
    ("cycling", envs.PaysForSteps, "a way round from a state to itself pays 0.1"),
    ("cycling", envs.PaysAbove, "scores .* more than the solution"),
    ("private", envs.TellsTheAnswer, "in 8 of 8 tasks the private answer is shown"),
    ("private", envs.DumpsItsTask, "what is in the private data of a task is shown"),
    ("fuzz", envs.CrashesDeep, "ValueError: single '{'|KeyError|IndexError"),
    ("fuzz", envs.DiesDeep, r"its process died \((signal 11|exit code)"),
    ("fuzz", envs.NanDeep, "the reward is nan, not a finite number"),
]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def failed(record):
    return {f["name"]: f["detail"] for f in record["findings"] if not f["ok"]}


@pytest.mark.parametrize(("stage", "cls", "said"), BROKEN, ids=[f"{s}-{c.__name__}" for s, c, _ in BROKEN])
def test_what_is_broken_fails_its_own_finding(stage, cls, said):
    record = certify(envs.spec(cls), SMALL, only=[stage])
    found = failed(record)
    assert list(found) == [stage], record["findings"]
    assert re.search(said, found[stage]), found[stage]
    assert not record["ok"]


def test_every_stage_can_fail():
    assert {stage for stage, _, _ in BROKEN} | {"rules"} == {stage.name for stage in STAGES}


def test_tasks_made_from_a_set_are_found():
    record = certify(envs.spec(Stairs, tasks="certify_envs:hashed_tasks"), SMALL, only=["processes"])
    assert "the task itself is another one" in failed(record)["processes"]


def test_what_keeps_everything_passes_everything():
    record = certify(envs.spec(envs.PaysOnce), SMALL, date="2026-01-02")
    assert failed(record) == {}
    names = [f["name"] for f in record["findings"]]
    assert {stage.name for stage in STAGES if stage.name != "rules"} < set(names)
    assert "hostile-actions" in names
    assert (record["ok"], record["complete"], record["quick"], record["date"]) == (True, True, True, "2026-01-02")
    leaks = next(f for f in record["findings"] if f["name"] == "leaks")["figures"]
    assert leaks["episodes"] == 60
    assert leaks["slopes"]["threads"] == 0


def test_a_broken_rule_is_its_own_finding_and_what_needs_it_is_left_out():

    record = certify(
        broken_envs.spec(broken_envs.LosingOracle), Settings.small(episodes=40, enough=40, fuzz_seconds=1.0)
    )
    assert "oracle" in failed(record)
    assert "solved" not in [f["name"] for f in record["findings"]]


def test_what_shouts_and_what_leaves_children_disturbs_nothing():
    before = {p.pid for p in psutil.process_iter()}
    begin = time.monotonic()
    assert certify(envs.spec(envs.Shouts), SMALL, only=["deadlines"])["ok"]
    certify(envs.spec(envs.LeaksChildren), SMALL, only=["leaks"])
    assert time.monotonic() - begin < 60
    mine = [p for p in psutil.process_iter() if p.pid not in before and "sleep" in p.name() and p.status() != "zombie"]
    assert [p for p in mine if p.cmdline()[:2] == ["sleep", envs.CHILD]] == []


@pytest.mark.parametrize("engine", ["hypothesis", "random"])
def test_without_the_guided_fuzzer_another_one_finds_it_too(engine):
    settings = Settings.small(fuzz_seconds=20.0, fuzzer=engine)
    record = certify(envs.spec(envs.CrashesDeep), settings, only=["fuzz"])
    assert "fuzz" in failed(record)
    assert record["findings"][0]["figures"]["fuzzer"] == engine


def test_a_crash_is_small_and_can_be_played_again(data):
    spec = envs.spec(envs.CrashesDeep)
    detail = failed(certify(spec, SMALL, only=["fuzz"]))["fuzz"]
    (path,) = (data / "agentgym" / "crashes").iterdir()
    assert f"agentgym certify stairs-v0 --replay {path}" in detail
    case = json.loads(path.read_text())
    assert case["actions"][:2] == ["up", "up"]
    assert len(case["actions"]) == 3
    assert len(case["actions"][2]) < 40
    again = replay(spec, path)
    assert not again.ok
    assert again.detail in detail
    assert replay(envs.spec(Stairs), path).ok
    path.write_text("{}")
    with pytest.raises(UsageError, match="not a crash"):
        replay(spec, path)


def test_a_hang_under_fuzzing_is_found_and_ends():
    begin = time.monotonic()
    settings = Settings.small(fuzz_seconds=5.0, fuzzer="random", step_deadline=1.0, reset_deadline=2.0)
    found = failed(certify(envs.spec(envs.HangsDeep), settings, only=["fuzz"]))
    assert "took more than 1 s" in found["fuzz"] or "too long" in found["fuzz"]
    assert time.monotonic() - begin < 90


def test_bad_input_is_a_clear_error():
    with pytest.raises(UnknownNameError, match="did you mean 'leaks'"):
        certify("keydoor-v0", SMALL, only=["leak"])
    with pytest.raises(UnknownNameError, match="did you mean 'keydoor-v0'"):
        certify("keydor-v0", SMALL)
    with pytest.raises(UsageError, match="fuzzer must be one of"):
        Settings(fuzzer="magic")
    with pytest.raises(UsageError, match="episodes must be at least 1"):
        Settings(episodes=0)
    with pytest.raises(UsageError, match="must be JSON values"):
        certify(envs.spec(options={"rooms": {1, 2}}), SMALL)


def test_the_slope_is_not_moved_by_a_jump():
    x = [float(i) for i in range(20)]
    assert slope(x, [0.0] * 5 + [1e6] * 15) == 0.0
    assert slope(x, [3 * i + (1e6 if i == 7 else 0) for i in x]) == 3.0
    assert growth(x, [0.0] * 10 + [1e6] * 10) == 0.0
    assert growth(x, [3 * i + (1e6 if i > 9 else 0) for i in x]) == 3.0


@pytest.mark.parametrize("period", [3, 5, 10, 14])
def test_a_cache_that_is_emptied_is_no_leak_and_hides_none(period: int):
    every = 2_000 // leaks.SAMPLES  # As many looks as a certification has.
    rows = 2_000 // every
    x = [float(every * i) for i in range(rows - int(rows * leaks.WARM))]
    saw = [200_000.0 * (i % period) for i in range(len(x))]
    assert abs(growth(x, saw)) < 256
    for leak in (300.0, 5_000.0):
        assert growth(x, [tooth + leak * at for tooth, at in zip(saw, x, strict=True)]) > 0.8 * leak
