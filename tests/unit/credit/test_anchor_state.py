"""Anchor-state credit against the authors' numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agentgym.credit import TurnTable
from agentgym.credit.anchor_state import AnchorState
from agentgym.credit.segments import discounted_returns
from agentgym.credit.table import hash_state

VECTORS = sorted((Path(__file__).parents[2] / "golden" / "vectors").glob("anchor_state_*.json"))
STATISTICS = {"step rows": "rows", "trajectories": "trajectories"}


def table_of(rows):
    trajectory = np.array([row["trajectory"] for row in rows])
    reward = np.array([row["reward"] for row in rows])
    return TurnTable.build(
        {
            "group": [row["group"] for row in rows],
            "trajectory": trajectory,
            "turn": [row["turn"] for row in rows],
            "reward": reward,
            "outcome": np.bincount(trajectory, weights=reward)[trajectory],
            "done": np.append(trajectory[1:] != trajectory[:-1], True),
            "state": np.array([hash_state(row["state"]) for row in rows], dtype=np.uint64),
            "tokens": np.ones(len(rows), dtype=np.int64),
        },
        sort=False,
    )


def test_all_vectors_are_there():
    assert len(VECTORS) == 40


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_the_authors_numbers(path):
    vector = json.loads(path.read_text())
    given, expected = vector["params"], vector["expected"]
    assert given["epsilon"] == 1e-6
    table = table_of(vector["rows"])
    credit = AnchorState(
        gamma=given["gamma"],
        step_weight=given["step_weight"],
        mode=given["mode"],
        episode_statistics=STATISTICS[given["episode_statistics"]],
    )(table)
    for name in ("advantage", "episode_advantage", "step_advantage"):
        np.testing.assert_allclose(credit[name], expected[name], rtol=0, atol=1e-5, err_msg=name)
    assert credit["step_group"].tolist() == expected["step_group"]
    returns = discounted_returns(table["reward"], table.trajectories, given["gamma"])
    np.testing.assert_allclose(returns, expected["discounted_return"], rtol=0, atol=1e-5)


def test_the_same_state_in_two_groups_is_two_anchors():
    table = TurnTable.from_rewards(
        [[[1.0], [0.0]], [[5.0], [5.0]]], states=[[["hall"], ["hall"]], [["hall"], ["hall"]]]
    )
    credit = AnchorState()(table)
    assert credit["step_group"].tolist() == [0, 0, 1, 1]
    assert credit["step_advantage"].tolist() == [0.5, -0.5, 0.0, 0.0]


def test_long_episodes_weigh_more_over_rows_only():
    """Outcomes 1 (three turns) and 0 (one turn): the mean is 1/2 over trajectories, 3/4 over rows."""
    table = TurnTable.from_rewards([[[0.0, 0.0, 1.0], [0.0]]])
    assert AnchorState()(table)["episode_advantage"].tolist() == [0.5, 0.5, 0.5, -0.5]
    assert AnchorState(episode_statistics="rows")(table)["episode_advantage"].tolist() == [0.25, 0.25, 0.25, -0.75]
