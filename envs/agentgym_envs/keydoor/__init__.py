"""Key and door: a small text game with a delayed reward, the example that an author copies."""

from agentgym.env import Ability, EnvSpec

SPEC = EnvSpec(
    id="keydoor-v0",
    entry="agentgym_envs.keydoor.env:KeyDoor",
    tasks="agentgym_envs.keydoor.tasks:tasks",
    summary="Find the key in a row of rooms, carry it to the door, open it; reward only at the end",
    abilities=frozenset(Ability) - {Ability.ANSWER},
    max_turns=12,
)
