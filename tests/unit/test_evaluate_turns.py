"""What an evaluation says turn by turn and by kind of task: against counts by hand, and on real play."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agentgym import registry
from agentgym.env import EnvSpec
from agentgym.errors import UsageError
from agentgym.evaluate import evaluate, kinds_of, summarise, turn_figures, turn_values
from agentgym.evaluate.result import shown
from agentgym.evaluate.turns import Spread, fault_of
from agentgym.types import Completion, Ending, Observation, Task, Trajectory, Turn


def turn(state: str, said: str = "go", seconds: float = 0.0, **info: Any) -> Turn:
    completion = Completion(said, (1, 2), prompt_tokens=10, cached_tokens=5, seconds=seconds)
    return Turn(Observation(state), completion, None if info.get("fault") == "format" else said, 0.0, info=info)


def attempt(group: str, turns: list[Turn], final: str = "end", success: bool = True) -> Trajectory:
    ending = Ending.SUCCESS if success else Ending.FAILURE
    return Trajectory(group, "e", group, group, 0, 0, tuple(turns), ending, Observation(final), 1.0, success)


def test_each_metric_by_hand() -> None:
    played = attempt(
        "a",
        [
            turn("hall", progress=0.25),
            turn("cellar", fault="format"),  # Unread: the state is the one before, and no progress is told.
            turn("cellar", progress=0.75, calls=[{}], tool_faults={"arguments": 2, "error": 1}, fault="arguments"),
            turn("hall", said=" \n", progress=0.5),
        ],
        final="cellar",
    )
    values = {name: [value for _, value in found] for name, found in turn_values([played]).items()}
    assert values["valid_actions"] == [1.0, 0.0, 0.0, 0.0]
    assert values["tool_errors"] == [0.0, 0.0, 3.0, 0.0]
    assert values["repeated_states"] == [0.0, 1.0, 1.0, 1.0]
    assert sorted(values["progress"]) == [-0.25, 0.0, 0.25, 0.5]
    assert sum(values["setbacks"]) == 1.0
    assert values["written"] == [2.0] * 4
    assert values["prompt"] == [10.0] * 4
    assert values["cached"] == [0.5] * 4


def test_a_model_that_answers_nothing_has_the_fault_empty() -> None:
    assert fault_of(turn("s", said="")) == "empty"
    assert fault_of(turn("s", said="\t", fault="invalid")) == "empty"
    assert fault_of(turn("s", said="go")) is None
    silent = summarise([attempt("a", [turn("s", said="", fault="format")] * 3)])
    assert (silent.faults, silent.fault_rate, silent.silent) == ({"empty": 3}, 1.0, True)
    assert not summarise([attempt("a", [turn("s", said=""), turn("s")])]).silent


def test_what_there_is_nothing_to_tell_from_has_no_figure() -> None:
    bare = Turn(Observation("s"), Completion("go"), "go", 0.0)
    figures = turn_figures(turn_values([attempt("a", [bare, bare])]))
    assert set(figures) == {"valid_actions", "repeated_states"}
    assert summarise([]).per_turn == {}


def test_the_interval_of_a_mean_over_turns_knows_the_tasks() -> None:
    # Long attempts of the same few tasks tell less than their turns are many: the interval must cover the mean of
    # fresh tasks. Each task has its own rate of repeated states.
    rng = np.random.default_rng(3)
    covered, runs, truth = 0, 300, 0.5
    for _ in range(runs):
        played: list[Trajectory] = []
        for task in range(25):
            rate = rng.beta(1.0, 1.0)
            states = ["s0" if rng.random() < rate else f"t{i}" for i in range(1, 9)]
            played.append(attempt(f"g{task}", [turn(s) for s in ["s0", *states[:-1]]], final=states[-1]))
        found = summarise(played).per_turn["repeated_states"]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / runs <= 0.99
    naive = 1.96 * math.sqrt(0.25 / (25 * 8))
    assert found.high - found.low > 2.5 * naive


def test_latency_has_its_median_and_its_tail() -> None:
    times = [0.1] * 90 + [2.0] * 10
    found = summarise([attempt("a", [turn("s", seconds=s) for s in times])])
    assert found.latency["policy"].median == pytest.approx(0.1)
    assert found.latency["policy"].p95 == pytest.approx(2.0)
    assert dict(found.rows())["policy a turn"] == "median 100 ms, 95 % within 2 s"
    assert Spread.of([]) is None
    assert not any("seconds" in name or "latency" in name for name in found.metrics()), "metrics repeat on any machine"


def test_tables_by_kind_and_ending_add_up() -> None:
    played = [
        attempt("a", [turn("s")] * 2),
        attempt("b", [turn("s")] * 4, success=False),
        attempt("c", [turn("s", fault="invalid")] * 3, success=False),
        replace(attempt("d", []), ending=Ending.INFRA_ERROR, success=False),
    ]
    kinds = {"a": {"type": "short"}, "b": {"type": "long"}, "c": {"type": "long"}, "d": {"type": "never"}}
    found = summarise(played, kinds=kinds)
    assert list(found.kinds) == ["type"]
    short, long = found.kinds["type"]["short"], found.kinds["type"]["long"]
    assert (short.attempts, short.success, short.turns, short.valid_actions) == (1, 1.0, 2.0, 1.0)
    assert (long.attempts, long.success, long.turns, long.valid_actions) == (2, 0.0, 3.5, pytest.approx(4 / 7))
    assert "never" not in found.kinds["type"], "a broken world is in no table"
    assert {name: part.attempts for name, part in found.by_ending.items()} == {"success": 1, "failure": 2}
    assert summarise(played, kinds={"a": {"type": "one"}}).kinds == {}, "one kind alone is no breakdown"
    assert found.to_json()["kinds"]["type"]["long"]["attempts"] == 2


def kind_by_parity(task: Task) -> dict[str, Any]:
    return {"parity": "odd" if task.data["at"] % 2 else "even"}


def kind_by_number(task: Task) -> int:
    return len(task.id)


def test_an_environment_can_say_what_its_kinds_are() -> None:
    spec: EnvSpec = registry.spec("keydoor-v0")
    tasks = list(registry.tasks(spec, "heldout"))
    assert all(not kinds for kinds in kinds_of(tasks, "keydoor-v0").values())
    named = replace(spec, kinds=f"{__name__}:kind_by_parity")
    assert {k["parity"] for k in kinds_of(tasks, named).values()} == {"odd", "even"}
    with pytest.raises(UsageError, match="a word or a table of words for a task, not int"):
        kinds_of(tasks[:1], replace(spec, kinds=f"{__name__}:kind_by_number"))


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ("tools-stateful-v0", {"domain", "difficulty", "twist"}),
        ("alfworld-v0", {"type", "level"}),
        ("search-world-v0", {"kind", "hops"}),
        ("webshop-v0", {"category"}),
        ("bfcl-v0", set()),
    ],
)
def test_shipped_tasks_say_what_kind_they_are_of_and_no_answer(env: str, wanted: set[str]) -> None:
    try:
        tasks = registry.tasks(env, "heldout")[:12]
    except UsageError as error:
        pytest.skip(f"{env}: {error}")
    kinds = kinds_of(tasks, env)
    assert len(kinds) == len(tasks)
    assert wanted <= set().union(*kinds.values())
    for task in tasks:
        answer = task.data.get("answer")
        assert answer is None or str(answer) not in kinds[task.id].values()


def test_a_real_evaluation_has_all_of_it() -> None:
    tasks = registry.tasks("tools-stateful-v0", "heldout")[:12]
    player = registry.load("policies", "noisy-oracle")(epsilon=0.4, dialect="openai")
    found = evaluate("tools-stateful-v0", player, tasks, seed=2)
    assert {"valid_actions", "repeated_states", "tool_errors", "progress"} <= set(found.per_turn)
    assert found.per_turn["valid_actions"].value == pytest.approx(1 - found.fault_rate)
    assert set(found.kinds) >= {"domain", "difficulty"}
    for parts in found.kinds.values():
        assert sum(part.attempts for part in parts.values()) <= found.attempts
    assert sum(part.attempts for part in found.by_ending.values()) == found.attempts
    assert found.metrics()["turn/valid_actions"] == found.per_turn["valid_actions"].value
    assert shown("valid_actions", found.per_turn["valid_actions"]) == dict(found.rows())["valid actions"]
