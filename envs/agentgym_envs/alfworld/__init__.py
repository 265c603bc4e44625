"""ALFWorld: household tasks in text, on an engine of our own that plays the original game files word for word."""

from agentgym.env import Ability, EnvSpec

_ABILITIES = frozenset(Ability) - {Ability.ANSWER}
_ENTRY = "agentgym_envs.alfworld.env:AlfWorld"
GENERATED = EnvSpec(
    id="alfworld-v0",
    entry=_ENTRY,
    tasks="agentgym_envs.alfworld.tasks:generated",
    summary="Household tasks of ALFWorld's six types in generated rooms (levels 1 to 5); no data needed",
    abilities=_ABILITIES,
    max_turns=50,
)
REAL = EnvSpec(
    id="alfworld-real-v0",
    entry=_ENTRY,
    tasks="agentgym_envs.alfworld.tasks:real",
    summary="ALFWorld's own games, from the folder that ALFWORLD_DATA (or the option path) names",
    abilities=_ABILITIES,
    max_turns=50,
)
