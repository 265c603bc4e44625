"""Turn tables to try things on: strategies, and helpers that several files share."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from agentgym.credit import CreditModule, TurnTable
from agentgym.credit.anchor_state import AnchorState
from agentgym.credit.discounted_return import DiscountedReturn
from agentgym.credit.dr_grpo import DrGrpo
from agentgym.credit.grpo import Grpo
from agentgym.credit.outcome import Outcome
from agentgym.credit.reinforce_pp import ReinforcePP
from agentgym.credit.rloo import Rloo

ANCHORS = [
    AnchorState(mode=mode, episode_statistics=statistics, gamma=gamma, step_weight=weight)
    for mode in ("mean_norm", "mean_std_norm")
    for statistics in ("trajectories", "rows")
    for gamma, weight in ((0.95, 1.0), (1.0, 0.5), (0.0, 2.0))
]
GROUP_RELATIVE: list[CreditModule] = [Grpo(), DrGrpo(), Rloo(), ReinforcePP(baseline="group")]
MODULES: list[tuple[str, CreditModule]] = [
    ("outcome", Outcome()),
    ("discounted-return", DiscountedReturn(gamma=0.9)),
    ("discounted-return", DiscountedReturn()),
    ("grpo", Grpo()),
    ("dr-grpo", DrGrpo()),
    ("rloo", Rloo()),
    ("reinforce++", ReinforcePP()),
    ("reinforce++", ReinforcePP(baseline="group")),
    *(("anchor-state", module) for module in ANCHORS),
]

numbers = st.one_of(st.sampled_from([0.0, 0.0, 1.0, -0.1, 0.1]), st.floats(-10, 10, width=32))


@st.composite
def tables(draw: st.DrawFn, longest: int = 6) -> dict[str, np.ndarray[Any, Any]]:
    """Columns of a table with few states, so that they repeat: groups of any size, lengths of any spread."""
    shape = draw(st.lists(st.lists(st.integers(1, longest), min_size=1, max_size=5), min_size=1, max_size=4))
    lengths = [length for group in shape for length in group]
    n = sum(lengths)
    trajectory = np.repeat(np.arange(len(lengths)), lengths)
    outcomes = draw(st.lists(numbers, min_size=len(lengths), max_size=len(lengths)))
    return {
        "group": np.repeat(np.arange(len(shape)), [sum(group) for group in shape]),
        "trajectory": trajectory,
        "turn": np.concatenate([np.arange(length) for length in lengths]),
        "reward": np.array(draw(st.lists(numbers, min_size=n, max_size=n))),
        "outcome": np.array(outcomes)[trajectory],
        "done": np.append(trajectory[1:] != trajectory[:-1], True),
        "state": np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), dtype=np.uint64) * 2**61,
        "tokens": np.ones(n, dtype=np.int64),
    }


def as_rows(table: TurnTable) -> list[dict[str, Any]]:
    """The table as the plain-loop reference wants it."""
    names = ("group", "trajectory", "turn", "reward", "outcome", "state")
    return [dict(zip(names, row, strict=True)) for row in zip(*(table[name].tolist() for name in names), strict=True)]
