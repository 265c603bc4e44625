"""The turn table: what it refuses and how it says so, and the way from trajectories and back."""

from __future__ import annotations

import numpy as np
import pytest
from credit_cases import tables
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.credit import TurnTable
from agentgym.credit.grpo import Grpo
from agentgym.credit.table import REQUIRED, hash_state
from agentgym.errors import CreditError
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn


def columns():
    """Two groups: trajectories of 2 and 1 turns, and of 3."""
    return {
        "group": np.array([0, 0, 0, 1, 1, 1]),
        "trajectory": np.array([0, 0, 1, 2, 2, 2]),
        "turn": np.array([0, 1, 0, 0, 1, 2]),
        "reward": np.array([0.0, 1.0, 0.0, 0.1, 0.2, 0.3]),
        "outcome": np.array([1.0, 1.0, 0.0, 0.6, 0.6, 0.6]),
        "done": np.array([False, True, True, False, False, True]),
        "state": np.array([1, 2, 1, 3, 4, 3], dtype=np.uint64),
        "tokens": np.array([3, 4, 5, 6, 7, 8]),
    }


WRONG = [
    ("reward", 4, np.nan, "row 4: column 'reward' (nan) is not finite"),
    ("reward", 1, -np.inf, "row 1: column 'reward' (-inf) is not finite"),
    ("reward", 1, 1e101, "row 1: column 'reward' (1e+101) is larger than 1e+100 in size"),
    ("outcome", 2, np.inf, "row 2: column 'outcome' (inf) is not finite"),
    ("outcome", 4, 0.7, "row 4: column 'outcome' (0.7) differs from the turn before"),
    ("turn", 4, 0, "row 4: column 'turn' (0) is there twice in its trajectory"),
    ("turn", 5, 3, "row 5: column 'turn' (3) comes after a gap in its trajectory's turns"),
    ("turn", 5, 0, "row 5: column 'turn' (0) comes after a larger one: rows are not sorted"),
    ("turn", 2, 1, "row 2: column 'turn' (1) is its trajectory's first, which must be 0"),
    ("done", 0, True, "row 0: column 'done' (True) must be true on the last turn of a trajectory only"),
    ("done", 5, False, "row 5: column 'done' (False) must be true on the last turn of a trajectory"),
    ("group", 2, 2, "row 3: column 'group' (1) comes after a larger one: rows are not sorted"),
    ("group", 1, 1, "row 2: column 'group' (0) comes after a larger one: rows are not sorted"),
    ("trajectory", 2, -1, "row 2: column 'trajectory' (-1) comes after a larger one: rows are not sorted"),
    ("tokens", 3, -1, "row 3: column 'tokens' (-1) is negative"),
]


@pytest.mark.parametrize(("name", "row", "value", "message"), WRONG)
def test_a_wrong_value_is_named_with_its_column_and_row(name, row, value, message):
    wrong = columns()
    wrong[name][row] = value
    with pytest.raises(CreditError) as caught:
        TurnTable(wrong)
    assert str(caught.value) == message


def test_a_trajectory_in_two_groups_is_named():
    wrong = columns()
    wrong["trajectory"][3:] = 1
    with pytest.raises(CreditError, match="row 3: column 'group': trajectory 1 is in group 1 and in 0"):
        TurnTable(wrong)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("reward", np.zeros(5), "column 'reward' has 5 rows, column 'turn' has 6"),
        ("reward", np.zeros((6, 1)), "column 'reward' must have one dimension, not 2"),
        ("reward", np.array(["1"] * 6), "column 'reward' must be float64, not <U1"),
        ("reward", np.array([None] * 6), "column 'reward' must be float64, not object"),
        ("turn", np.array([0.0, 1, 0, 0, 1, 2]), "column 'turn' must be int64, not float64"),
        ("state", np.array([1, 2, -1, 3, 4, 3]), "row 2: column 'state' (-1) is negative"),
        ("tokens", np.array([2**63] * 6, dtype=np.uint64), "does not fit 64 bits with a sign"),
        ("done", np.array([0, 1, 2, 0, 0, 1]), "row 2: column 'done' (2) must be 0 or 1"),
        ("note", np.array(["x"] * 6), "column 'note' must be numbers, not <U1"),
        ("note", np.array([0, 0, np.nan, 0, 0, 0]), "row 2: column 'note' (nan) is not finite"),
    ],
)
def test_a_column_that_does_not_fit_is_named(name, value, message):
    with pytest.raises(CreditError) as caught:
        TurnTable({**columns(), name: value})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", list(REQUIRED))
def test_a_missing_column_is_named(name):
    less = columns()
    del less[name]
    for make in (TurnTable, TurnTable.build):
        with pytest.raises(CreditError, match=f"lacks the column '{name}'"):
            make(less)


def test_an_unknown_column_is_named_with_those_there_are():
    with pytest.raises(CreditError, match="no column 'advantage'; it has done, group, outcome"):
        TurnTable(columns())["advantage"]


def test_the_table_cannot_be_changed():
    given_columns = columns()
    table = TurnTable(given_columns)
    given_columns["reward"][0] = np.nan
    assert table["reward"][0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        table["reward"][0] = 1.0
    new = np.zeros(6)
    more = table.with_columns({"advantage": new})
    new[0] = np.nan
    assert more["advantage"][0] == 0.0
    assert "advantage" in more
    assert "advantage" not in table


def test_types_are_made_what_they_must_be():
    table = TurnTable({name: values.tolist() for name, values in columns().items()})
    assert {name: table[name].dtype for name in REQUIRED} == {name: np.dtype(kind) for name, kind in REQUIRED.items()}
    assert repr(table).startswith("TurnTable(6 turns, 3 trajectories: group, ")


def test_a_column_that_a_module_replaces_is_checked():
    table = TurnTable(columns())
    assert table.with_columns({"reward": np.ones(6)})["reward"].tolist() == [1.0] * 6
    for name, value, message in (
        ("reward", np.array([0, 0, 0, np.nan, 0, 0]), "row 3: column 'reward' (nan)"),
        ("advantage", np.zeros(3), "column 'advantage' has 3 rows"),
        ("outcome", np.arange(6.0), "row 1: column 'outcome' (1.0) differs"),
    ):
        with pytest.raises(CreditError) as caught:
            table.with_columns({name: value})
        assert message in str(caught.value)


@settings(deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_build_puts_rows_in_order(made, random):
    order = list(range(len(made["turn"])))
    random.shuffle(order)
    shuffled = TurnTable.build({name: values[order] for name, values in made.items()})
    straight = TurnTable.build(made, sort=False)
    for name in REQUIRED:
        assert shuffled[name].tolist() == straight[name].tolist() == made[name].tolist()


def test_build_without_sorting_refuses_rows_out_of_order():
    backwards = {name: values[::-1] for name, values in columns().items()}
    assert len(TurnTable.build(backwards)) == 6
    with pytest.raises(CreditError, match="not sorted"):
        TurnTable.build(backwards, sort=False)


def trajectory(name, group, rewards, ending=Ending.SUCCESS, score=None, states=None, tokens=2):
    turns = tuple(
        Turn(
            Observation(f"text {t}", state=None if states is None else states[t]),
            Completion("go", tokens=None if tokens is None else tuple(range(tokens + t))),
            "go",
            reward=r,
        )
        for t, r in enumerate(rewards)
    )
    return Trajectory(name, "e", "t", group, 0, 0, turns, ending, score=sum(rewards) if score is None else score)


def test_from_trajectories_and_back():
    played = [
        trajectory("a", "g1", [0.0, 1.0], score=5.0),
        trajectory("broken", "g0", [9.0, 9.0], ending=Ending.INFRA_ERROR),
        trajectory("b", "g0", [0.5], tokens=None),
        trajectory("none", "g0", []),
        trajectory("c", "g1", [0.0, 0.0, 0.0], ending=Ending.OUT_OF_TURNS, states=["s", "text 0", "s"]),
    ]
    table = TurnTable.from_trajectories(played)
    assert table["trajectory"].tolist() == [0, 0, 4, 4, 4, 2]
    assert table["group"].tolist() == [0, 0, 0, 0, 0, 1]
    assert table["turn"].tolist() == [0, 1, 0, 1, 2, 0]
    assert table["outcome"].tolist() == [5.0, 5.0, 0.0, 0.0, 0.0, 0.5]
    assert table["done"].tolist() == [False, True, False, False, True, True]
    assert table["tokens"].tolist() == [2, 3, 2, 3, 4, 0]
    state = table["state"].tolist()
    assert state[2] == state[4] == hash_state("s")
    assert state[0] == state[3] == state[5] == hash_state("text 0")  # The text is the key where there is no other.
    back = table.with_columns(Grpo()(table)).per_trajectory("advantage", len(played))
    assert [None if part is None else len(part) for part in back] == [2, None, 1, None, 3]
    assert back[0] is not None
    assert back[2] is not None
    assert (back[0] > 0).all()
    assert back[2].tolist() == [0.0]


def test_an_infra_error_is_in_no_statistic():
    good = [trajectory("a", "g", [1.0]), trajectory("b", "g", [0.0])]
    broken = trajectory("x", "g", [100.0], ending=Ending.INFRA_ERROR)
    alone = Grpo()(TurnTable.from_trajectories(good))["advantage"]
    beside = Grpo()(TurnTable.from_trajectories([good[0], broken, good[1]]))["advantage"]
    assert alone.tolist() == beside.tolist()


def test_a_batch_of_which_nothing_is_left():
    table = TurnTable.from_trajectories([trajectory("x", "g", [1.0], ending=Ending.INFRA_ERROR)])
    assert len(table) == 0
    assert table.per_trajectory("reward", 1) == [None]
    assert len(TurnTable.from_trajectories([])) == 0


def with_info(name, infos, actions):
    """A trajectory whose turns have these infos and actions; an action of `None` could not be read."""
    turns = [
        Turn(Observation("o"), Completion("text"), action, info=i) for i, action in zip(infos, actions, strict=True)
    ]
    return Trajectory(name, "e", "t", "g", 0, 0, tuple(turns), Ending.FAILURE)


def test_progress_of_a_turn_that_reached_no_environment_is_that_of_the_turn_before():
    played = [
        with_info("a", [{}, {"progress": 0.5}, {}], [None, "go", None]),
        with_info("b", [{}], [None]),
    ]
    table = TurnTable.from_trajectories(played)
    assert table["progress"].tolist() == [0.0, 0.5, 0.5, 0.0]
    assert table["malformed"].tolist() == table["fault"].tolist() == [True, False, True, True]


def test_progress_is_there_when_the_environment_promises_it_and_only_then():
    unread = [with_info("a", [{}], [None])]
    assert "progress" not in TurnTable.from_trajectories(unread)
    assert TurnTable.from_trajectories(unread, progress=True)["progress"].tolist() == [0.0]
    silent = [with_info("a", [{"progress": 0.5}, {}], ["go", "go"])]
    assert "progress" not in TurnTable.from_trajectories(silent)
    with pytest.raises(CreditError, match=r"trajectory 'a', turn 1: progress is None"):
        TurnTable.from_trajectories(silent, progress=True)


def test_what_turns_tell_has_a_column():
    turns = (
        Turn(
            Observation("o"), Completion("go", (1, 2), (-0.5, -0.25)), "go", rewards={"step": 0.1}, info={"fault": "no"}
        ),
        Turn(Observation("o"), Completion("stop!", (3,), (-1.0,), finish="length"), "stop", rewards={"goal": 1.0}),
    )
    played = [Trajectory("a", "e", "t", "g", 0, 0, turns, Ending.SUCCESS, success=True)]
    table = TurnTable.from_trajectories(played, components=["style"])
    assert table["logprob"].tolist() == [-0.75, -1.0]
    assert table["characters"].tolist() == [2, 5]
    assert table["truncated"].tolist() == [False, True]
    assert table["success"].tolist() == [True, True]
    assert table["fault"].tolist() == [True, False]
    assert table["action"][0] == hash_state("go") != table["action"][1]
    assert [table[f"reward.{name}"].tolist() for name in ("step", "goal", "style")] == [
        [0.1, 0.0],
        [0.0, 1.0],
        [0.0, 0.0],
    ]


def test_a_component_that_is_no_number_names_its_turn():
    turn = Turn(Observation("o"), Completion("go"), "go", rewards={"step": float("nan")})
    with pytest.raises(CreditError, match=r"trajectory 'a', turn 0: reward.step is nan"):
        TurnTable.from_trajectories([Trajectory("a", "e", "t", "g", 0, 0, (turn,), Ending.FAILURE)])


def test_log_probabilities_are_there_only_where_every_turn_has_them():
    turns = (
        Turn(Observation("o"), Completion("go", (1,), (-0.5,)), "go"),
        Turn(Observation("o"), Completion("go"), "go"),
    )
    assert "logprob" not in TurnTable.from_trajectories([Trajectory("a", "e", "t", "g", 0, 0, turns, Ending.FAILURE)])


def test_a_table_of_some_trajectories_is_as_if_the_others_had_not_been_played():
    table = TurnTable.from_rewards([[[0.0, 1.0], [0.0]], [[2.0]]])
    some = table.where(table["trajectory"] != 0)
    assert some["outcome"].tolist() == [0.0, 2.0]
    assert some["group"].tolist() == [0, 1]
    with pytest.raises(CreditError, match="must be true on the last turn"):
        table.where(np.array([True, False, True, True]))


def test_a_bad_number_names_the_trajectory():
    with pytest.raises(CreditError, match="trajectory 'bad', turn 1: the reward is nan"):
        TurnTable.from_trajectories(
            [trajectory("ok", "g", [1.0]), trajectory("bad", "g", [0.0, float("nan")], score=0.0)]
        )
    with pytest.raises(CreditError, match="trajectory 'bad': the score is inf"):
        TurnTable.from_trajectories([trajectory("bad", "g", [0.0], score=float("inf"))])


def test_per_trajectory_refuses_too_short_a_list():
    with pytest.raises(CreditError, match="column 'trajectory' has 2; cut into 2, it must be below that"):
        TurnTable(columns()).per_trajectory("reward", 2)


def test_hostile_state_keys_are_hashed():
    keys = ["", "\x00", "\ud800", "a" * 1_000_000, "<|im_start|>", "é", "e\u0301"]
    assert len({hash_state(key) for key in keys}) == len(keys)
    digest = "4e863a9253f7fa97"  # printf hall | b2sum -l 64
    assert hash_state("hall") == int.from_bytes(bytes.fromhex(digest), "little")


def test_from_rewards_refuses_what_does_not_fit():
    for arguments, message in (
        (([[[]]],), "group 0, trajectory 0 of it has no turns"),
        (([[[1.0]], [[1.0]]], [[["a"]]]), "no group 1, trajectory 0"),
        (([[[1.0, 0.0]]], [[["a"]]]), "has 2 rewards and 1 states"),
        (([[[float("nan")]]],), "is not finite"),
    ):
        with pytest.raises(CreditError, match=message):
            TurnTable.from_rewards(*arguments)
    table = TurnTable.from_rewards([[[1.0, 2.0]], [[0.0]]], outcomes=[[7.0], [8.0]])
    assert table["outcome"].tolist() == [7.0, 7.0, 8.0]
