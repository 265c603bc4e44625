"""The table of environments: tasks, splits, abilities, and steps/s that say where they come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgym import registry
from agentgym.cli import main
from agentgym.cli.listing import declared, measured, sizes

GAME = """
from agentgym import EnvSpec, Observation, Step, Task, TaskSet, TextEnv
class Bad(TextEnv):
    def begin(self, task, rng): return Observation("")
    def act(self, action): raise RuntimeError("broken")
def tasks(split): return TaskSet.of(split, [Task("t", split=split)])
def none(split): raise ZeroDivisionError
BAD = EnvSpec(id="bad-v0", entry=f"{__name__}:Bad", tasks=f"{__name__}:tasks")
NONE = EnvSpec(id="none-v0", entry=f"{__name__}:Bad", tasks=f"{__name__}:none")
"""


def test_the_table_has_tasks_of_each_split_and_declared_speeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "envs", "--json"]) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["envs"]}
    for env in ("keydoor-v0", "sokoban-v0", "lockgrid-v0", "wordguess-v0"):
        entry = found[env]
        assert entry["tasks"] == {split: len(registry.tasks(env, split)) for split in ("train", "heldout")}
        assert entry["steps_per_second"] > 100
        assert entry["steps_per_second_from"] == "declared"
    assert found["textworld-file-v0"]["tasks"] == {"train": None, "heldout": None}
    assert main(["list", "envs"]) == 0
    shown = capsys.readouterr().out
    assert "declared" in shown
    assert "sokoban-v0" in shown


def test_every_environment_that_ships_declares_its_speed() -> None:
    import agentgym_envs

    speeds = json.loads((Path(agentgym_envs.__file__).parent / "speeds.json").read_text())
    ours = [
        e for e in registry.names("envs") if e.startswith(("keydoor", "cabinet", "sokoban", "lockgrid", "wordguess"))
    ]
    assert set(ours) <= set(speeds)
    assert all(isinstance(value, int) and value > 0 for value in speeds.values())


def test_measuring_plays_and_what_cannot_be_played_has_no_speed(tmp_path: Path) -> None:
    speed = measured("keydoor-v0", seconds=0.02)
    assert speed is not None
    assert speed > 10
    (tmp_path / "game.py").write_text(GAME)
    assert measured(f"{tmp_path}/game.py:BAD") is None
    assert measured("no-such-v0") is None
    assert sizes(f"{tmp_path}/game.py:BAD") == {"train": 1, "heldout": 1}
    assert sizes(f"{tmp_path}/game.py:NONE") == {"train": None, "heldout": None}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a-v0": "fast"}', '{"a-v0": true}', '{"a-v0": -1}', '{"a-v0": NaN}'])
def test_a_declaration_that_is_none_is_left_out(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_plug_in"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "speeds.json").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert declared("a-v0", "some_plug_in.env:SPEC") is None
    (package / "speeds.json").write_text('{"a-v0": 12}')
    assert declared("a-v0", "some_plug_in.env:SPEC") == 12.0
    assert declared("b-v0", "some_plug_in.env:SPEC") is None
    assert declared("a-v0", "no_such_package.env:SPEC") is None
