"""Prices and limits on everything together: money to the cent, and what happens when a limit is reached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentgym import registry
from agentgym.errors import ConfigError, UnknownNameError, UsageError
from agentgym.evaluate import Setting, play
from agentgym.evaluate.budget import Budget, Totals
from agentgym.evaluate.prices import Price, Usage, load_prices, usage_of, usage_of_turn
from agentgym.host import HostPool
from agentgym.records import from_json, to_json
from agentgym.rollout import attempts
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn
from agentgym_policies.scripted import Random

TABLE = """
[models."big-2"]
input = 2.5
cached = 0.25
output = 10.0
[models.small]
input = 0.4
output = 1.6
"""


class Counted(Random):
    """A server that says how many tokens it read and wrote."""

    async def complete(self, requests: Any) -> list[Completion]:
        found = await super().complete(requests)
        return [Completion(c.text, prompt_tokens=100, cached_tokens=20, written=10) for c in found]


def test_a_table_is_read_and_used(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(TABLE)
    table = load_prices(path)
    usage = Usage(calls=3, input=1_000_000, cached=400_000, output=100_000)
    assert usage.cost(table.of("big-2", str(path))) == pytest.approx(0.6 * 2.5 + 0.4 * 0.25 + 0.1 * 10)
    assert usage.cost(table.of("small", str(path))) == pytest.approx(0.4 + 0.16), "cached as input where not given"
    with pytest.raises(UnknownNameError, match=r"'smaller', did you mean 'small'\?"):
        table.of("smaller", str(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.a]\ninput = 1.0", "models.a.output: is missing"),
        ("[models.a]\ninput = -1.0\noutput = 1.0", "greater than or equal to 0"),
        ("[models.a]\ninput = 'x'\noutput = 1.0", "models.a.input"),
        ("[model.a]\ninput = 1.0\noutput = 1.0", "did you mean 'models'?"),
        ("[models.a\n", "not valid TOML"),
    ],
)
def test_a_table_that_is_none_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_prices(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_table_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_prices(tmp_path / "none.toml")


def test_tokens_that_nobody_counted_are_taken_from_the_text_and_said_so() -> None:
    counted = Turn(Observation("x" * 40), Completion("go", (1, 2, 3), prompt_tokens=50, cached_tokens=7), "go")
    assert usage_of_turn(counted) == Usage(1, 50, 7, 3, 0)
    by_server = Turn(Observation("x" * 40), Completion("go", prompt_tokens=50, written=9), "go")
    assert usage_of_turn(by_server) == Usage(1, 50, 0, 9, 0)
    text_only = Turn(Observation("x" * 40), Completion("go there"), "go there")
    assert usage_of_turn(text_only, before=20) == Usage(1, 15, 0, 2, 1)
    two = Trajectory("t", "e", "t", "t", 0, 0, (text_only, text_only), Ending.FAILURE)
    assert usage_of([two]) == Usage(2, 10 + 22, 0, 4, 2), "the second prompt holds the first turn"


def test_what_a_server_counted_is_kept_in_the_log() -> None:
    turn = Turn(Observation("x"), Completion("go", prompt_tokens=50, cached_tokens=99, written=9), "go")
    played = Trajectory("t", "e", "t", "t", 0, 0, (turn,), Ending.FAILURE)
    kept = from_json(to_json(played))
    assert kept == played
    assert usage_of([kept]) == Usage(1, 50, 50, 9, 0), "no more than the prompt can be cached"
    bare = replace(played, turns=(Turn(Observation("x"), Completion("go"), "go"),))
    assert "written" not in to_json(bare)["turns"][0]["completion"]


def run(
    totals: Totals, price: Price | None = None, slots: int = 1, clock: Any = None
) -> tuple[Budget, list[Trajectory]]:
    todo = attempts(registry.tasks("keydoor-v0", "heldout")[:9], 4, 0)
    budget = Budget(totals) if clock is None else Budget(totals, clock)
    budget.enter("counted", price)
    hosts = HostPool("keydoor-v0")
    try:
        played = play({"counted": Counted()}, todo, Setting("keydoor-v0", slots=slots), hosts, budget=budget)
    finally:
        hosts.close()
    return budget, played["counted"]


def test_without_limits_everything_is_played_and_counted() -> None:
    budget, played = run(Totals())
    assert len(played) == 36
    assert budget.reached is None
    assert budget.used == usage_of(played)
    assert budget.cost is None


@pytest.mark.parametrize("slots", [1, 8])
@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (Totals(turns=40), "turns of at most 40"),
        (Totals(tokens=4400), "tokens of at most 4400"),
        (Totals(cost=0.0052), "of at most $0.0052"),
    ],
    ids=["turns", "tokens", "cost"],
)
def test_a_limit_stops_new_attempts_and_waits_for_those_in_flight(totals: Totals, said: str, slots: int) -> None:
    # A turn reads 100 tokens, 20 of them cached, and writes 10: 0.00013 dollars. All limits are 40 turns.
    budget, played = run(totals, Price(input=1.0, cached=0.5, output=4.0), slots)
    assert budget.reached is not None
    assert said in budget.reached
    turns = sum(len(t.turns) for t in played)
    assert 40 <= turns <= 40 + 12 * slots, "what is in flight goes on, nothing else begins"
    assert all(t.ending in (Ending.SUCCESS, Ending.OUT_OF_TURNS) for t in played), "no attempt is cut"
    assert budget.cost == pytest.approx(turns * (80 * 1.0 + 20 * 0.5 + 10 * 4.0) / 1e6)


def test_a_limit_of_time_counts_from_the_start() -> None:
    now = iter(range(1000))
    budget, played = run(Totals(seconds=5), clock=lambda: float(next(now)))
    assert budget.reached is not None
    assert "5 s of at most 5 s" in budget.reached
    assert len(played) == 4, "the clock is looked at before each attempt"


def test_what_was_played_before_counts() -> None:
    _, played = run(Totals(turns=30))
    budget = Budget(Totals(turns=30))
    budget.enter("counted", None, played)
    assert list(budget.admit([1, 2, 3])) == []


@pytest.mark.parametrize("limits", [{"turns": 0}, {"cost": -1.0}, {"seconds": float("nan")}])
def test_limits_that_cannot_be(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be above 0"):
        Totals(**limits)
