"""Pipelines: found by name, checked before they run, and strict with what modules return."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from agentgym.credit import CreditModule, Pipeline, TurnTable
from agentgym.credit.anchor_state import AnchorState
from agentgym.errors import ConfigError, CreditError, UnknownNameError

SHAPER = '''
import numpy as np
from agentgym.credit import CreditModule


class Half(CreditModule):
    """Halves every reward."""

    writes = frozenset({"reward"})
    factor: float = 0.5

    def __call__(self, table):
        return {"reward": table["reward"] * self.factor}


class Entropy(CreditModule):
    """Needs a scorer's column."""

    needs = frozenset({"entropy", "advantage"})

    def __call__(self, table):
        return {"advantage": table["advantage"] * table["entropy"]}


class Bad(CreditModule):
    """Returns what it should not."""

    kind: str = "nan"

    def __call__(self, table):
        return {
            "nan": {"advantage": np.full(len(table), np.nan)},
            "short": {"advantage": np.zeros(1)},
            "other": {"return": np.zeros(len(table))},
        }[self.kind]


class NoModule:
    pass
'''


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mine.py").write_text(SHAPER)
    return tmp_path / "mine.py"


def table():
    return TurnTable.from_rewards([[[0.0, 1.0], [0.0]]], states=[[["a", "b"], ["a"]]])


def test_modules_are_found_by_name_and_run_in_order(file):
    pipeline = Pipeline.from_config(
        [{"use": f"{file}:Half"}, {"use": f"{file}:Half", "factor": 4.0}, {"use": "discounted-return", "gamma": 0.5}]
    )
    pipeline.check()
    done = pipeline(table())
    assert done["reward"].tolist() == [0.0, 2.0, 0.0]
    assert done["advantage"].tolist() == done["return"].tolist() == [1.0, 2.0, 0.0]


def test_a_later_module_reads_what_an_earlier_one_wrote(file):
    pipeline = Pipeline.from_config([{"use": "grpo"}, {"use": f"{file}:Entropy"}])
    pipeline.check([*table().columns, "entropy"])
    done = pipeline(table().with_columns({"entropy": np.array([0.0, 1.0, 2.0])}))
    np.testing.assert_allclose(done["advantage"], [0.0, 0.70711, -1.41421], atol=1e-5)


def test_parameters_reach_the_module():
    pipeline = Pipeline.from_config([{"use": "anchor-state", "gamma": 0.5, "mode": "mean_std_norm"}])
    assert pipeline.modules == (("anchor-state", AnchorState(gamma=0.5, mode="mean_std_norm")),)
    with pytest.raises(Exception, match="frozen"):
        pipeline.modules[0][1].gamma = 0.1


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ({"use": "anchor-sate"}, UnknownNameError, "unknown credit module 'anchor-sate', did you mean 'anchor-state'?"),
        ({"use": "reinforce"}, UnknownNameError, "did you mean 'reinforce++'?"),
        (
            {"use": "anchor-state", "gama": 0.9},
            ConfigError,
            "credit.0 (anchor-state): gama: unknown key, did you mean 'gamma'?",
        ),
        ({"use": "anchor-state", "gamma": 1.5}, ConfigError, "credit.0 (anchor-state): gamma: "),
        ({"use": "anchor-state", "step_weight": float("nan")}, ConfigError, "step_weight"),
        ({"use": "anchor-state", "mode": "mean"}, ConfigError, "mode"),
        ({"use": "grpo", "gamma": 0.9}, ConfigError, "gamma: unknown key"),
        ({"uses": "grpo"}, CreditError, "credit.0: needs use = 'name of a credit module', has uses"),
        ({"use": 3}, CreditError, "credit.0: needs use = 'name of a credit module', has use = 3"),
        ({}, CreditError, "credit.0: needs use = 'name of a credit module', has nothing"),
    ],
)
def test_what_is_misspelt_is_refused_with_the_nearest_name(entry, error, message):
    with pytest.raises(error) as caught:
        Pipeline.from_config([entry])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_credit_module_is_refused(file):
    with pytest.raises(CreditError, match=r"credit.0: .*NoModule' is no credit module"):
        Pipeline.from_config([{"use": f"{file}:NoModule"}])


@pytest.mark.parametrize("entries", [[], [{"use": "half"}]])
def test_somebody_must_write_the_advantage(file, entries):
    pipeline = Pipeline.from_config([{"use": f"{file}:Half"} for _ in entries])
    with pytest.raises(CreditError, match="no module writes 'advantage'; end with an estimator"):
        pipeline.check()


def test_a_missing_column_is_named_with_who_could_provide_it(file):
    entropy = {"use": f"{file}:Entropy"}
    with pytest.raises(CreditError) as caught:
        Pipeline.from_config([entropy]).check()
    assert "Entropy' needs the column 'advantage', which nothing before it writes" in str(caught.value)
    assert "put a module that writes it first: anchor-state, discounted-return" in str(caught.value)
    with pytest.raises(CreditError, match=r"'rloo' \(credit.1\) writes it: put it first"):
        Pipeline.from_config([entropy, {"use": "rloo"}]).check()
    with pytest.raises(CreditError, match=r"credit.1: .* 'entropy', .* a scorer must provide it"):
        Pipeline.from_config([{"use": "rloo"}, entropy]).check()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "returned a bad column: row 0: column 'advantage' (nan) is not finite"),
        ("short", "returned a bad column: column 'advantage' has 1 rows, column 'turn' has 3"),
        ("other", "returned return, its `writes` says advantage"),
    ],
)
def test_a_module_that_breaks_its_word_is_named(file, kind, message):
    with pytest.raises(CreditError) as caught:
        Pipeline.from_config([{"use": f"{file}:Bad", "kind": kind}])(table())
    assert message in str(caught.value)
    assert str(caught.value).startswith("credit.0: ")


def test_a_module_can_be_defined_and_used_without_registering():
    class Last(CreditModule):
        """The outcome in the last turn only."""

        writes: ClassVar[frozenset[str]] = frozenset({"advantage"})

        def __call__(self, table: TurnTable) -> Mapping[str, np.ndarray[Any, Any]]:
            return {"advantage": np.where(table["done"], table["outcome"], 0.0)}

    pipeline = Pipeline((("last", Last()),))
    pipeline.check()
    assert pipeline(table())["advantage"].tolist() == [0.0, 1.0, 0.0]


def test_credit_needs_no_torch():
    code = "import sys, agentgym.credit; raise SystemExit(bool({'torch', 'gymnasium'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
