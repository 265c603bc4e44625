"""ALFWorld: every recorded transcript of the upstream engine to the letter, and the environment over the engine."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import registry
from agentgym.check import check
from agentgym.env import EnvSpec
from agentgym.errors import UsageError
from agentgym.types import Task
from agentgym_envs.alfworld import GENERATED, REAL
from agentgym_envs.alfworld.env import AlfWorld
from agentgym_envs.alfworld.game import parse
from agentgym_envs.alfworld.world import NOTHING, World

GOLDEN = Path(__file__).parents[1] / "golden" / "alfworld"
WALKS = sorted(path.name.removesuffix(".json.gz") for path in GOLDEN.glob("*.json.gz"))
TASKS = registry.tasks(GENERATED, "train", level=[1, 3])


def walk_of(name: str) -> dict[str, Any]:
    return json.loads(gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes()))


def folder_of(name: str, at: Path) -> Path:
    """A game of a transcript as a file in ALFWorld's own folders."""
    walk = walk_of(name)
    path = at / walk["game"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(walk["file"], encoding="utf-8")
    return path


def test_the_transcripts_are_there():
    assert len(WALKS) == 35
    games = [walk_of(name)["game"] for name in WALKS]
    assert {game.split("/")[-3].partition("-")[0] for game in games} == {
        "pick_and_place_simple",
        "look_at_obj_in_light",
        "pick_clean_then_place_in_recep",
        "pick_heat_then_place_in_recep",
        "pick_cool_then_place_in_recep",
        "pick_two_obj_and_place",
    }


@pytest.mark.parametrize("name", WALKS)
def test_a_transcript_of_upstream_is_reproduced_to_the_letter(name):
    walk = walk_of(name)
    world = World(parse(walk["file"], name))
    said = world.intro()
    for number, recorded in enumerate(walk["steps"]):
        if recorded["action"] is not None:
            answer = world.step(recorded["action"])
            said = NOTHING if answer is None else answer
        assert said == recorded["obs"], number
        assert list(world.commands) == recorded["admissible"], number
        assert world.won == recorded["won"] or number == 0, number


@pytest.mark.parametrize("name", [name for name in WALKS if name.endswith("_plan")])
def test_the_environment_says_the_same(name, tmp_path):
    env, walk = AlfWorld(), walk_of(name)
    task = Task("t", data={"path": str(folder_of(name, tmp_path))})
    observation, _ = env.reset(seed=0, options={"task": task})
    for recorded in walk["steps"][1:]:
        observation, reward, terminated, truncated, info = env.step(recorded["action"])
        assert (observation.text, list(observation.actions or ())) == (recorded["obs"], recorded["admissible"])
        assert (reward, terminated, truncated) == (recorded["score"], recorded["done"], False)
        assert "fault" not in info
    assert (info["success"], info["progress"]) == (True, 1.0)


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (GENERATED, {}),
        (GENERATED, {"level": [1, 5], "dialect": "old", "heldout": "seen", "types": [2, 6]}),
        (GENERATED, {"level": 4, "admissible": True, "banner": False}),
    ],
)
def test_it_keeps_every_rule(spec: EnvSpec, options: dict[str, Any]):
    findings = check(spec, quick=bool(options), options=options)
    assert [(f.name, f.detail) for f in findings if not f.ok] == []
    assert len(findings) == 18


def test_the_real_games_keep_every_rule(tmp_path):
    for name in WALKS:
        split = "train" if len(name) % 2 else "valid_unseen"
        path = folder_of(name, tmp_path / "all")
        at = tmp_path / "data" / "json_2.1.1" / split / path.parts[-3] / path.parts[-2]
        at.mkdir(parents=True, exist_ok=True)
        path.rename(at / "game.tw-pddl")
    findings = check(REAL, quick=True, options={"path": str(tmp_path / "data")})
    assert [(f.name, f.detail) for f in findings if not f.ok] == []


def test_a_whole_game_of_ours():
    env = registry.make(GENERATED)
    task = next(t for t in registry.tasks(GENERATED, "train", types=3, level=1))
    observation, info = env.reset(seed=0, options={"task": task})
    assert info == {"task": task.id}
    assert observation.text.startswith("-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room.")
    shares, last = [0.0], None
    while last is None or not last.terminated:
        last = env.step(env.oracle() or "")
        assert "fault" not in last.info
        shares.append(last.info["progress"])
    assert shares == sorted(shares)
    assert {0.0, 1 / 3, 2 / 3, 1.0} == set(shares)
    assert (last.reward, last.info["success"]) == (1.0, True)
    assert env.oracle() is None


@given(st.integers(0, 199), st.data())
@settings(max_examples=25, deadline=None)
def test_after_any_play_the_expert_wins_and_progress_never_falls(index, data):
    env = registry.make(GENERATED)
    env.reset(seed=0, options={"task": TASKS[index]})
    step = None
    for _ in range(data.draw(st.integers(0, 25))):
        observation = env.step("dance").observation
        step = env.step(data.draw(st.sampled_from(observation.actions or ())))
        if step.terminated:
            return
    last = step.info["progress"] if step else 0.0
    for _ in range(16):
        step = env.step(env.oracle() or "")
        assert "fault" not in step.info
        assert step.info["progress"] >= last - 1e-9
        last = step.info["progress"]
        if step.terminated:
            break
    assert step is not None
    assert step.info["success"]


@given(st.integers(0, 199), st.data())
@settings(max_examples=25, deadline=None)
def test_a_snapshot_brings_everything_back(index, data):
    env, other = registry.make(GENERATED), registry.make(GENERATED)
    observation, _ = env.reset(seed=0, options={"task": TASKS[index]})
    for _ in range(data.draw(st.integers(0, 12))):
        observation = env.step(data.draw(st.sampled_from(observation.actions or ()))).observation
    kept = json.loads(json.dumps(env.snapshot()))
    other.reset(seed=0, options={"task": TASKS[index]})
    assert other.restore(kept) == observation
    other.reset(seed=0, options={"task": TASKS[index + 1]})
    with pytest.raises(UsageError, match="of another game"):
        other.restore(kept)


@pytest.mark.parametrize(
    "action",
    ["", " ", "LOOK", "go to", "take", "examine agent1 ", "look\nlook", "x" * 100_000, "\ud800", "{o.__class__}"],
)
def test_what_cannot_be_done_is_a_fault_and_changes_nothing(action):
    env = registry.make(GENERATED)
    first, _ = env.reset(seed=0, options={"task": TASKS[0]})
    step = env.step(action)
    assert (step.observation.text, step.info["fault"], step.reward) == (NOTHING, "invalid", 0.0)
    assert (step.observation.state, step.observation.actions) == (first.state, first.actions)


def test_spaces_around_a_command_do_not_count():
    env = registry.make(GENERATED)
    env.reset(seed=0, options={"task": TASKS[0]})
    assert env.step("  inventory \n").observation.text == "You are not carrying anything."


def test_options_of_the_text():
    env = registry.make(GENERATED, admissible=True, banner=False)
    observation, _ = env.reset(seed=0, options={"task": TASKS[0]})
    assert observation.text.startswith("You are in the middle of a room.")
    assert observation.text.endswith("\nActions: " + "; ".join(observation.actions or ()) + ".")


@pytest.mark.parametrize("data", [{}, {"plan": {}}, {"plan": 3}, {"plan": {"type": "x"}}, {"plan": {"seed": object()}}])
def test_a_task_of_something_else_is_refused(data):
    with pytest.raises(UsageError):
        registry.make(GENERATED).reset(options={"task": Task("t", data=data)})


def test_threads_share_games_and_disturb_nobody():
    """Eight threads play the same games at once: each hears what one alone hears."""

    def play(heard: list[str]) -> None:
        env = registry.make(GENERATED)
        for index in range(12):
            observation, _ = env.reset(seed=0, options={"task": TASKS[index]})
            heard.append(observation.text)
            for turn in range(15):
                listed = observation.actions or ()
                step = env.step((turn % 3 == 0 and env.oracle()) or listed[(7 * turn + index) % len(listed)])
                observation = step.observation
                heard.append(f"{observation.text}|{observation.state}|{step.info}")
                if step.terminated:
                    break

    alone: list[str] = []
    play(alone)
    together: list[list[str]] = [[] for _ in range(8)]
    threads = [threading.Thread(target=play, args=(heard,)) for heard in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(heard == alone for heard in together)
