"""The cabinet: small enough to be known by heart."""

from __future__ import annotations

import pytest

from agentgym import make
from agentgym.check import check
from agentgym.errors import UsageError
from agentgym.registry import tasks
from agentgym.types import Task

DATA = {"cards": {"a": "c", "b": "bim", "c": "dol"}, "chain": "ac", "answer": "dol"}


def test_it_keeps_every_rule():
    findings = check("cabinet-v0", quick=True)
    assert [(f.name, f.detail) for f in findings if not f.ok] == []
    assert len(findings) == 19


@pytest.mark.parametrize(("drawers", "hops"), [(2, 1), (6, 6), (12, 3)])
def test_every_chain_ends_at_its_answer_and_nowhere_else(drawers, hops):
    for split in ("train", "heldout"):
        made = tasks("cabinet-v0", split, drawers=drawers, hops=hops)
        assert len({task.id for task in made}) == len(made)
        for task in made:
            cards, chain = task.data["cards"], task.data["chain"]
            assert len(set(chain)) == len(chain) == hops
            assert [cards[letter] for letter in chain] == [*chain[1:], task.data["answer"]]
            assert list(cards.values()).count(task.data["answer"]) == 1


def test_a_whole_game():
    env = make("cabinet-v0")
    first, _ = env.reset(seed=0, options={"task": Task("t", data=DATA)})
    assert (first.text, first.actions) == ("start at a", ("open a", "open b", "open c"))
    steps = [env.step(action) for action in ("open c", "fly", " OPEN A ", "answer dol")]
    assert [s.observation.text for s in steps] == ["c: dol", "you can not", "a: see c", "right"]
    assert [s.reward for s in steps] == [0.0, 0.0, 0.1, 1.0]
    assert [s.info["progress"] for s in steps] == [0.0, 0.0, 2 / 3, 1.0]
    assert steps[0].observation.actions[-1] == "answer dol"
    assert steps[2].info["calls"] == [{"name": "open", "arguments": {"drawer": "a"}}]
    assert steps[3].info["tests"] == {"drawer 1": True, "drawer 2": True, "answer": True}
    assert [s.info["outcome"] for s in steps] == [0.0, 0.0, 0.0, 1.0]


def test_a_wrong_answer_ends_it():
    env = make("cabinet-v0")
    env.reset(seed=0, options={"task": Task("t", data=DATA)})
    step = env.step("answer bim")
    assert (step.terminated, step.reward, step.info["success"], step.info["outcome"]) == (True, 0.0, False, 0.0)


@pytest.mark.parametrize(("drawers", "hops"), [(1, 1), (13, 2), (4, 5), (4, 0)])
def test_numbers_that_do_not_fit_are_refused(drawers, hops):
    with pytest.raises(UsageError, match="drawers"):
        tasks("cabinet-v0", "train", drawers=drawers, hops=hops)


def test_a_chain_through_a_drawer_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="drawers that are not there"):
        make("cabinet-v0").reset(options={"task": Task("t", data={**DATA, "chain": "az"})})
