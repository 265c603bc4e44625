"""Word guessing: the marks, the guesses that count, and a player who knows no secret."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym import make
from agentgym.check import check
from agentgym.errors import UsageError
from agentgym.registry import tasks
from agentgym.types import Task
from agentgym_envs.wordguess.env import FIRST, marks
from agentgym_envs.wordguess.words import WORDS

APPLE = Task("t", data={"answer": "apple"})
words = st.sampled_from(list(WORDS))


def test_it_keeps_every_rule() -> None:
    findings = check("wordguess-v0", quick=True)
    assert [(f.name, f.detail) for f in findings if not f.ok] == []
    assert len(findings) == 18


def test_the_list_is_clean() -> None:
    assert list(WORDS) == sorted(WORDS)
    assert all(len(w) == 5 and w.isascii() and w.isalpha() and w.islower() for w in WORDS)


@given(words, words)
def test_marks_count_each_letter_once(guess: str, secret: str) -> None:
    found = marks(guess, secret)
    assert (found == "+++++") == (guess == secret)
    assert all((mark == "+") == (a == b) for mark, a, b in zip(found, guess, secret, strict=True))
    told = Counter(letter for letter, mark in zip(guess, found, strict=True) if mark != "-")
    assert told == Counter(guess) & Counter(secret)  # As many marks as there are letters in common, no more.


def test_a_lost_game_and_guesses_that_do_not_count() -> None:
    env = make("wordguess-v0", guesses=2)
    assert env.reset(options={"task": APPLE})[0].text == "guesses left: 2"
    step = env.step(" Allow ")
    assert step.observation.text == "allow +?---; guesses left: 1"
    assert step.info == {"progress": 0.2}
    for faulty in ("allow", "zzzzz", "apples", "", "apple pie"):
        again = env.step(faulty)
        assert (again.info["fault"], again.observation.state) == ("invalid", step.observation.state)
    lost = env.step("angle")
    assert (lost.terminated, lost.reward, lost.info["success"], lost.info["progress"]) == (True, 0.0, False, 0.6)


def test_what_is_known_does_not_depend_on_the_order() -> None:
    env, keys = make("wordguess-v0"), []
    for order in (("crane", "allow"), ("allow", "crane")):
        env.reset(options={"task": APPLE})
        keys.append([env.step(guess).observation.state for guess in order][-1])
    assert keys[0] == keys[1]


def test_the_oracle_wins_every_task_without_knowing_the_secret() -> None:
    first = {
        w: sum(v * v for v in Counter(marks(w, other) for other in WORDS).values()) for w in ("arise", "zebra", FIRST)
    }
    assert min(first, key=first.__getitem__) == FIRST
    env, turns = make("wordguess-v0"), list[int]()
    for task in [*tasks("wordguess-v0", "heldout"), *tasks("wordguess-v0")[::4]]:
        env.reset(options={"task": task})
        for turn in range(1, 7):
            step = env.step(env.oracle() or "")
            if step.terminated:
                turns.append(turn)
                break
        assert step.info["success"], task.data
    assert sum(turns) / len(turns) < 3.4


def test_every_word_is_in_one_split() -> None:
    train, heldout = ([t.data["answer"] for t in tasks("wordguess-v0", split)] for split in ("train", "heldout"))
    assert sorted([*train, *heldout]) == list(WORDS)


def test_what_is_no_task_is_refused() -> None:
    for data in ({}, {"answer": "zzzzz"}):
        with pytest.raises(UsageError, match="not of wordguess"):
            make("wordguess-v0").reset(options={"task": Task("t", data=data)})
    with pytest.raises(UsageError, match="at least 1"):
        make("wordguess-v0", guesses=0)
