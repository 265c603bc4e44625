"""The learning comparison: its statistics, its recipes, and one short real run of two modules."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agentgym import registry
from agentgym.errors import StoreError, UnknownNameError, UsageError
from agentgym.lab import learning
from agentgym.lab.games import GAMES, Game
from agentgym.lab.runs import Run, by_game, read, save
from agentgym.lab.significance import holm, interval, paired, t_quantile, t_tail

CARDS = Path(__file__).parents[3] / "docs" / "cards"


def runs(module: str, areas: list[float], game: str = "keydoor-v0") -> list[Run]:
    return [
        Run(game, module, s, f"{game}{module}{s}", (area - 0.1, area + 0.1), 48, area) for s, area in enumerate(areas)
    ]


def test_tails_of_student() -> None:
    for t, freedom, p in ((12.7062, 1, 0.05), (4.302653, 2, 0.05), (2.776445, 4, 0.05), (4.604095, 4, 0.01)):
        assert t_tail(t, freedom) == pytest.approx(p, abs=1e-6)
        assert t_tail(-t, freedom) == pytest.approx(p, abs=1e-6)
    assert t_tail(1.0, 1) == pytest.approx(0.5)
    assert t_tail(1.971896, 200) == pytest.approx(0.05, abs=1e-6)
    assert t_quantile(9) == pytest.approx(2.262157, abs=1e-5)


def test_paired_test_and_interval() -> None:
    assert paired([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == 1.0
    assert paired([2.0, 3.0], [1.0, 2.0]) == 0.0
    # Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), t = 3.4641 with 2 degrees of freedom.
    assert paired([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]) == pytest.approx(0.0741799, abs=1e-6)
    low, high = interval([1.0, 2.0, 3.0])
    assert (low, high) == (pytest.approx(2 - 4.302653 / math.sqrt(3)), pytest.approx(2 + 4.302653 / math.sqrt(3)))
    for wrong in (lambda: paired([1.0], [1.0]), lambda: paired([1.0, 2.0], [1.0]), lambda: interval([1.0])):
        with pytest.raises(UsageError):
            wrong()
    assert holm({}) == {}
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_differences_are_paired_by_seed() -> None:
    played = runs("grpo", [0.2, 0.4, 0.6]) + runs("better", [0.3, 0.51, 0.69]) + runs("once", [0.9])
    found = learning.differences(played)
    assert set(found) == {"better"}
    assert found["better"].difference == pytest.approx(0.1)
    assert found["better"].low < 0.1 < found["better"].high
    assert found["better"].p < 0.05
    assert "`better` +0.100" in learning.conclusions(played)
    assert [row[0] for row in learning.rows(played)] == ["once", "better", "grpo"]
    assert learning.rows(played)[2][3:] == ["-", "-", "-"]
    ElementTree.fromstring(learning.plot(played))


def test_runs_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "learning.json"
    assert read(path) == []
    save(path, runs("grpo", [0.1, 0.2]))
    assert read(path) == runs("grpo", [0.1, 0.2])
    path.write_text('[{"module": "x"}]')
    with pytest.raises(StoreError, match="no runs of the learning comparison"):
        read(path)


def test_every_registered_module_is_compared_in_one_game() -> None:
    compared = [module for game in GAMES.values() for module in game.setups if module != learning.REFERENCE]
    assert sorted([*compared, learning.REFERENCE]) == registry.names("credit")
    assert all(learning.REFERENCE in game.setups for game in GAMES.values())
    assert all(GAMES[name].env == game.recipe(False)["env"]["id"] == name for name, game in GAMES.items())


def test_a_game_of_text_has_no_column_of_a_judge() -> None:
    named = {s["use"] for game in GAMES.values() for setup in game.setups.values() for s in setup.scorers}
    assert {"answer-logprob", "tool-calls", "behaviour", "test-difficulty"} <= named
    assert "judge" not in named


def test_games_are_not_mixed() -> None:
    here = runs("grpo", [0.2, 0.4, 0.6]) + runs("rloo", [0.3, 0.51, 0.69])
    there = runs("grpo", [0.7, 0.8, 0.9], "cabinet-v0") + runs("likelihood", [0.7, 0.8, 0.9], "cabinet-v0")
    parts = by_game(here + there)
    assert parts == {"keydoor-v0": here, "cabinet-v0": there}
    text = learning.plot(here + there)
    assert text.count("keydoor-v0, places") == text.count("cabinet-v0, places") == 1


def test_what_cannot_be_compared_is_said() -> None:
    lab = pytest.importorskip("agentgym.lab_learning", reason="training needs the extra train", exc_type=ImportError)
    with pytest.raises(UnknownNameError, match="on keydoor-v0"):
        lab.recipe(GAMES["keydoor-v0"], "information-gain", 0)
    with pytest.raises(UnknownNameError, match="did you mean 'rloo'"):
        lab.compare(["rlo"], 2)
    with pytest.raises(UsageError, match="at least 2 seeds"):
        lab.compare(["rloo"], 1)


@pytest.mark.parametrize("game", GAMES.values(), ids=list(GAMES))
def test_recipes_differ_in_credit_only(game: Game) -> None:
    lab = pytest.importorskip("agentgym.lab_learning", reason="training needs the extra train", exc_type=ImportError)
    for quick in (False, True):
        made = [lab.recipe(game, module, 3, quick) for module in game.setups]
        shared = [one.model_dump(exclude={"name", "credit", "scorers"}) for one in made]
        assert all(one == shared[0] for one in shared)
    assert lab.fingerprint(lab.recipe(game, "grpo", 0)) != lab.fingerprint(lab.recipe(game, "grpo", 1))


def test_the_page_shows_the_runs_that_are_kept() -> None:
    """Made again from `learning.json`, the page is the one in docs/cards, and no recipe has changed since."""
    lab = pytest.importorskip("agentgym.lab_learning", reason="training needs the extra train", exc_type=ImportError)
    kept = read(CARDS / "learning.json")
    parts = by_game(kept)
    for run in kept:
        assert run.recipe == lab.fingerprint(lab.recipe(GAMES[run.game], run.module, run.seed)), run
    for name, game in GAMES.items():
        found = {(run.module, run.seed) for run in parts.get(name, [])}
        assert found == {(module, seed) for module in game.setups for seed in range(5)}, "agentgym lab --learning"
    ordered = [
        run for name, game in GAMES.items() for module in game.setups for run in parts[name] if run.module == module
    ]
    page = (CARDS / "learning.md").read_text(encoding="utf-8")
    assert page == f"{lab.MADE}\n\n{lab._page(ordered)}", "make again: agentgym lab --learning --out docs/cards"
    assert (CARDS / "learning.svg").read_text(encoding="utf-8") == learning.plot(ordered)
    ElementTree.fromstring(learning.plot(ordered))


def test_modules_of_both_games_train_and_are_not_trained_again(tmp_path: Path) -> None:
    lab = pytest.importorskip("agentgym.lab_learning", reason="training needs the extra train", exc_type=ImportError)
    kept = tmp_path / "learning.json"
    first = lab.compare(["rloo", "partial-success"], 2, quick=True, kept=kept)
    assert [(run.game.partition("-")[0], run.module, run.seed) for run in first] == [
        (game, module, seed)
        for game, module in (
            ("keydoor", "grpo"),
            ("keydoor", "rloo"),
            ("cabinet", "grpo"),
            ("cabinet", "partial-success"),
        )
        for seed in (0, 1)
    ]
    assert all(len(run.curve) == 2 and run.samples == 16 for run in first)
    before = kept.stat().st_mtime_ns
    assert lab.compare(["rloo", "partial-success"], 2, quick=True, kept=kept) == first
    assert kept.stat().st_mtime_ns == before
    page, plot = lab.write(tmp_path, first)
    text = page.read_text()
    assert text.index("## keydoor-v0") < text.index("## cabinet-v0")
    assert text.count("Significant at 5 % after Holm's correction for 1 comparison") == 2
    ElementTree.fromstring(plot.read_text())
