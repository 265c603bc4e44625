"""Learns how hard each test is from how often it passed, and weighs what an attempt passed by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from pydantic import Field

from agentgym.credit.columns import Column
from agentgym.credit.table import TurnTable
from agentgym.errors import CreditError, StoreError
from agentgym.scorers.base import Scorer, ScorerContext, Working
from agentgym.types import Trajectory

if TYPE_CHECKING:
    from torch import Tensor


class TestDifficulty(Scorer):
    """Writes `partial` = sum of the weights of passed tests / sum of all tests' weights, the same in all rows.

    A test of a task weighs ((fails + prior) / (tries + 2 prior))^power, with tries and fails counted over earlier
    iterations: about how likely it is to fail. Never 0, so that tests which always passed still count a little, and
    1/2 for a test that is new. Results are `info["tests"]`, name to bool, of the last turn that reports any. An attempt
    none of whose actions could be read ran no test and has passed none: `partial` is 0, and nothing is counted.

    Source: VeRPO, arXiv 2601.03525: difficulty from running execution statistics. Its exact weights could not be
    checked; prior and power are ours.
    """

    __test__ = False  # For pytest: the name begins with Test.

    writes: ClassVar[frozenset[str]] = frozenset({"partial"})

    prior: float = Field(default=1.0, ge=0.01, le=1e6)
    """How many passes, and how many fails, are assumed before any was seen."""
    power: float = Field(default=1.0, ge=0, le=8)
    """How much difficulty counts; 0 gives the plain share of tests."""

    def open(self, context: ScorerContext) -> Working:
        """The scorer at work; it uses nothing of the context."""
        return _Working(self)


class _Working(Working):
    def __init__(self, config: TestDifficulty) -> None:
        self.config = config
        self.counts: dict[str, dict[str, list[int]]] = {}
        """Passes and tries, by task and test."""

    def score(self, played: Sequence[Trajectory], table: TurnTable) -> Mapping[str, Column]:
        """`partial`, float64 `[n]`.

        Raises:
            CreditError: an attempt acted, and no turn of it has test results.
        """
        numbers = map(int, table["trajectory"][table.last])
        shares = np.asarray([self._share(played[number]) for number in numbers], dtype=np.float64)
        return {"partial": shares[table.trajectories.ids]}

    def learn(self, played: Sequence[Trajectory], table: TurnTable) -> dict[str, float]:
        """Count the results of this iteration's attempts, selected or not; the metric is their plain pass rate."""
        passed = tried = 0
        for trajectory in played:
            known = self.counts.setdefault(trajectory.task_id, {}) if trajectory.trainable else {}
            for name, passes in (results_of(trajectory) if trajectory.trainable else {}).items():
                count = known.setdefault(name, [0, 0])
                count[0] += passes
                count[1] += 1
                passed, tried = passed + passes, tried + 1
        return {"pass_rate": passed / tried, "results": float(tried)} if tried else {"results": 0.0}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The counts, and the parameters that they are for."""
        counts = {task: {name: list(count) for name, count in tests.items()} for task, tests in self.counts.items()}
        return {}, {"parameters": self.config.model_dump(), "counts": counts}

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Continue from counts.

        Raises:
            StoreError: the state is of another scorer, or of other parameters.
        """
        if meta.get("parameters") != self.config.model_dump():
            raise StoreError(
                f"scorer 'test-difficulty': the checkpoint has {meta.get('parameters')}, not {self.config.model_dump()}"
            )
        try:
            counts = {t: {n: [int(a), int(b)] for n, (a, b) in tests.items()} for t, tests in meta["counts"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"scorer 'test-difficulty': the checkpoint's counts cannot be read: {error}") from error
        self.counts = counts

    def _share(self, trajectory: Trajectory) -> float:
        results = results_of(trajectory)
        if not results:
            return 0.0
        known = self.counts.get(trajectory.task_id, {})
        weights = {name: self._weight(*known.get(name, (0, 0))) for name in results}
        # Summed in the order of names: the order in which an environment reports its tests changes no digit.
        passed = sum(weights[name] for name in sorted(results) if results[name])
        return min(1.0, passed / sum(weights[name] for name in sorted(results)))

    def _weight(self, passes: int, tries: int) -> float:
        prior = self.config.prior
        return ((tries - passes + prior) / (tries + 2 * prior)) ** self.config.power


def results_of(trajectory: Trajectory) -> dict[str, bool]:
    """Test results of the last turn that has any; none for an attempt whose actions could not be read.

    Raises:
        CreditError: the attempt acted, and there are none or they are no results; names the trajectory.
    """
    for n, turn in reversed(list(enumerate(trajectory.turns))):
        if "tests" in turn.info:
            tests = turn.info["tests"]
            where = f"trajectory {trajectory.id!r}, turn {n}: info['tests']"
            if not isinstance(tests, Mapping) or not tests:
                raise CreditError(f"{where} must be test names with true or false, not {tests!r:.100}")
            found = dict(cast(Mapping[str, Any], tests))
            wrong = [name for name, passed in found.items() if not isinstance(passed, bool)]
            if wrong:
                raise CreditError(f"{where}: {wrong[0]!r} is {found[wrong[0]]!r:.100}, not true or false")
            return found
    if any(turn.action is not None for turn in trajectory.turns):
        raise CreditError(
            f"trajectory {trajectory.id!r} has no test results: the scorer 'test-difficulty' needs info['tests']"
        )
    return {}
