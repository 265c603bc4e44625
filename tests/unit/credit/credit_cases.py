"""Turn tables to try things on: strategies, and helpers that several files share."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from agentgym import registry
from agentgym.credit import CreditModule, TurnTable
from agentgym.credit.anchor_state import AnchorState
from agentgym.credit.dr_grpo import DrGrpo
from agentgym.credit.grpo import Grpo
from agentgym.credit.reinforce_pp import ReinforcePP
from agentgym.credit.rloo import Rloo

ANCHORS = [
    AnchorState(mode=mode, episode_statistics=statistics, gamma=gamma, step_weight=weight)
    for mode in ("mean_norm", "mean_std_norm")
    for statistics in ("trajectories", "rows")
    for gamma, weight in ((0.95, 1.0), (1.0, 0.5), (0.0, 2.0))
]
GROUP_RELATIVE: list[CreditModule] = [Grpo(), DrGrpo(), Rloo(), ReinforcePP(baseline="group")]


def make(name: str, **parameters: Any) -> tuple[str, CreditModule]:
    return name, registry.load("credit", name)(**parameters)


FORMAT = {"column": "reward.format", "weight": 0.5, "threshold": 1.0}
TOOL = {"column": "reward.tool", "weight": 2.0}

MODULES: list[tuple[str, CreditModule]] = [
    make("outcome"),
    make("discounted-return", gamma=0.9),
    make("discounted-return"),
    make("grpo"),
    make("dr-grpo"),
    make("rloo"),
    make("reinforce++"),
    make("reinforce++", baseline="group"),
    *(("anchor-state", module) for module in ANCHORS),
    make("anchor-state", keys="similar"),
    make("turn-group"),
    make("turn-group", gamma=0.5, mode="mean_std_norm"),
    make("gae"),
    make("gae", gamma=0.9, lam=0.5, whiten=True),
    make("min-form"),
    make("min-form", tau=1.0, column="judge_score"),
    make("gated-accumulation"),
    make("gated-accumulation", low=[FORMAT, TOOL], threshold=0.5),
    make("hierarchical-gate", levels=[{"columns": {"reward": 1.0}}]),
    make(
        "hierarchical-gate",
        levels=[
            {"columns": {"reward.format": 0.5, "reward.tool": 1.0}, "threshold": 1.0},
            {"columns": {"reward.tool": -1.0}, "threshold": 0.0},
            {"columns": {"reward": 1.0}},
        ],
    ),
    make("information-gain"),
    make("information-gain", normalise="separate", gamma=0.5),
    make("information-gain", normalise="return", format_penalty=-1.0),
    make("log-ratio-td"),
    make("log-ratio-td", weight=0.5, outcome_weight=0.0),
    make("progress"),
    make("progress", alpha=2.0, beta=0.0, outcome_weight=1.0),
    make("implicit-step"),
    make("implicit-step", baseline="grpo", step_weight=0.5),
    make("implicit-step", step_statistics="first_rows"),
    make("implicit-process"),
    make("implicit-process", process_weight=0.5, gamma=0.9),
    make("entropy-modulated"),
    make("entropy-modulated", k=0.5, k_future=2.0, zeta=1.0),
    make("potential"),
    make("potential", weight=0.5, gamma=0.9, initial=0.25, terminal="keep"),
    make("format"),
    make("format", bonus=0.2, penalty=1.0, into="reward"),
    make("length", free=3, limit=12),
    make("length", free=0, limit=5, unit="characters", penalty=0.5, into="outcome"),
    make("invalid-action"),
    make("invalid-action", penalty=1.0, into="reward"),
    make("novelty"),
    make("novelty", episodic="first", combine="sum", into="both"),
    make("novelty", episodic="elliptical", combine="episodic", weight=1.0),
    make("novelty", combine="global"),
    make("likelihood"),
    make("likelihood", weight=0.5, scale="probability"),
    make("scheduled-mix"),
    make("scheduled-mix", start=1.0, end=0.25, steps=150),
    make("renorm"),
    make("renorm", weight=0.5, outcome_weight=0.0, column="progress"),
    make("tool-correctness"),
    make("tool-correctness", weight=0.5, format_weight=2.0, into="reward"),
    make("behaviour-step"),
    make("behaviour-step", penalty=0.5, cap=1.0, enough=3),
    make("behaviour-step", threshold=0.5, penalty=2.0, cap=0.25, bonus=1.0, enough=2),
    make("citation-rubric"),
    make("citation-rubric", threshold=0.0, alpha=0.5, normalise=True),
    make("partial-success"),
    make("partial-success", weight=2.0),
    make("subgoal"),
    make("subgoal", threshold=None, power=1.0, weight=1.0, into="both"),
]

CASES = settings(max_examples=int(os.environ.get("AGENTGYM_CREDIT_EXAMPLES", "1000")), deadline=None)
"""`AGENTGYM_CREDIT_EXAMPLES=100 pytest tests/unit/credit` is quicker."""


@st.composite
def tables(draw: st.DrawFn, longest: int = 6) -> dict[str, np.ndarray[Any, Any]]:
    """Columns of a table with few states, so that they repeat: groups of any size, lengths of any spread.

    Shapes are drawn (and shrink); values come from a drawn seed, because drawing each would take most of the time.
    """
    shape = draw(st.lists(st.lists(st.integers(1, longest), min_size=1, max_size=5), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = [length for group in shape for length in group]
    n = sum(lengths)
    trajectory = np.repeat(np.arange(len(lengths)), lengths)
    done = np.append(trajectory[1:] != trajectory[:-1], True)
    malformed = rng.random(n) < 0.2
    logprob = -rng.exponential(2.0, n)
    before = np.where(np.append(True, done[:-1]), -rng.exponential(3.0, n), np.append(0.0, logprob[:-1]))
    columns = {
        "group": np.repeat(np.arange(len(shape)), [sum(group) for group in shape]),
        "trajectory": trajectory,
        "turn": np.concatenate([np.arange(length) for length in lengths]),
        "reward": numbers(rng, n),
        "outcome": numbers(rng, len(lengths))[trajectory],
        "done": done,
        "state": rng.integers(0, 5, n).astype(np.uint64) * np.uint64(2**61),
        "tokens": rng.integers(0, 21, n),
    }
    # Columns that trajectories and scorers bring.
    return columns | {
        "success": (rng.random(len(lengths)) < 0.5)[trajectory],
        "malformed": malformed,
        "fault": malformed | (rng.random(n) < 0.3),
        "truncated": rng.random(n) < 0.1,
        "characters": rng.integers(0, 21, n),
        "action": rng.integers(0, 4, n).astype(np.uint64),
        "logprob": -rng.exponential(5.0, n),
        "progress": unit(rng, n),
        # Multiples of 1/8 add up without rounding: a gate's threshold is met in any order of summation.
        "reward.format": rng.integers(0, 9, n) / 8,
        "reward.tool": rng.integers(-80, 81, n) / 8,
        "answer_logprob": logprob,
        "answer_logprob_before": before,
        "progress_score": numbers(rng, n),
        "value": numbers(rng, n),
        "implicit_reward": numbers(rng, n),
        "entropy": rng.choice([0.0, 1.0, rng.exponential(1.0)], n),
        "judge_score": unit(rng, n),
        "tool_correctness": rng.uniform(-3, 3, n),
        "tool_format": rng.random(n) < 0.8,
        "redundant": rng.random(n) < 0.3,
        "useful": rng.random(n) < 0.5,
        "partial": unit(rng, len(lengths))[trajectory],
        "visits": rng.integers(0, 10, n),
        "iteration": np.full(n, rng.integers(0, 201)),
        "advantage": numbers(rng, n),
        "anchor": rng.integers(0, 3, n),
    }


def numbers(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    """Mostly the few values that outcomes have, so that ties and flat groups come up; now and then tiny ones."""
    kinds = rng.integers(0, 10, n)
    usual = rng.choice([0.0, 0.0, 1.0, -0.1, 0.1], n)
    return np.where(kinds < 6, usual, np.where(kinds < 9, rng.uniform(-10, 10, n), rng.normal(size=n) * 1e-30))


def unit(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    """From 0 to 1, both ends included."""
    return np.where(rng.random(n) < 0.5, rng.choice([0.0, 0.5, 1.0], n), rng.random(n))


def as_rows(table: TurnTable) -> list[dict[str, Any]]:
    """The table as the plain-loop reference wants it."""
    names = table.columns
    return [dict(zip(names, row, strict=True)) for row in zip(*(table[name].tolist() for name in names), strict=True)]


def furnished(table: TurnTable) -> TurnTable:
    """The table with a column of zeros for each that a module may need and that it lacks."""
    needed = {name for _, module in MODULES for name in module.required()}
    return table.with_columns({name: np.zeros(len(table)) for name in needed if name not in table})
