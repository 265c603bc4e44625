"""Generated games as ALFWorld's files: `TASK/TRIAL/{game.tw-pddl, traj_data.json}`, for any tool that reads those."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from agentgym.errors import UsageError
from agentgym_envs.alfworld.expert import Expert
from agentgym_envs.alfworld.game import Game
from agentgym_envs.alfworld.generate import LAMP_TYPE, TREATMENTS, Made
from agentgym_envs.alfworld.tables import HOLDS, LAMPS, PICKED
from agentgym_envs.alfworld.words import grammar
from agentgym_envs.alfworld.world import World

STATE = {"cleanable": "isClean", "heatable": "isHot", "coolable": "isCool"}


@functools.cache
def domain(dialect: str) -> str:
    """The rules in PDDL; the old dialect has no `help`."""
    text = resources.files("agentgym_envs.alfworld").joinpath("data/household.pddl").read_text(encoding="utf-8")
    if dialect == "new":
        return text
    return re.sub(r"  \(:action help\n.*\n.*\n.*\n", "", text)


def goal(made: Made) -> str:
    """The goal in PDDL."""
    thing, place = made.plan["object"], made.plan["goal"]
    if made.plan["type"] == LAMP_TYPE:
        return (
            f"(and (exists (?lamp - object ?r - receptacle ?a - agent ?l - location)"
            f" (and (objectType ?lamp {place}Type) (toggleable ?lamp) (isToggled ?lamp)"
            f" (receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?lamp ?r)))"
            f" (exists (?o - object ?a - agent) (and (objectType ?o {thing}Type) (holds ?a ?o))))"
        )
    there = f"(objectType ?o {thing}Type) (receptacleType ?r {place}Type) (inReceptacle ?o ?r)"
    if made.plan["type"] == "pick_two_obj_and_place":
        other = f"(not (= ?o ?o2)) (objectType ?o2 {thing}Type) (inReceptacle ?o2 ?r)"
        return f"(and (exists (?r - receptacle ?o - object) (and {there} (exists (?o2 - object) (and {other})))))"
    ability = TREATMENTS.get(made.plan["type"], ("", ""))[0]
    treated = f"({ability} ?o) ({STATE[ability]} ?o) " if ability else ""
    return f"(and (exists (?r - receptacle ?o - object) (and {treated}{there})))"


def problem(made: Made) -> str:
    """The game's facts and goal in PDDL."""
    receptacles = [fact[1] for fact in made.facts if fact[0] == "receptacleType"]
    objects = [fact[1] for fact in made.facts if fact[0] == "objectType"]
    places = sorted({fact[2] for fact in made.facts if fact[0] in ("receptacleAtLocation", "atLocation")})
    kinds: Sequence[tuple[str, Sequence[str]]] = (
        ("agent", ["agent1"]),
        ("otype", [f"{kind}Type" for kind in sorted({*PICKED, *LAMPS})]),
        ("rtype", [f"{kind}Type" for kind in sorted(HOLDS)]),
        ("object", objects),
        ("receptacle", receptacles),
        ("location", places),
    )
    declared = "\n".join(f"    {name} - {kind}" for kind, names in kinds for name in names)
    facts = "\n".join(f"    ({' '.join(fact)})" for fact in made.facts)
    return (
        f"(define (problem plan_{trial(made)})\n  (:domain alfred)\n  (:objects\n{declared})\n"
        f"  (:init\n{facts})\n  (:goal {goal(made)}))\n"
    )


def trial(made: Made) -> str:
    """The name of the game's folder."""
    return f"trial_L{made.plan['level']}_{made.plan['dialect']}_{made.plan['seed']:019d}"


def data(made: Made) -> dict[str, Any]:
    """The content of `game.tw-pddl`, but for the walkthrough."""
    return {
        "pddl_domain": domain(made.plan["dialect"]),
        "grammar": grammar(made.sentence, made.plan["dialect"]),
        "pddl_problem": problem(made),
        "solvable": True,
    }


def game(made: Made) -> Game:
    """The game, ready to play."""
    return Game.read(data(made))


def solve(found: Game, most: int = 100) -> list[str] | None:
    """The expert's way; `None` if it does not win."""
    world, said = World(found), list[str]()
    expert = Expert(world)
    while not world.won and len(said) < most:
        command = expert.next()
        if command is None or world.step(command) is None:
            return None
        said.append(command)
    return said if world.won else None


def write(made: Made, folder: Path) -> Path:
    """Write a game, with its walkthrough, below a folder; the file's path.

    Raises:
        UsageError: the expert does not solve it.
    """
    content = data(made)
    walkthrough = solve(Game.read(content))
    if walkthrough is None:
        raise UsageError(f"the game of {dict(made.plan)} is not solved by the expert; please report it")
    plan = made.plan
    lamp = plan["type"] == LAMP_TYPE
    at = folder / "-".join([plan["type"], plan["object"], "None", plan["goal"], str(plan["scene"])]) / trial(made)
    at.mkdir(parents=True, exist_ok=True)
    about = {
        "task_id": trial(made),
        "task_type": plan["type"],
        "pddl_params": {
            "object_target": plan["object"],
            "parent_target": "" if lamp else plan["goal"],
            "toggle_target": plan["goal"] if lamp else "",
            "mrecep_target": "",
            "object_sliced": False,
        },
        "scene": {"floor_plan": f"FloorPlan{plan['scene']}", "scene_num": plan["scene"]},
        "turk_annotations": {"anns": [{"task_desc": made.sentence}]},
    }
    (at / "traj_data.json").write_text(json.dumps(about) + "\n", encoding="utf-8")
    path = at / "game.tw-pddl"
    path.write_text(json.dumps({**content, "walkthrough": walkthrough}), encoding="utf-8")
    return path
