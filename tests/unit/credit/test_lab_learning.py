"""The learning comparison: its statistics, its recipes, and one short real run of two modules."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agentgym import registry
from agentgym.errors import StoreError, UnknownNameError, UsageError
from agentgym.lab import learning
from agentgym.lab.learning import Run
from agentgym.lab.significance import holm, interval, paired, t_quantile, t_tail


def runs(module: str, areas: list[float]) -> list[Run]:
    return [Run(module, s, f"{module}{s}", (area - 0.1, area + 0.1), 48, area) for s, area in enumerate(areas)]


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
    assert learning.read(path) == []
    learning.save(path, runs("grpo", [0.1, 0.2]))
    assert learning.read(path) == runs("grpo", [0.1, 0.2])
    path.write_text('[{"module": "x"}]')
    with pytest.raises(StoreError, match="no runs of the learning comparison"):
        learning.read(path)


def test_every_registered_module_is_compared_or_says_why_not() -> None:
    lab = pytest.importorskip("agentgym.lab_learning", reason="training needs the extra train", exc_type=ImportError)
    assert not set(lab.SETUPS) & set(lab.NOT_COMPARED)
    assert set(registry.names("credit")) == set(lab.SETUPS) | set(lab.NOT_COMPARED)
    with pytest.raises(UnknownNameError, match="private answer"):
        lab.recipe("information-gain", 0)
    with pytest.raises(UsageError, match="at least 2 seeds"):
        lab.compare(["rloo"], 1)


def test_recipes_differ_in_credit_only() -> None:
    lab = pytest.importorskip("agentgym.lab_learning", reason="training needs the extra train", exc_type=ImportError)
    one, other = (lab.recipe(name, 3).model_dump(exclude={"name", "credit", "scorers"}) for name in ("grpo", "rloo"))
    assert one == other
    assert lab.fingerprint(lab.recipe("grpo", 0)) != lab.fingerprint(lab.recipe("grpo", 1))


def test_two_modules_train_and_are_not_trained_again(tmp_path: Path) -> None:
    lab = pytest.importorskip("agentgym.lab_learning", reason="training needs the extra train", exc_type=ImportError)
    kept = tmp_path / "learning.json"
    first = lab.compare(["rloo"], 2, quick=True, kept=kept)
    assert [(run.module, run.seed) for run in first] == [("grpo", 0), ("grpo", 1), ("rloo", 0), ("rloo", 1)]
    assert all(len(run.curve) == 2 and run.samples == 16 for run in first)
    before = kept.stat().st_mtime_ns
    assert lab.compare(["rloo"], 2, quick=True, kept=kept) == first
    assert kept.stat().st_mtime_ns == before
    page, plot = lab.write(tmp_path, first)
    assert "Significant at 5 % after Holm's correction for 1 comparisons" in page.read_text()
    ElementTree.fromstring(plot.read_text())
