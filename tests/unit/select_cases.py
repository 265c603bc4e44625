"""Trajectories in groups, for the tests of selection."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st

from agentgym import records
from agentgym.credit import TurnTable
from agentgym.select import Selecting, SelectionContext
from agentgym.types import Completion, Ending, Observation, Sample, Task, Trajectory, Turn

Spec = tuple[float, bool, int, int]
"""Score, success, turns, tokens a turn; a negative number of turns is an infra error."""


def trajectory(group: str, attempt: int, spec: Spec, task: str | None = None) -> Trajectory:
    score, success, turns, tokens = spec
    broken = turns < 0
    count = abs(turns)
    made = tuple(
        Turn(
            Observation(f"o{t}", state=f"{group}/{t}"),
            Completion("a", (7,) * tokens, (-0.5,) * tokens),
            "a",
            reward=score if t + 1 == count else 0.0,
        )
        for t in range(count)
    )
    ending = Ending.INFRA_ERROR if broken else Ending.SUCCESS if success else Ending.FAILURE
    return Trajectory(
        id=f"{group}#{attempt}",
        env="keydoor-v0",
        task_id=task or group.rpartition(":")[2],
        group=group,
        attempt=attempt,
        seed=11,
        turns=made,
        ending=ending,
        score=score,
        success=success and not broken,
        samples=() if broken else (Sample((1, *(7,) * tokens), (-1, *(0,) * tokens), (0.0, *(-0.5,) * tokens)),),
    )


def played(groups: dict[str, Sequence[Spec]], task: str | None = None) -> list[Trajectory]:
    return [trajectory(name, k, spec, task) for name, members in groups.items() for k, spec in enumerate(members)]


def context(tasks: Callable[[str], Task] = lambda name: Task(name), seed: int = 0) -> SelectionContext:
    return SelectionContext(
        tasks,
        seed=seed,
        env="keydoor-v0",
        write=lambda t: records.dumps(records.to_json(t)),
        read=lambda text: records.from_json(json.loads(text)),
    )


def kept(working: Selecting, trajectories: Sequence[Trajectory]) -> set[str]:
    """Ids of the trajectories that `keep` leaves in the table; sees that none is cut up."""
    table = TurnTable.from_trajectories(trajectories)
    rows = working.keep(table, trajectories)
    assert rows.shape == (len(table),)
    assert rows.dtype == np.bool_
    return {trajectories[i].id for i in set(table.where(rows)["trajectory"].tolist())}


def saved_and_loaded(working: Selecting, fresh: Selecting) -> Selecting:
    """A fresh module with the other's state, by way of what a checkpoint does to it."""
    fresh.load_state(json.loads(json.dumps(working.state(), sort_keys=True, allow_nan=False)))
    return fresh


SPECS = st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.booleans(), st.integers(-1, 4), st.integers(0, 5))
BATCHES = st.lists(st.lists(SPECS, min_size=1, max_size=5), max_size=5).map(
    lambda groups: played({f"0.0:t{g}": members for g, members in enumerate(groups)})
)
"""Groups of any make-up: infra errors, no turns, single members, no groups at all."""
