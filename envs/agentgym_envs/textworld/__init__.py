"""TextWorld games on the real engine (an optional extra), generated from seeds or read from `.z8` files."""

from agentgym.env import Ability, EnvSpec

_ABILITIES = frozenset({Ability.DETERMINISTIC, Ability.ACTIONS, Ability.PROGRESS, Ability.ORACLE})


def _spec(family: str, summary: str, max_turns: int, **options: object) -> EnvSpec:
    return EnvSpec(
        id=f"textworld-{family}-v0",
        entry="agentgym_envs.textworld.env:TextWorld",
        tasks=f"agentgym_envs.textworld.tasks:{family}",
        summary=summary,
        abilities=_ABILITIES,
        max_turns=max_turns,
        host="process",  # The engine is native code.
        options=options,
        extra="textworld",
        prepare="agentgym_envs.textworld.games:prepare",
    )


COIN = _spec("coin", "Find the coin in a house of rooms (levels 1 to 300)", 40)
TREASURE = _spec("treasure", "Find one of two objects, behind doors and in containers (levels 1 to 30)", 40)
SIMPLE = _spec("simple", "Cook in a small house: doors, keys, containers (one map, many words)", 50)
COOKING = _spec("cooking", "Read the recipe, gather and prepare the ingredients, cook and eat", 60)
CUSTOM = _spec("custom", "A house of rooms, objects and a quest of a length, all to be chosen", 40)
FILE = _spec("file", "Any game file of the Z-machine: options path = 'game.z8'", 100)
