"""Of many episodes every tenth breaks its environment in one of all ways: the others never notice."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults_envs import played, tenth_broken
from faults_run import FULL, Tally

from agentgym.host.process import MARK, marked
from agentgym.types import Ending, Task

pytestmark = pytest.mark.timeout(1800 if FULL else 300)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A warning for each infra error is right, and two hundred of them are no reading."""
    logging.getLogger("agentgym.rollout").setLevel(logging.ERROR)
    yield
    logging.getLogger("agentgym.rollout").setLevel(logging.NOTSET)


def test_a_tenth_of_all_episodes_break_in_every_way(tmp_path: Path, figures: Callable[[Tally], None]) -> None:
    figures(tenth_broken(2000 if FULL else 300, tmp_path))


def test_who_meets_an_empty_process_is_not_who_emptied_it(tmp_path: Path) -> None:
    # One environment opens all there is and goes on; its neighbours in the process cannot even open a file then.
    todo = [Task(f"t{i}", data={"length": 4}) for i in range(12)]
    todo[3] = Task("t3", data={"length": 7, "break": "take", "at": 1})
    for i in (5, 6, 7):
        todo[i] = Task(f"t{i}", data={"length": 7, "break": "need", "at": 4})
    found, _ = played(todo, processes=1)
    assert [t.ending for t in found if t.task_id in ("t5", "t6", "t7")] == [Ending.SUCCESS] * 3
    assert all(t.ending is Ending.SUCCESS for t in found if t.task_id != "t3")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="marks are read from /proc: Linux only")
def test_marked_processes_are_found_and_no_others() -> None:
    environ = {**os.environ, MARK: "0123"}
    code = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(code, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert marked("0123") == [process.pid]
        assert marked("012") == []
        process.kill()
