"""Sokoban in text: push every box onto a goal; levels are made by playing backwards, so that each can be solved."""

from agentgym.env import Ability, EnvSpec

SPEC = EnvSpec(
    id="sokoban-v0",
    entry="agentgym_envs.sokoban.env:Sokoban",
    tasks="agentgym_envs.sokoban.tasks:tasks",
    summary="Push every box onto a goal; a push cannot be taken back",
    abilities=frozenset(Ability) - {Ability.ANSWER},
    max_turns=60,
)
