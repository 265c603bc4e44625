"""Near-duplicate anchors: the same clusters as comparing everything with everything, and what may never happen."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
import similar as benchmark  # benchmarks/similar.py
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import scorers
from agentgym.config import parse
from agentgym.credit import Pipeline, TurnTable
from agentgym.credit.anchor_state import AnchorState
from agentgym.credit.segments import Segments
from agentgym.credit.similar import LEAST, LONGEST, _counts, _Firsts, cluster
from agentgym.entries import entries
from agentgym.errors import ConfigError, CreditError
from agentgym.scorers import ScorerContext
from agentgym.scorers.similar_states import SimilarStates
from agentgym.types import Completion, Ending, Observation, Task, Trajectory, Turn

words = st.sampled_from(["hall", "Cellar", "7", "42", "key", "Door", "lamp.", "You", "see", "box"])
sentences = st.lists(words, max_size=14).map(" ".join)
anything = st.one_of(sentences, st.text(max_size=30), st.text(alphabet="ab", max_size=30))


def no_task(name: str) -> Task:
    raise CreditError(f"no task {name!r}")


def partition(ids: np.ndarray, order: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(order[ids == k].tolist()) for k in set(ids.tolist())}


def test_same_clusters_as_pairwise_difflib_on_a_text_world() -> None:
    texts = benchmark.observations(160, seed=3, places=12)
    theirs = benchmark.pairwise(texts, 0.95)
    assert 12 < len(set(theirs)) < len(set(texts)) < 160  # There is something to join, and something that stays apart.
    assert benchmark.same_rows(cluster(texts).tolist(), theirs) >= 0.99


@pytest.mark.parametrize("threshold", [0.8, 0.85, 0.9, 0.99])
def test_same_clusters_at_other_thresholds(threshold: float) -> None:
    texts = benchmark.observations(80, seed=4, places=6)
    assert (
        benchmark.same_rows(cluster(texts, threshold=threshold).tolist(), benchmark.pairwise(texts, threshold)) >= 0.98
    )


def test_one_inserted_character_joins_short_texts_too() -> None:
    """Nine characters and ten: 18 of 19 match, 0.947; ten and eleven: 20 of 21, 0.952."""
    assert cluster(["abcdefghi", "abcdXefghi"]).tolist() == [0, 1]
    for at in range(11):
        text = "abcdefghij"
        assert cluster([text, text[:at] + "X" + text[at:]]).tolist() == [0, 0], at


def test_the_first_cluster_that_is_similar_enough_wins() -> None:
    base = "abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    one, two = "1" + base[1:-2] + "--", base  # Two characters fewer in common than the threshold allows: apart.
    between = "1" + base[1:]
    assert SequenceMatcher(None, one, two).ratio() < 0.95
    assert SequenceMatcher(None, between, one).ratio() >= 0.95
    assert SequenceMatcher(None, between, two).ratio() >= 0.95
    assert cluster([one, two, between]).tolist() == [0, 1, 0]
    assert cluster([two, one, between]).tolist() == [0, 1, 0]  # Not transitive: here the order decides.


def test_texts_of_frequent_characters_are_compared_as_difflib_does() -> None:
    """From 200 characters on difflib begins no match with a frequent one: what follows a new first one is lost."""
    text = "ab" * 200
    assert SequenceMatcher(None, "X" + text, text).ratio() < 0.01
    assert cluster([text, text, "X" + text, text + "X"]).tolist() == [0, 0, 1, 0]


def test_counts_rule_out_what_cannot_be_similar_and_nothing_else() -> None:
    """Three firsts: one character of forty changed; the same characters turned round; another text of that length."""
    text = "abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    firsts = _Firsts(0.95)
    for number, first in enumerate([text[:20] + "X" + text[21:], text[::-1], "-" * len(text)]):
        assert firsts.match(first, number) is None
    counts = _counts(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32))
    assert firsts._possible(np.arange(3), counts, len(text)).tolist() == [True, False, False]
    assert firsts._possible(np.arange(3), counts, 10 * len(text)).tolist() == [False, False, False]
    assert firsts.match(text, 3) == 0


def test_very_long_texts_are_joined_with_equal_ones_only() -> None:
    long = "x" * (LONGEST + 1)
    assert cluster([long, long + "y", long]).tolist() == [0, 1, 0]


def test_strange_texts() -> None:
    assert cluster([]).tolist() == []
    assert cluster(["", "", "\0", "\ud800", "\U0010ffff" * 40, "\U0010ffff" * 40 + "x"]).tolist() == [0, 0, 1, 2, 3, 3]


@given(st.lists(anything, max_size=12), st.data())
@settings(deadline=None, max_examples=200)
def test_threshold_one_is_exact_keys(texts: list[str], data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.integers(0, 2), min_size=len(texts), max_size=len(texts)))
    expected = {key: None for key in zip(groups, texts, strict=True)}
    numbers = {key: i for i, key in enumerate(expected)}
    found = cluster(texts, groups, threshold=1.0)
    assert found.tolist() == [numbers[key] for key in zip(groups, texts, strict=True)]


@given(st.lists(anything, max_size=12), st.data())
@settings(deadline=None, max_examples=200)
def test_members_are_similar_to_their_first_and_no_group_is_crossed(texts: list[str], data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.integers(0, 2), min_size=len(texts), max_size=len(texts)))
    threshold = data.draw(st.sampled_from([0.8, 0.9, 0.95]))
    ids = cluster(texts, groups, threshold).tolist()
    assert ids == Segments.of(np.array(ids, dtype=np.int64)).ids.tolist()  # Numbered by first appearance.
    for row, k in enumerate(ids):
        first = ids.index(k)
        assert groups[row] == groups[first]
        alike = SequenceMatcher(None, texts[row], texts[first]).ratio() >= threshold
        assert alike or texts[row] == texts[first]
    by_text = {(g, text): k for g, text, k in zip(groups, texts, ids, strict=True)}
    assert [by_text[key] for key in zip(groups, texts, strict=True)] == ids  # Equal texts are together.


@given(st.permutations(range(24)))
@settings(deadline=None, max_examples=50)
def test_order_only_renumbers_where_being_similar_is_transitive(order: list[int]) -> None:
    """Four states far apart, each met with six counters: any order of rows makes the same four clusters."""
    rooms = ["The Hall of mirrors", "A cellar, wet", "Kitchen: smoke and pans", "Out in the garden (night)"]
    texts = [f"{room}. You see nothing else that is new. Moves {i}" for room in rooms for i in range(6)]
    plain, rows = cluster(texts), np.array(order)
    assert plain.max() == 3
    assert partition(cluster([texts[i] for i in order]), rows) == partition(plain, np.arange(24))


@pytest.mark.parametrize("threshold", [LEAST - 0.01, 1.01, float("nan")])
def test_thresholds_out_of_range_are_refused(threshold: float) -> None:
    with pytest.raises(CreditError, match="threshold"):
        cluster(["a"], threshold=threshold)
    with pytest.raises(CreditError, match="2 texts have 1 groups"):
        cluster(["a", "b"], [0])


def test_benchmark_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--observations", "60", "--sample", "30", "--json"]) == 0
    assert '"same_rows": 1.0' in capsys.readouterr().out


# In a recipe ---------------------------------------------------------------------------------------------------------


def attempt(i: int, texts: list[str], reward: float, state: str | None = None) -> Trajectory:
    turns = tuple(
        Turn(Observation(text, state=state), Completion("go"), "go", reward * (n == len(texts) - 1))
        for n, text in enumerate(texts)
    )
    ending = Ending.SUCCESS if reward else Ending.FAILURE
    return Trajectory(f"t{i}", "e", "task", "g", i, 0, turns, ending, score=reward, success=reward > 0)


PLAYED = [
    attempt(0, ["Hall of mirrors. You see a brass key. Moves 1", "A cellar."], 1.0),
    Trajectory("broken", "e", "task", "g", 2, 0, (), Ending.INFRA_ERROR),
    attempt(1, ["Hall of mirrors. You see a brass key. Moves 2"], 0.0),
]


def test_anchor_state_compares_turns_from_nearly_equal_states() -> None:
    table = TurnTable.from_trajectories(PLAYED)
    exact = AnchorState(gamma=0.5)(table)
    assert exact["step_advantage"].tolist() == [0.0, 0.0, 0.0]  # The counter makes every state unique.
    scored = table.with_columns(SimilarStates().open(ScorerContext(no_task)).score(PLAYED, table))
    assert scored["anchor"].tolist() == [0, 1, 0]
    credit = AnchorState(gamma=0.5, keys="similar")(scored)
    assert credit["step_group"].tolist() == [0, 1, 0]
    assert credit["step_advantage"].tolist() == [0.25, 0.0, -0.25]
    assert credit["episode_advantage"].tolist() == exact["episode_advantage"].tolist()


@given(st.lists(st.lists(sentences, min_size=1, max_size=4), min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_threshold_one_on_state_keys_is_the_exact_module(attempts: list[list[str]]) -> None:
    played = [attempt(i, texts, float(i % 2)) for i, texts in enumerate(attempts)]
    table = TurnTable.from_trajectories(played)
    scorer = SimilarStates(threshold=1.0, source="state").open(ScorerContext(no_task))
    similar = AnchorState(keys="similar")(table.with_columns(scorer.score(played, table)))
    for name, values in AnchorState()(table).items():
        np.testing.assert_array_equal(similar[name], values, err_msg=name)


def test_source_says_what_is_compared() -> None:
    played = [attempt(i, ["You see a red apple on the table."], 1.0, state=f"room-{i}" * 3) for i in range(2)]
    table = TurnTable.from_trajectories(played)
    by = {
        s: SimilarStates(source=s).open(ScorerContext(no_task)).score(played, table)["anchor"]
        for s in ("text", "state")
    }
    assert by["text"].tolist() == [0, 0]
    assert by["state"].tolist() == [0, 1]


def test_a_recipe_that_asks_for_similar_anchors_needs_the_scorer() -> None:
    listed = [{"use": "anchor-state", "keys": "similar"}]
    with pytest.raises(CreditError, match="'anchor'"):
        Pipeline.from_config(listed).check()
    file = Path(scorers.__file__).with_name("similar_states.py")
    ((_, scorer),) = entries("scorers", scorers.Scorer, [{"use": f"{file}:SimilarStates", "threshold": 0.9}])
    Pipeline.from_config(listed).check(set(TurnTable.from_trajectories(PLAYED).columns) | scorer.written())
    with pytest.raises(ConfigError, match="threshold"):
        parse(SimilarStates, {"threshold": 0.5}, "recipe")
