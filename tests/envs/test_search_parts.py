"""Answers, actions, the dialect of tags, pages, metrics: the parts of the search environments by themselves."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import dialects
from agentgym.check.hostile import hostile_actions
from agentgym.dialects import MAX_ACTION
from agentgym.retrieval import Passage
from agentgym.tools import unguard
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn
from agentgym_envs.search.actions import MAX_CALLS, Call, cited, parse
from agentgym_envs.search.answers import cover, exact, f1, normalise, refuses
from agentgym_envs.search.dialect import SearchTags
from agentgym_envs.search.metrics import Share, measure
from agentgym_envs.search.pages import Shown, page
from agentgym_envs.search.rewards import overlap

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PLAIN = st.text("abcdefghij XYZ,.'()", min_size=1, max_size=40).map(lambda text: " ".join(text.split()))


# Answers --------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(WORDS, WORDS)
def test_scores_are_in_order_and_in_range(said, answer):
    em, overlap_score, covered = (score(said, [answer]) for score in (exact, f1, cover))
    assert 0.0 <= em <= 1.0
    assert 0.0 <= overlap_score <= 1.0
    assert em <= covered
    if em:
        assert overlap_score == 1.0
    assert f1(said, [answer]) == f1(answer, [said])
    assert normalise(normalise(said)) == normalise(said)


@settings(deadline=None)
@given(WORDS, st.lists(WORDS, max_size=4))
def test_the_best_of_several_answers_counts(said, answers):
    for score in (exact, f1, cover):
        assert score(said, answers) == max((score(said, [one]) for one in answers), default=0.0)


@pytest.mark.parametrize(
    ("said", "answer", "em", "score"),
    [
        ("The Eiffel Tower", "eiffel tower", 1.0, 1.0), ("U.S.", "US", 1.0, 1.0), ("a b b", "b b c", 0.0, 4 / 5),
        ("yes", "yes", 1.0, 1.0), ("yes he did", "yes", 0.0, 0.0), ("no", "yes", 0.0, 0.0), ("", "x", 0.0, 0.0),
        ("The The", "the the", 1.0, 1.0), ("x" * 10_000_000, "x", 0.0, 0.0), ("\u0130", "i\u0307", 1.0, 1.0),
    ],
)  # fmt: skip
def test_scores_worked_out_by_hand(said, answer, em, score):
    assert exact(said, [answer]) == em
    assert f1(said, [answer]) == pytest.approx(score)


@pytest.mark.parametrize("said", ["unknown", "Unknown.", "I don't know", "Not enough information!", "no answer"])
def test_refusals(said):
    assert refuses(said)
    assert not refuses(f"{said} is a song")


# Actions --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("search(red shoes)", Call("search", "red shoes")),
        ("  Search[red (left) shoes] ", Call("search", "red (left) shoes")),
        ('search(query="red shoes")', Call("search", "red shoes")),
        ("search: red shoes", Call("search", "red shoes")),
        ("search red shoes", Call("search", "red shoes")),
        ("open(3)", Call("open", "3")),
        ("open([3])", Call("open", "3")),
        ("open Some title (film)", Call("open", "Some title (film)")),
        ("answer(Paris (France) [1, 2])", Call("answer", "Paris (France)", (1, 2))),
        ("answer Paris [1] [2][1]", Call("answer", "Paris", (1, 2))),
        ("answer(Catch [22] rules)", Call("answer", "Catch [22] rules")),
        ('{"name": "search", "arguments": {"query": " a\\n b "}}', Call("search", "a b")),
        ('{"name": "answer", "arguments": {"text": "x [4]", "citations": [2]}}', Call("answer", "x [4]", (2,))),
        ('{"name": "answer", "arguments": {"text": "x [4]"}}', Call("answer", "x", (4,))),
    ],
)
def test_forms_of_actions(action, call):
    assert parse(action) == [call]


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("", "say search"), ("look it up", "say search"), ("searching", "say search"), ("search()", "needs a query"),
        ("answer([1])", "needs a text"), ("{", "valid JSON"), ("{" * 4000, "valid JSON"), ("[{" * 3000, "valid JSON"),
        ("{}", "a call is"), ('{"name": "searchh", "arguments": {}}', "did you mean 'search'"),
        ('{"name": "search", "arguments": {"q": "x"}}', "no argument 'q'"),
        ('{"name": "search", "arguments": {"query": 3}}', "a text"),
        ('{"name": "open", "arguments": {"document": true}}', "a text"),
        ('{"name": "answer", "arguments": {"text": "x", "citations": ["1"]}}', "citations"),
        ('{"name": "answer", "arguments": {"text": "x", "citations": [-1]}}', "citations"),
        ('{"name": "answer", "arguments": {"text": "x", "citations": {}}}', "citations"),
        (f"search({'x' * 1001})", "at most 1000"), ("x" * (MAX_ACTION + 1), "at most"),
        (json.dumps([{"name": "search", "arguments": {"query": "x"}}] * (MAX_CALLS + 1)), "at most 8 calls"),
        (json.dumps([{"name": "answer", "arguments": {"text": "x"}}] * 2), "must be the last"),
    ],
)  # fmt: skip
def test_actions_that_cannot_be_done(action, said):
    assert said in parse(action)


@settings(deadline=None)
@given(PLAIN, st.lists(st.integers(0, 999), max_size=5, unique=True))
def test_calls_are_read_back(text, citations):
    if not text or parse(f"answer({text})") == "answer needs a text":
        return
    call = Call("answer", text, tuple(citations))
    assert parse(json.dumps(call.canonical())) == [call]


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read(text):
    for action in (text, f"answer({text})", f"answer {text}]", f'{{"name": {text}', f"open[{text}"):
        assert isinstance(parse(action), str | list)
    assert cited(text)[0] == text.rstrip() or cited(text)[1]


# The dialect of tags --------------------------------------------------------------------------------------------------


def test_the_dialect_is_known_by_name():
    assert isinstance(dialects.get("search-tags"), SearchTags)


@settings(deadline=None)
@given(st.sampled_from(["search", "answer", "open"]), PLAIN)
def test_tags_are_read_back(verb, text):
    action = f"{verb}({text})"
    if isinstance(parse(action), str):
        return
    assert parse(SearchTags().parse(SearchTags().render(action)).action) == parse(action)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<search>a</search>", "search(a)"),
        ("I think.<answer>Paris [1]</answer>", "answer(Paris [1])"),
        # What a model makes up after its search does not count, nor what it thinks of doing.
        ("<search>a</search><information>x</information><answer>b</answer>", "search(a)"),
        ("<think>maybe <answer>b</answer></think><search>a</search>", "search(a)"),
        ("<search>\n a\n b </search>", "search(a b)"),
        ("<answer>b", None),
        ("<search></search>", None),
        ("search(a)", None),
        ("", None),
    ],
)
def test_tags(text, action):
    parsed = SearchTags().parse(text)
    assert parsed.action == action
    assert (parsed.fault is None) == (action is not None)
    if action is None:
        assert "<search>" in SearchTags().reply(parsed.fault)


def test_a_tool_call_is_written_in_tags():
    call = json.dumps(Call("answer", "Paris", (1, 3)).canonical())
    assert SearchTags().render(call) == "<answer>Paris [1] [3]</answer>"


def test_hostile_text_has_an_answer():
    for _, text in hostile_actions(300):
        for each in (text, f"<search>{text}</search>", f"<answer>{text}"):
            parsed = SearchTags().parse(each)
            assert (parsed.action is None) != (parsed.fault is None)
            assert isinstance(parse(text), str | list)


# Pages ----------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(WORDS, WORDS, st.sampled_from(["labels", "information"]))
def test_a_document_is_one_line_without_markers(title, text, form):
    shown = page([Shown(1, Passage("a", title, text), 4000), Shown(2, Passage("b", "T", "x"), 4000)], form)
    lines = shown.split("\n")
    if form == "information":
        assert (lines.pop(0), lines.pop()) == ("<information>", "</information>")
    assert len(lines) == 2
    assert lines[1] == ("Doc 2(Title: T) x" if form == "information" else "[2] T: x")
    assert not any(a == "<" and ((b.isascii() and b.isalpha()) or b in "/|") for a, b in pairwise(lines[0]))
    assert " ".join(text.split()) in unguard(lines[0])


# Metrics --------------------------------------------------------------------------------------------------------------


def attempt(n, ending=Ending.SUCCESS, **report):
    plain = {
        "answered": True, "score": 0.0, "em": 0.0, "f1": 0.0, "refused": False, "missing": False, "enough": False,
        "told": False, "evidence": 0.0, "hops": 2, "kind": "", "searches": 1, "opens": 0, "redundant": 0, "after": 0,
        "citations": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
    }  # fmt: skip
    turn = Turn(Observation("q"), Completion("a"), "a", info={"search": plain | report})
    return Trajectory(f"a{n}", "search-v0", "t", "g", n, 0, (turn,), ending)


def test_abilities_are_told_apart():
    played = [
        attempt(0, em=1.0, enough=True, evidence=1.0, after=0, searches=2),  # All is well.
        attempt(1, em=0.0, enough=True, evidence=1.0, after=3, searches=5, redundant=2),  # Cannot use what it found.
        attempt(2, em=1.0, evidence=0.5, hops=3),  # Right, and not from what it read.
        attempt(3, evidence=0.0, refused=True),  # Declines for want of searching.
        attempt(4, em=1.0, missing=True, refused=True, evidence=None),  # Declines rightly.
        attempt(5, missing=True, evidence=None),  # Makes something up.
        attempt(6, answered=False, enough=True, evidence=1.0, after=7, searches=9, citations=None),  # Never stops.
        attempt(7, Ending.INFRA_ERROR, em=1.0, enough=True),
    ]
    found = measure(played)
    assert found["em"] == Share(3 / 7, 7)
    assert found["sufficiency"] == Share(3 / 5, 5)
    assert found["knowledge_use"] == Share(1 / 2, 2)
    assert found["without_evidence"] == Share(1 / 2, 2)
    assert found["refusal"] == Share(1 / 2, 2)
    assert found["over_refusal"] == Share(0.0, 2)
    assert found["doubt"] == Share(1 / 2, 2)
    assert found["too_soon"] == Share(2 / 5, 5)
    assert found["too_late"] == Share(10 / 3, 3)
    assert found["stopped_in_time"] == Share(1 / 2, 2)
    assert found["redundant"].value == pytest.approx((2 / 5) / 7)
    assert found["evidence_recall"] == Share(3.5 / 5, 5)
    assert found["em_hops_3"] == Share(1.0, 1)
    assert found["infra_errors"] == Share(1.0, 1)


def test_nothing_played_is_no_zero():
    found = measure([])
    assert set(found.values()) == {Share(None, 0)}


@settings(deadline=None)
@given(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_overlap(cited_ids, right):
    found = overlap({str(n) for n in cited_ids}, {str(n) for n in right})
    shared = len(cited_ids & right)
    assert found["f1"] == pytest.approx(2 * shared / (len(cited_ids) + len(right)) if shared else 0.0)
    assert found["precision"] == pytest.approx(shared / len(cited_ids) if cited_ids else 0.0)


# Every dialect of the suite -----------------------------------------------------------------------------------------


# What is registered depends on what was imported before: commands in a shell's blocks are another environment's.
@pytest.mark.parametrize("name", sorted(dialects.DIALECTS.keys() - {"shell-block"}))
@pytest.mark.parametrize(
    "action", ["search(the mayor of Ostrel)", "open(3)", "answer(Venn Arlo [1] [2])", "answer(unknown)"]
)
def test_actions_go_through_every_dialect(name, action):
    dialect = dialects.get(name)
    calls = parse(action)
    assert not isinstance(calls, str)
    for written in (action, json.dumps(calls[0].canonical(), sort_keys=True)):
        parsed = dialect.parse(dialect.render(written))
        assert parsed.fault is None
        assert parsed.action is not None
        assert parse(parsed.action) == calls
