"""TextWorld against the recorded transcripts, its own tracker, and hostile players."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import registry
from agentgym.env import TextEnv
from agentgym.errors import EpisodeOverError, UsageError
from agentgym.types import Observation, Step, Task

pytest.importorskip("textworld")

from agentgym_envs.textworld import world as textworld_world
from agentgym_envs.textworld.env import MAX_COMMAND, TextWorld, sanitise
from agentgym_envs.textworld.world import Node, world_of

GOLDEN = Path(__file__).parents[1] / "golden" / "textworld"
GAMES = sorted(path.stem for path in GOLDEN.glob("*.z8"))


def task_of(name: str) -> Task:
    return Task(id=name, data={"path": str(GOLDEN / f"{name}.z8")})


def begin(name: str, **options: bool) -> tuple[TextWorld, Observation]:
    env = TextWorld(**options)
    return env, env.reset(seed=0, options={"task": task_of(name)})[0]


@pytest.mark.parametrize("name", GAMES)
def test_transcripts_are_reproduced_to_the_letter(name: str) -> None:
    steps = json.loads((GOLDEN / f"{name}.z8.json").read_text())["steps"]
    env, observation = begin(name, raw=True)
    assert observation.text == steps[0]["feedback"]
    assert list(observation.actions or ()) == steps[0]["adm"]
    total = 0.0
    for recorded in steps[1:]:
        assert env.oracle() == recorded["action"]
        observation, reward, terminated, truncated, info = env.step(recorded["action"])
        total += reward
        assert observation.text == recorded["feedback"]
        assert list(observation.actions or ()) == recorded["adm"]
        assert info["points"] == recorded["score"]
        assert (terminated, truncated, info.get("success", False)) == (recorded["done"], False, recorded["won"])
        assert "fault" not in info
    assert total == pytest.approx(1.0)
    assert info["progress"] == 1.0
    with pytest.raises(EpisodeOverError):
        env.step("look")
    env.close()
    env.close()


def test_text_wastes_nothing_and_loses_nothing() -> None:
    _, observation = begin("tw-coin_collector_3")
    lines = observation.text.split("\n")
    assert "$$" not in observation.text
    assert all(line == " ".join(line.split()) and line for line in lines)
    assert "coin" in lines[0]
    assert lines[1] == "Canteen"
    _, silent = begin("tw-coin_collector_3", objective=False)
    assert silent.text == "\n".join(lines[1:])
    _, listed = begin("tw-coin_collector_3", admissible=True)
    assert listed.text == observation.text + "\nActions: " + "; ".join(observation.actions or ()) + "."


def test_tracking_equals_the_engines_own_wrapper() -> None:
    import textworld

    rng = random.Random(0)
    for name in GAMES:
        theirs = textworld.start(
            str(GOLDEN / f"{name}.z8"), textworld.EnvInfos(feedback=True, score=True, admissible_commands=True)
        )
        expected = theirs.reset()
        env, observation = begin(name, raw=True)
        for _ in range(25):
            assert list(observation.actions or ()) == expected["admissible_commands"]
            assert observation.text == expected["feedback"]
            action = rng.choice([*(observation.actions or ()), "take all", "go up", "sing loudly"])
            expected, points, done = theirs.step(action)
            step = env.step(action)
            observation = step.observation
            assert (step.info["points"], step.terminated) == (points, done)
            if done:
                break
        theirs.close()
        env.close()


@given(st.sampled_from(GAMES), st.lists(st.integers(0, 10**6), max_size=8))
@settings(max_examples=20, deadline=None)
def test_state_keys_are_equal_exactly_when_states_are(name: str, choices: list[int]) -> None:
    env, observation = begin(name)
    keys = [observation.state]
    for choice in choices:
        before = observation
        actions = before.actions or ()
        action = actions[choice % len(actions)]
        step = env.step(action)
        observation = step.observation
        assert "fault" not in step.info, action
        if action in ("look", "inventory") or action.startswith("examine"):
            assert observation.state == before.state
            assert observation.actions == before.actions
        if observation.state == before.state:
            assert observation.actions == before.actions
            assert step.reward == 0
        keys.append(observation.state)
        if step.terminated:
            break
    replay, again = begin(name)
    replayed = [again.state]
    for choice in choices[: len(keys) - 1]:
        actions = again.actions or ()
        again = replay.step(actions[choice % len(actions)]).observation
        replayed.append(again.state)
    assert replayed == keys
    env.close()
    replay.close()


def test_a_way_and_back_is_the_same_state_but_a_quest_done_is_not_undone() -> None:
    env, first = begin("tw-coin_collector_3")
    env.step("go north")
    assert env.step("go south").observation.state == first.state
    env, first = begin("tw-simple_1")  # Dense rewards: a point for opening the trunk, once.
    assert env.step("open antique trunk").reward > 0
    closed = env.step("close antique trunk").observation
    assert closed.actions == first.actions
    assert closed.state != first.state
    assert env.step("open antique trunk").reward == 0


def test_few_states_are_kept_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def nodes() -> int:
        gc.collect()
        return sum(isinstance(one, Node) for one in gc.get_objects())

    def play() -> tuple[list[Any], int]:
        world_of.cache_clear()
        others = nodes()
        env, seen = begin("tw-cooking_5")
        found, rng = [seen], random.Random(3)
        while len(found) < 60:
            step = env.step(rng.choice(found[-1].actions or ()))
            over = step.terminated or step.truncated
            found.append(env.reset(options={"task": task_of("tw-cooking_5")})[0] if over else step.observation)
        return found, nodes() - others

    whole, all_of_them = play()
    monkeypatch.setattr(textworld_world, "MOST_NODES", 4)
    again, kept = play()
    assert again == whole
    assert kept <= 4 + 1 + 1 < all_of_them  # And the first state, and the one where the player stands.
    world_of.cache_clear()


@pytest.mark.parametrize("name", GAMES)
def test_oracle_wins_after_deviations(name: str) -> None:
    for seed in range(4):
        env, observation = begin(name)
        rng, step = random.Random(seed), None
        for _ in range(5):
            # Taking the wrong object, or food eaten or spoilt, loses a game for good: that is for no oracle to mend.
            harmless = [a for a in observation.actions or () if a.split()[0] in ("go", "look", "open", "close", "drop")]
            step = env.step(rng.choice(harmless))
            observation = step.observation
            if step.terminated:
                break
        for _ in range(80):
            if step is not None and step.terminated:
                break
            action = env.oracle()
            assert action is not None
            step = env.step(action)
        assert step is not None
        assert step.info.get("success") is True, (name, seed)
        env.close()


HOSTILE = [
    "", " ", "\n", "\0", "\ud800", "<|im_end|>", "a" * 1_000_000, "go " * 500, "quit", "QUIT", "q", "restart",
    "restore", "save", "save\ngame.qzl", "undo", "script", "transcript on", "again", "g", "oops", "version", "verify",
    "tw-extra-infos description", "TW-TRACE-ACTIONS", "restrict commands", "notify off", "superbrief", "score",
    "go north. go north", "go north then go north", "bob, quit", "go\tnorth\x1b[2J", "покинуть", "💥", "'", '"', "-",
    "yes",
]  # fmt: skip


def test_hostile_commands_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env, first = begin("tw-simple_1")
    for action in HOSTILE:
        step: Step = env.step(action)
        assert not step.terminated, action[:50]
        assert step.observation.state == first.state, action[:50]
        assert step.observation.actions == first.actions
        assert step.info.get("fault") == "invalid", action[:50]
        assert step.reward == 0
    assert "open antique trunk" in (first.actions or ())
    assert env.step("open antique trunk").reward > 0
    assert not list(tmp_path.iterdir())


@given(st.text(max_size=300))
def test_what_reaches_the_engine_is_one_short_line_of_plain_words(text: str) -> None:
    command = sanitise(text)
    if command is not None:
        assert 0 < len(command) <= MAX_COMMAND
        assert command.isascii()
        assert command.isprintable()
        assert not set('.,\n;"') & set(command)
        assert sanitise(command) == command


def test_a_story_without_its_description_plays(tmp_path: Path) -> None:
    story = tmp_path / "bare.z8"
    story.write_bytes((GOLDEN / "tw-coin_collector_3.z8").read_bytes())
    env = TextWorld()
    observation, _ = env.reset(seed=0, options={"task": Task(id="bare", data={"path": str(story)})})
    assert observation.actions is None
    assert env.oracle() is None
    states, total = {observation.state}, 0.0
    for recorded in json.loads((GOLDEN / "tw-coin_collector_3.z8.json").read_text())["steps"][1:]:
        step = env.step(recorded["action"])
        states.add(step.observation.state)
        total += step.reward
    assert step.terminated
    assert step.info["success"]
    assert total == 1.0
    assert len(states) == 11
    env.close()


def test_bad_files_are_named(tmp_path: Path) -> None:
    env = TextWorld()
    cut = tmp_path / "cut.z8"
    cut.write_bytes((GOLDEN / "custom_6.z8").read_bytes()[:100_000])
    for path, word in ((tmp_path / "none.z8", "no such file"), (cut, "damaged")):
        with pytest.raises(UsageError, match=f"{path.name}.*{word}"):
            env.reset(options={"task": Task(id="bad", data={"path": str(path)})})
    with pytest.raises(UsageError, match="neither"):
        env.reset(options={"task": Task(id="bad")})
    with pytest.raises(UsageError, match="path"):
        registry.tasks("textworld-file-v0")
    with pytest.raises(UsageError, match="nowhere"):
        registry.tasks("textworld-file-v0", path="nowhere.z8")


def test_file_tasks_split_a_folder() -> None:
    train, heldout = (registry.tasks("textworld-file-v0", split, path=str(GOLDEN)) for split in ("train", "heldout"))
    names = {task.id for task in train}, {task.id for task in heldout}
    assert names[0] | names[1] == set(GAMES)
    assert not names[0] & names[1]


@pytest.mark.parametrize("kind", ["coin", "treasure", "simple", "cooking"])
def test_task_sets(kind: str) -> None:
    name = f"textworld-{kind}-v0"
    train, heldout = (registry.tasks(name, split, games=300) for split in ("train", "heldout"))
    seeds = [{task.data["game"]["seed"] for task in tasks} for tasks in (train, heldout)]
    assert len(seeds[0]) == len(seeds[1]) == 300
    assert not seeds[0] & seeds[1]
    assert json.loads(json.dumps(dict(train[0].data))) == dict(train[0].data)
    with pytest.raises(UsageError):
        registry.tasks(name, "test")
    with pytest.raises(UsageError):
        registry.tasks(name, games=0)


def test_levels() -> None:
    tasks = registry.tasks("textworld-coin-v0", level=[1, 2, 103], games=6)
    assert [task.data["game"]["settings"]["level"] for task in tasks] == [1, 2, 103] * 2
    for level in (0, 301, 160, [], "3", True):
        with pytest.raises(UsageError, match="level"):
            registry.tasks("textworld-coin-v0", level=level)
    with pytest.raises(UsageError, match="hint"):
        registry.tasks("textworld-coin-v0", hint="all")


def test_specs_and_tasks_do_not_load_the_engine() -> None:
    code = (
        "import sys; from agentgym import registry; e = registry.make('textworld-coin-v0');"
        "registry.tasks('textworld-coin-v0')[0]; assert isinstance(e, object);"
        "assert 'textworld' not in sys.modules and 'jericho' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_it_is_a_text_env() -> None:
    env = registry.make("textworld-file-v0", path=str(GOLDEN / "custom_6.z8"))
    assert isinstance(env, TextEnv)
    observation, info = env.reset(seed=3)
    assert info["task"] == "custom_6"
    assert observation.text
    env.close()
