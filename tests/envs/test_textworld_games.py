"""Making TextWorld games: byte-stable, kept, repaired, made side by side, and what upstream would make."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agentgym import registry
from agentgym.errors import EnvCrashedError, UsageError
from agentgym.types import Task

pytest.importorskip("textworld")

from agentgym_envs.textworld import games

PLAIN = {"hint": "full", "engine": "coin_collector", "settings": {"level": 2}}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes() + path.with_suffix(".json").read_bytes()).hexdigest()


def in_new_process(code: str, cache: Path, hash_seed: str) -> None:
    env = {**os.environ, "AGENTGYM_CACHE": str(cache), "PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=env)


def test_byte_stable_kept_and_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two processes with hash seeds of their own; in one of them other games come first.
    wanted = {**PLAIN, "seed": 7}
    first = f"from agentgym_envs.textworld import games; games.ensure({wanted!r})"
    other = {**PLAIN, "engine": "simple", "seed": 3, "settings": {"rewards": "dense", "goal": "brief", "test": False}}
    later = f"from agentgym_envs.textworld import games; games.ensure({other!r}); games.ensure({wanted!r})"
    in_new_process(first, tmp_path / "a", "1")
    in_new_process(later, tmp_path / "b", "random")
    paths = []
    for name in "ab":
        monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path / name))
        paths.append(games.path_of(wanted))
        assert games.made(paths[-1])
    assert digest(paths[0]) == digest(paths[1])

    before = paths[1].stat().st_mtime_ns
    assert games.ensure(wanted) == paths[1]
    assert paths[1].stat().st_mtime_ns == before  # Taken from the cache.
    good = digest(paths[1])
    for suffix in (".z8", ".json"):
        victim = paths[1].with_suffix(suffix)
        victim.write_bytes(victim.read_bytes()[:1000])
        assert not games.made(paths[1])
        assert digest(games.ensure(wanted)) == good
    assert not list(paths[1].parent.glob(".making-*"))


def test_made_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path))
    tasks = list(registry.tasks("textworld-coin-v0", level=[1, 2], hint="last", games=3))
    ticks: list[int] = []
    # Two callers at once, each with makers of its own, want the same games.
    rival = threading.Thread(target=games.prepare, args=(tasks[:2], 1))
    rival.start()
    games.prepare([*tasks, tasks[0]], 2, lambda: ticks.append(1))
    rival.join()
    assert len(ticks) == 4
    assert all(games.made(games.path_of(task.data["game"])) for task in tasks)
    assert games.generate([task.data["game"] for task in tasks]) == 0

    env = registry.make("textworld-coin-v0")
    for task in tasks:
        observation, _ = env.reset(seed=0, options={"task": task})
        step = None
        while step is None or not step.terminated:
            action = env.oracle()
            assert action in (step.observation if step else observation).actions
            step = env.step(action)
        assert step.info["success"]
    env.close()

    refused = {**PLAIN, "seed": 1, "settings": {"level": 999}}
    with pytest.raises(UsageError, match="999"):
        games.ensure(refused)
    with pytest.raises(UsageError, match="999"):
        games.generate([refused])
    maker = games.Maker()
    maker.close()
    maker.close()
    with pytest.raises(EnvCrashedError):
        maker.make(refused, tmp_path / "x.z8")


def test_the_fast_way_makes_what_upstream_makes(tmp_path: Path) -> None:
    """The walkthrough of the simple game is traced, not played: same story and description, but for the date."""
    code = """
import json, sys, textworld
from pathlib import Path
from agentgym_envs.textworld import make
settings = {"rewards": "dense", "goal": "detailed", "test": False}
params = {"engine": "simple", "seed": 5, "hint": "full", "settings": settings}
options = textworld.GameOptions()
options.path, options.force_recompile = sys.argv[1] + "/slow.z8", True
textworld.generator.compile_game(make.build(params), options)
make.speed_up()
make.make(params, Path(sys.argv[1]) / "fast.z8")
"""
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120, env=env)
    slow, fast = ((tmp_path / f"{name}.z8").read_bytes() for name in ("slow", "fast"))
    assert slow[:0x12] + b"000000" + slow[0x18:] == fast
    slow, fast = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("slow", "fast"))
    assert slow.pop("KB")["logic"] == fast.pop("KB")["logic"]
    assert slow == fast


def test_a_task_of_another_environment_is_refused() -> None:
    env = registry.make("textworld-coin-v0")
    with pytest.raises(UsageError, match="not of TextWorld"):
        env.reset(options={"task": Task(id="door", data={"rooms": 3})})
