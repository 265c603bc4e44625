"""Locks and keys on a grid, of which only the surroundings are seen: fetch, carry, open, in the right order."""

from agentgym.env import Ability, EnvSpec

SPEC = EnvSpec(
    id="lockgrid-v0",
    entry="agentgym_envs.lockgrid.env:LockGrid",
    tasks="agentgym_envs.lockgrid.tasks:tasks",
    summary="Find keys, carry one at a time, open the doors of their letter, reach the treasure",
    abilities=frozenset(Ability) - {Ability.ANSWER},
    max_turns=60,
)
