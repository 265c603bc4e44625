"""A pool that is warmed: processes make their environments, and load engines, before anybody asks for an episode."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agentgym import registry
from agentgym.errors import EnvCrashedError
from agentgym.host import HostPool
from agentgym.types import Task

GAME = """
import pathlib, os
from agentgym import EnvSpec, Observation, Step, Task, TaskSet, TextEnv
HERE = pathlib.Path(__file__).parent
class Slow(TextEnv):
    def warm(self):
        (HERE / f"warm-{os.getpid()}").touch()
        if (HERE / "fail").exists(): raise RuntimeError("no engine")
        if (HERE / "die").exists(): os._exit(3)
    def begin(self, task, rng): return Observation(str(sorted(p.name for p in HERE.glob("warm-*"))))
    def act(self, action): return Step.success(Observation("done"))
def tasks(split): return TaskSet.of(split, [Task("t", split=split)])
SPEC = EnvSpec(id="slow-v0", entry=f"{__name__}:Slow", tasks=f"{__name__}:tasks", host="process")
"""


@pytest.fixture
def game(tmp_path: Path) -> str:
    (tmp_path / "game.py").write_text(GAME)
    return f"{tmp_path}/game.py:SPEC"


def until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it was not warmed"
        time.sleep(0.02)


def first_reset(pool: HostPool) -> str:
    async def play() -> str:
        host = await pool.acquire()
        return (await host.reset(Task("t"), 0)).text

    return asyncio.run(play())


def test_engines_are_loaded_before_anybody_waits(game: str, tmp_path: Path) -> None:
    with HostPool(game) as pool:
        pool.warm(2)
        until(lambda: len(list(tmp_path.glob("warm-*"))) == 2)
        pool.warm(2)  # They are there.
        assert first_reset(pool).count("warm-") == 2


def test_an_answer_that_lay_unread_longer_than_the_deadline_is_no_hang(game: str, tmp_path: Path) -> None:
    with HostPool(game, reset_deadline=3.0) as pool:
        pool.warm(1)
        until(lambda: list(tmp_path.glob("warm-*")))
        time.sleep(3.2)
        assert "warm-" in first_reset(pool)


def test_an_engine_that_does_not_load_is_told_by_the_first_reset_or_never(game: str, tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    with HostPool(game) as pool:
        pool.warm(1)
        until(lambda: list(tmp_path.glob("warm-*")))
        assert "warm-" in first_reset(pool)  # It is a help and no condition: `begin` says what is wrong.
    (tmp_path / "die").touch()
    (tmp_path / "fail").unlink()
    with HostPool(game) as pool:
        pool.warm(1)
        time.sleep(2.0)
        with pytest.raises(EnvCrashedError):
            first_reset(pool)


def test_nothing_by_default() -> None:
    assert registry.make("keydoor-v0").warm() is None
