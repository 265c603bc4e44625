"""Cabinet: follow cards from drawer to drawer and answer with the word at the end; has all that credit can ask for."""

from agentgym.env import Ability, EnvSpec

SPEC = EnvSpec(
    id="cabinet-v0",
    entry="agentgym_envs.cabinet.env:Cabinet",
    tasks="agentgym_envs.cabinet.tasks:tasks",
    summary="Follow cards from drawer to drawer, then answer with the word on the last one",
    abilities=frozenset(Ability),
    max_turns=8,
    components=("answer", "step"),
)
