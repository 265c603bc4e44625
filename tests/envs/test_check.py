"""The conformance suite finds what is broken, and nothing else."""

from __future__ import annotations

import random
import signal
import threading

import broken_envs as envs
import numpy as np
import pytest

from agentgym.check import RULES, check, play
from agentgym.check.hostile import KINDS, hostile_actions
from agentgym.check.subject import Broken, deadline
from agentgym.env import Ability
from agentgym.errors import UnknownNameError

BROKEN = [
    ("spec", envs.spec(id="Stairs")),
    ("spec", envs.spec(host="moon")),
    ("spec", envs.spec(dialect="klingon")),
    ("spec", envs.spec(options={"f": lambda: 1})),
    ("spec", envs.spec(max_turns=0)),
    ("tasks", envs.spec(tasks="broken_envs:unstable_tasks")),
    ("splits", envs.spec(tasks="broken_envs:same_tasks")),
    ("splits", envs.spec(tasks="broken_envs:renamed_tasks")),
    ("records", envs.spec(envs.NanReward)),
    ("records", envs.spec(envs.WrongSum)),
    ("records", envs.spec(envs.SetInInfo)),
    ("records", envs.spec(envs.NoSuccess)),
    ("step-after-end", envs.spec(envs.StepsAfterTheEnd)),
    ("close", envs.spec(envs.ClosesOnce)),
    ("close", envs.spec(envs.PlaysClosed)),
    ("limits", envs.spec(envs.CutsUntyped)),
    ("reset", envs.spec(envs.Leaks)),
    ("deterministic", envs.spec(envs.Nondeterministic)),
    ("global-rng", envs.spec(envs.ReadsGlobalRng)),
    ("global-rng", envs.spec(envs.ReadsGlobalNumpy)),
    ("global-rng", envs.spec(envs.MovesGlobalRng)),
    ("state-keys", envs.spec(envs.ConstantKey)),
    ("state-keys", envs.spec(envs.CoarseKey)),
    ("state-keys", envs.spec(envs.CoarseKey, abilities=frozenset({Ability.DETERMINISTIC}))),
    ("state-keys", envs.spec(envs.TextKey)),
    ("state-keys", envs.spec(envs.FineKey)),
    ("state-keys", envs.spec(envs.FineKey, abilities=envs.NO_SNAPSHOT)),
    ("state-keys", envs.spec(envs.UnstableKey, abilities=envs.NO_SNAPSHOT)),
    ("snapshot", envs.spec(envs.LiveSnapshot)),
    ("snapshot", envs.spec(envs.WrongRestore)),
    ("gymnasium", envs.spec(envs.NoActionSpace)),
    ("hostile-actions", envs.spec(envs.RaisesOnNul)),
    ("hostile-actions", envs.spec(envs.RaisesOnSurrogates)),
    ("hostile-actions", envs.spec(envs.HangsOnMegabytes)),
    ("hostile-actions", envs.spec(envs.DamagedByMegabytes)),
    ("admissible-actions", envs.spec(envs.ListsFaults)),
    ("admissible-actions", envs.spec(envs.ListsNothing)),
    ("progress", envs.spec(envs.ProgressTooEarly)),
    ("progress", envs.spec(envs.ProgressOutOfRange)),
    ("progress", envs.spec(envs.ProgressFalls)),
    ("progress", envs.spec(envs.NoProgress)),
    ("oracle", envs.spec(envs.LosingOracle)),
    ("oracle", envs.spec(envs.SlowOracle, max_turns=12)),
    ("oracle", envs.spec(envs.MovingOracle)),
    ("empty-policy", envs.spec(envs.EmptyWins)),
    ("answer", envs.spec(tasks="broken_envs:no_answer_tasks")),
]


def failed(findings):
    return {f.name: f.detail for f in findings if not f.ok}


@pytest.mark.parametrize(
    ("rule", "spec"),
    BROKEN,
    ids=[f"{rule}-{spec.entry.partition(':')[2]}-{i}" for i, (rule, spec) in enumerate(BROKEN)],
)
@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
def test_exactly_the_broken_rule_is_found(rule, spec, quick, monkeypatch):
    monkeypatch.setattr(play, "STEP_SECONDS", 0.3)
    found = failed(check(spec, quick=quick))
    assert list(found) == [rule], found
    assert found[rule]


def test_every_rule_can_be_broken():
    assert {rule for rule, _ in BROKEN} == {rule.name for rule in RULES}


def test_what_keeps_the_rules_passes_all_of_them():
    findings = check(envs.spec())
    assert failed(findings) == {}
    assert [f.name for f in findings] == [rule.name for rule in RULES]


def test_claims_that_are_not_made_are_not_tested():
    names = [f.name for f in check(envs.spec(envs.LosingOracle, abilities=frozenset()), quick=True)]
    assert names == [rule.name for rule in RULES if rule.ability is None]


def test_findings_are_told_as_they_come_and_globals_stay():
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    seen = []
    assert check(envs.spec(envs.MovesGlobalRng), quick=True, on_finding=seen.append) == seen
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002


def test_an_unknown_environment_is_a_usage_error():
    with pytest.raises(UnknownNameError, match="did you mean 'keydoor-v0'"):
        check("keydor-v0")


def test_hostile_actions_are_of_every_kind_and_the_same_each_time():
    actions = list(hostile_actions(1000))
    assert len(actions) == 1000
    assert actions == list(hostile_actions(1000))
    assert {kind for kind, _ in actions} == {*KINDS, "megabyte"}
    assert max(len(a) for _, a in actions) >= 999_990
    text = "".join(a for _, a in actions)
    assert all(c in text for c in ("\0", "\ud800", "\x1b", "<|im_start|>", "{" * 99, "%s", "../"))


def test_a_deadline_leaves_the_runners_alarm_as_it_was():
    fired = []
    handler = signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
    old = signal.setitimer(signal.ITIMER_REAL, 50)
    try:
        with pytest.raises(Broken, match="it hangs"), deadline(0.05, "waiting"):
            threading.Event().wait(5)
        assert 40 < signal.setitimer(signal.ITIMER_REAL, 50)[0] < 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, *old)
        signal.signal(signal.SIGALRM, handler)
    assert not fired


def test_a_deadline_outside_the_main_thread_tells_afterwards():
    said = []

    def late():
        try:
            with deadline(0.01, "waiting"):
                threading.Event().wait(0.05)
        except Broken as error:
            said.append(str(error))

    thread = threading.Thread(target=late)
    thread.start()
    thread.join()
    assert "waiting took" in said[0]
