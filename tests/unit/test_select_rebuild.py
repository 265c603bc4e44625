"""A hint taken out of a ledger: over templates of seven families, those that rewrite history included."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from select_cases import played
from test_ledger import BENIGN, FAMILIES, HOSTILE, chat, sampled

from agentgym.errors import CreditError
from agentgym.ledger import Ledger
from agentgym.select.rebuild import opening, samples_under, written
from agentgym.types import Message, Observation, Task, Trajectory, Turn

HINT = "Hint: xyzzy"
ANSWERS = st.one_of(HOSTILE, BENIGN.map("<think>so</think>{}".format))


def play(family: str, head: tuple[Message, ...], turns: list[tuple[str, str, bool]]) -> Trajectory:
    """What the rollout engine does with a ledger, without an environment."""
    c = chat(family)
    ledger: Ledger | None = None
    made: list[Turn] = []
    for text, answer, ends in turns:
        seen = Message("user", text)
        if ledger is None:
            ledger = Ledger(c, (*head, seen))
        else:
            ledger.observe((seen,))
        completion = sampled(c, answer, ends)
        ledger.act(completion)
        made.append(Turn(Observation(text), completion, "a"))
    assert ledger is not None
    (base,) = played({"0:t": [(0.0, False, 1, 1)]})
    return replace(base, turns=tuple(made), samples=ledger.samples())


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(prompt=BENIGN, turns=st.lists(st.tuples(HOSTILE, ANSWERS, st.booleans()), min_size=1, max_size=4))
def test_the_ids_stay_and_the_hint_goes(family: str, prompt: str, turns: list[tuple[str, str, bool]]) -> None:
    c = chat(family)
    hinted = opening(Task("t", f"{prompt}\n\n{HINT}"), "You play.", "plain")
    plain = opening(Task("t", prompt), "You play.", "plain")
    t = play(family, hinted, turns)
    assert samples_under(t, hinted, c) == t.samples
    rebuilt = samples_under(t, plain, c)
    assert rebuilt == play(family, plain, turns).samples
    assert written(rebuilt) == written(t.samples) == [list(turn.completion.tokens or ()) for turn in t.turns]
    assert any("xyzzy" in c.tokenizer.decode(s.tokens) for s in t.samples)
    assert not any("xyzzy" in c.tokenizer.decode(s.tokens) for s in rebuilt)


def test_opening_leaves_out_what_is_empty() -> None:
    assert opening(Task("t"), "", "plain") == ()
    assert opening(Task("t", "p"), "", "plain") == (Message("system", "p"),)
    (message,) = opening(Task("t", "p"), "s", "action-tag")
    assert message.content.startswith("s\n\np\n\n")


def test_a_text_only_trajectory_is_refused() -> None:
    (t,) = played({"0:t": [(0.0, False, 2, 1)]})
    turn = replace(t.turns[1], completion=replace(t.turns[1].completion, tokens=None, logprobs=None))
    with pytest.raises(CreditError, match="turn 1: played by a policy without a tokenizer"):
        samples_under(replace(t, turns=(t.turns[0], turn)), (), chat(FAMILIES[0]))
