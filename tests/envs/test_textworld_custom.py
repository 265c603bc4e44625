"""Games of no challenge: rooms, objects and quests as asked for, on ladders, and refused where they cannot be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentgym import make
from agentgym.errors import UsageError
from agentgym.registry import tasks

pytest.importorskip("textworld", reason="TextWorld is an extra: pip install 'agentgym-suite[textworld]'")


def described(params: Mapping[str, Any]) -> dict[str, Any]:
    from agentgym_envs.textworld import games

    data: dict[str, Any] = json.loads(games.ensure(params).with_suffix(".json").read_text())
    return data


def test_a_ladder_takes_its_rungs_in_turn() -> None:
    found = tasks("textworld-custom-v0", rooms=[1, 3], quest=[1, 3], objects=4, games=4)
    assert [t.data["game"]["settings"]["rooms"] for t in found] == [1, 3, 1, 3]
    assert [t.data["game"]["settings"]["quest"] for t in found] == [1, 3, 1, 3]
    assert len({t.id for t in found}) == 4
    heldout = tasks("textworld-custom-v0", "heldout", rooms=[1, 3], quest=[1, 3], objects=4, games=4)
    assert not {t.data["game"]["seed"] for t in found} & {t.data["game"]["seed"] for t in heldout}


@pytest.mark.timeout(240)
def test_games_have_the_rooms_things_and_length_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path))
    options = {"rooms": 3, "objects": 6, "quest": 3, "games": 1}
    (task,) = tasks("textworld-custom-v0", **options)
    game = described(task.data["game"])
    kinds = [entry[1]["type"] for entry in game["infos"]]
    assert kinds.count("r") == 3
    assert sum(kind not in ("r", "d", "P", "I") for kind in kinds) >= 6
    assert len(game["quests"]) == 1
    env = make("textworld-custom-v0", **options)
    try:
        env.reset(options={"task": task})
        turns, total = 0, 0.0
        while turns < 9:
            step = env.step(env.oracle() or "")
            turns, total = turns + 1, total + step.reward
            if step.terminated:
                break
        assert (step.info["success"], turns, total) == (True, 3, 1.0)
    finally:
        env.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rooms": 0}, "rooms must be a number from 1 to 100"),
        ({"rooms": []}, "rooms has 0 values"),
        ({"quest": [3, 21]}, "quest must be a number from 1 to 20"),
        ({"objects": True}, "objects must be a number"),
        ({"quests": "two"}, "quests must be a number"),
        ({"rooms": [1, 2, 3], "quest": [1, 2]}, "the same length"),
        ({"theme": "castle"}, "house, basic"),
        ({"hint": "some"}, "hint must be one of"),
    ],
)
def test_what_cannot_be_made_is_refused_before_it_is_tried(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tasks("textworld-custom-v0", **options)
