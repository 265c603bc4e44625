"""ALFWorld's games: those that are generated, and the folders of the real ones."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import registry
from agentgym.errors import UnknownNameError, UsageError
from agentgym_envs.alfworld import GENERATED, REAL, floors, writer
from agentgym_envs.alfworld.expert import Expert
from agentgym_envs.alfworld.game import load, parse
from agentgym_envs.alfworld.generate import LEVELS, TYPES, choices, make, plan
from agentgym_envs.alfworld.goals import progress
from agentgym_envs.alfworld.tables import HOLDS, LAMPS, OPENABLE, ROOMS
from agentgym_envs.alfworld.world import World

GOLDEN = Path(__file__).parents[1] / "golden" / "alfworld"


@given(
    st.sampled_from(["train", "heldout", "seen"]),
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.sampled_from(["new", "old"]),
)
@settings(max_examples=150, deadline=None)
def test_every_generated_game_is_solved_by_the_expert(split, index, level, dialect):
    made = make(plan(split, index, level=level, dialect=dialect))
    game = writer.game(made)
    world = World(game)
    assert f"Your task is to: {made.sentence}" in world.intro()
    assert not world.won
    assert progress(world, Expert(world).wish) == 0.0
    way = writer.solve(game)
    assert way is not None
    assert len(way) <= 20  # Of 50 turns: fetch, treat and place, twice at most, with the doors.


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_facts_of_a_game_make_sense(index, level):
    made = make(plan("train", index, level=level))
    kinds = {
        fact[1]: fact[2].removesuffix("Type") for fact in made.facts if fact[0] in ("objectType", "receptacleType")
    }
    inside = [fact[1:] for fact in made.facts if fact[0] == "inReceptacle"]
    assert len({thing for thing, _ in inside}) == len(inside)
    for thing, place in inside:
        assert kinds[thing] in LAMPS or kinds[thing] in HOLDS[kinds[place]]
    rooms = [fact for fact in made.facts if fact[0] == "receptacleAtLocation"]
    assert len(rooms) <= max(LEVELS[level - 1].receptacles, 5)
    assert len(inside) <= LEVELS[level - 1].objects + 2
    if made.plan["type"] != "look_at_obj_in_light":
        goal, thing = made.plan["goal"], made.plan["object"]
        assert not [pair for pair in inside if kinds[pair[0]] == thing and kinds[pair[1]] == goal]


def test_games_differ_and_training_never_sees_a_held_out_floor_plan():
    games: set[tuple[object, ...]] = set()
    rooms: dict[str, set[int]] = {"train": set(), "heldout": set()}
    for split, found in rooms.items():
        for index in range(600):
            made = make(plan(split, index))
            games.add((*made.facts, made.sentence))
            found.add(made.plan["scene"])
    assert len(games) == 1200
    assert not rooms["train"] & rooms["heldout"]
    assert len(rooms["train"]) > 80
    assert len(rooms["heldout"]) > 20
    assert {floors.room_of(scene) for scene in rooms["heldout"]} == set(ROOMS)


def test_levels_grow():
    sizes = []
    hidden = []
    for level in range(1, 6):
        made = [make(plan("train", index, level=level)) for index in range(90)]
        sizes.append(sum(len(m.facts) for m in made))
        ways = [writer.solve(writer.game(m)) or [] for m in made]
        hidden.append(sum(any(c.startswith("open") for c in way[:3]) for way in ways))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 5
    assert hidden[0] < hidden[2] < hidden[4]


def test_a_plan_is_a_pure_function_and_floor_plans_do_not_change():
    """Numbers that somebody trained on must stay what they are."""
    assert plan("train", 0) == plan("train", 0)
    assert make(plan("train", 7)) == make(plan("train", 7))
    assert floors.plan(1001) == floors.plan(1001)
    assert len(floors.scenes("train")) == 96
    assert len(floors.scenes("heldout")) == 24
    assert not set(floors.scenes("train")) & set(floors.scenes("heldout"))
    made = [make(plan("train", index)) for index in range(3)]
    assert [(m.plan["type"], m.plan["scene"], m.sentence) for m in made] == PINNED


PINNED = [
    ("pick_and_place_simple", 1322, "put some cellphone on dresser."),
    ("look_at_obj_in_light", 1305, "examine the box with the floorlamp."),
    ("pick_clean_then_place_in_recep", 1406, "clean some cloth and put it in sidetable."),
]


def test_every_floor_plan_has_games():
    for scene in (*floors.scenes("train"), *floors.scenes("heldout")):
        assert any(choices(scene, kind) for kind in TYPES)
        ids = [one.id for one in floors.plan(scene)]
        assert len(set(ids)) == len(ids)
        assert floors.start(scene) not in {one.location for one in floors.plan(scene)}
    assert {kind for one in floors.plan(1001) for kind in [one.kind]} >= {"Fridge", "Microwave", "SinkBasin"}
    assert all(kind in HOLDS for room in ROOMS.values() for kind in room.receptacles)
    assert set(HOLDS) >= OPENABLE


def test_a_written_game_is_the_game_that_is_played(tmp_path):
    made = make(plan("heldout", 5, level=2, dialect="old"))
    path = writer.write(made, tmp_path)
    assert load(path).digest == writer.game(made).digest
    content = json.loads(path.read_text())
    assert content["solvable"] is True
    world = World(load(path))
    for command in content["walkthrough"]:
        assert world.step(command) is not None
    assert world.won
    about = json.loads((path.parent / "traj_data.json").read_text())
    assert about["task_type"] == made.plan["type"]
    assert path.parts[-3].startswith(made.plan["type"] + "-")


def test_the_expert_solves_the_real_games_of_the_transcripts():
    solved = Counter[bool]()
    for path in sorted(GOLDEN.glob("*.json.gz")):
        walk = json.loads(gzip.decompress(path.read_bytes()))
        game = parse(walk["file"], walk["game"])
        if json.loads(walk["file"])["solvable"]:
            solved[writer.solve(game, most=50) is not None] += 1
    assert solved[True] >= 30
    assert solved[False] == 0


# Task sets ------------------------------------------------------------------------------------------------------------


def test_types_and_levels_take_turns():
    tasks = registry.tasks(GENERATED, "train", types=[1, "pick_two_obj_and_place"], level=[2, 4], games=8)
    plans = [task.data["plan"] for task in tasks]
    assert [p["type"] for p in plans] == ["pick_and_place_simple", "pick_two_obj_and_place"] * 4
    assert [p["level"] for p in plans] == [2, 2, 4, 4] * 2
    assert len({t.id for t in tasks}) == 8
    everything = registry.tasks(GENERATED, "train")
    assert len(everything) == 10_000
    assert Counter(everything[i].data["plan"]["type"] for i in range(12)) == dict.fromkeys(TYPES, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": 0}, "level must be a number from 1 to 5"),
        ({"level": []}, "level must be a number from 1 to 5"),
        ({"level": True}, "level must be a number from 1 to 5"),
        ({"types": "pick_and_plac_simple"}, "did you mean 'pick_and_place_simple'"),
        ({"types": 7}, "unknown task type '7'"),
        ({"types": []}, "types must not be an empty list"),
        ({"heldout": "elsewhere"}, "heldout must be one of unseen, seen"),
        ({"dialect": "latin"}, "dialect must be one of new, old"),
        ({"games": 0}, "games must be at least 1"),
    ],
)
def test_options_that_are_wrong_say_so(options, said):
    with pytest.raises(UsageError, match=said):
        registry.tasks(GENERATED, "train", **options)
    assert issubclass(UnknownNameError, UsageError)


@pytest.fixture
def data(tmp_path):
    """A data folder as upstream's: two training games and two unseen ones, with what is to be left out."""
    root = tmp_path / "data"
    for split, source in (("train", "train"), ("valid_unseen", "heldout")):
        for index in (0, 1):
            writer.write(make(plan(source, index, level=1)), root / "json_2.1.1" / split)
    whole = next((root / "json_2.1.1" / "train").glob("*/*/game.tw-pddl")).read_text()
    for name, text in (
        ("pick_and_place_simple-Mug-None-Desk-9/bad", whole.replace('"solvable": true', '"solvable": false')),
        ("pick_and_place_with_movable_recep-Mug-Pan-Desk-9/t", whole),
        ("pick_and_place_simple-AppleSliced-None-Desk-9/t", whole),
    ):
        path = root / "json_2.1.1" / "train" / name / "game.tw-pddl"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return root


def test_the_data_folder_is_found_by_its_variable_and_by_path(data, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(data))
    train, heldout = (registry.tasks(REAL, split) for split in ("train", "heldout"))
    assert (len(train), len(heldout)) == (2, 2)
    monkeypatch.setenv("ALFWORLD_DATA", "/nowhere")
    for path in (data, data / "json_2.1.1", data / "json_2.1.1" / "train"):
        assert [t.id for t in registry.tasks(REAL, "train", path=str(path))] == [t.id for t in train]
        assert [t.id for t in registry.tasks(REAL, "heldout", path=str(path))] == [t.id for t in heldout]
    assert len(registry.tasks(REAL, "train", path=str(data), unsolvable=True)) == 3
    assert len(registry.tasks(REAL, "train", path=str(data), types=train[0].id.partition("-")[0])) == 1
    env = registry.make(REAL, path=str(data))
    env.reset(seed=3)
    assert env.task is not None
    assert env.task.id in {t.id for t in train}


def test_folders_that_are_wrong_say_what_was_expected(data, monkeypatch, tmp_path):
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    for options, said in (
        ({}, "needs data: ALFWORLD_DATA .* alfworld-v0 needs none"),
        ({"path": str(tmp_path / "no")}, "no: there is no such folder"),
        ({"path": str(data), "train": "valid_train"}, r"no split 'valid_train' in it \(there is json_2.1.1\)"),
        ({"path": str(data), "train": "valid_unseen"}, "must not be the same folder"),
        ({"path": str(data), "types": 4}, "none is solvable and of the types pick_heat"),
    ):
        with pytest.raises(UsageError, match=said):
            registry.tasks(REAL, "train", **options)
    bare = tmp_path / "bare" / "train" / "a-b" / "c"
    bare.mkdir(parents=True)
    (bare / "traj_data.json").write_text("{}")
    with pytest.raises(UsageError, match=r"no <task>/<trial>/game.tw-pddl in it \(there are traj_data.json"):
        registry.tasks(REAL, "train", path=str(tmp_path / "bare"))


def test_a_damaged_file_is_named_when_it_is_played(data):
    victim = registry.tasks(REAL, "train", path=str(data))[0]
    path = Path(victim.data["path"])
    path.write_text(path.read_text()[:5000])
    tasks = registry.tasks(REAL, "train", path=str(data))
    assert victim in list(tasks)
    with pytest.raises(UsageError, match=r"game.tw-pddl: damaged or cut off"):
        registry.make(REAL, path=str(data)).reset(options={"task": victim})
