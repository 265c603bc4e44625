"""Worlds of the lab as environments, and policies that play them as the lab says: everything has an exact value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agentgym.env import Ability, EnvSpec, TextEnv
from agentgym.lab.values import Values
from agentgym.lab.world import Move, World
from agentgym.lab.worlds import WORLDS
from agentgym.limits import Limits
from agentgym.rollout import attempts, collect
from agentgym.seeding import generator
from agentgym.tasks import TaskSet
from agentgym.types import Observation, Step, Task, Trajectory
from agentgym_policies.scripted import Scripted

HERE = __file__


def trap() -> World:
    """A walk of five steps to success, and at each a pit that nobody gets out of, which the policy rarely takes."""
    moves: dict[str, dict[str, tuple[Move, ...]]] = {
        "pit": {"wait": (Move("pit"),), "shout": (Move("pit"),)},
    }
    for i in range(5):
        on = Move(f"step {i + 1}") if i < 4 else Move(None, reward=1.0, success=True)
        moves[f"step {i}"] = {"walk": (on,), "jump": (Move("pit"),)}
    logits = {(f"step {i}", "walk"): 4.0 for i in range(5)}
    return World("trap", "a walk past pits", {"step 0": 1.0}, moves, 8, logits)


OURS = {**WORLDS, "trap": trap()}


class LabEnv(TextEnv):
    """A world of the lab. What happens by chance comes from the episode's own generator."""

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        self._world, self._rng = OURS[task.data["world"]], rng
        self._state: str = task.data["start"]
        return self._look()

    def act(self, action: str) -> Step:
        moves = self._world.moves[self._state].get(action)
        if moves is None:
            return Step.fault(self._look(), "unknown")
        move = moves[int(self._rng.choice(len(moves), p=[m.probability for m in moves]))]
        if move.to is None:
            end = Step.success if move.success else Step.failure
            return end(Observation("the end", state="end"), move.reward)
        self._state = move.to
        return Step.on(self._look(), move.reward)

    def snapshot(self) -> Any:
        return [self._state]

    def restore(self, snapshot: Any) -> Observation:
        (self._state,) = snapshot
        self._open = True
        return self._look()

    def _look(self) -> Observation:
        return Observation(self._state, state=self._state, actions=tuple(self._world.moves[self._state]))


def tasks(split: str) -> TaskSet:
    made = [
        Task(f"{world.name}:{start}", data={"world": world.name, "start": start}, split=split)
        for world in OURS.values()
        for start in world.starts
    ]
    return TaskSet(split, len(made), lambda index: made[index])


BOTH = EnvSpec(
    id="lab-v0",
    entry="branch_cases:LabEnv",
    tasks="branch_cases:tasks",
    abilities=frozenset({Ability.DETERMINISTIC, Ability.SNAPSHOT, Ability.ACTIONS}),
    max_turns=40,
)
RESTORES = EnvSpec(**{**vars(BOTH), "abilities": frozenset({Ability.SNAPSHOT, Ability.ACTIONS})})
NEITHER = EnvSpec(**{**vars(BOTH), "abilities": frozenset({Ability.ACTIONS})})


class Softmax(Scripted):
    """The policy that a world's values are those of."""

    def __init__(self, world: World, chat: Any = None) -> None:
        super().__init__(chat=chat)
        self.world = world

    def choose(self, request: Any) -> str:
        actions = request.observation.actions
        logits = np.array([self.world.logits.get((request.observation.state_key, a), 0.0) for a in actions])
        weight = np.exp(logits - logits.max())
        return actions[int(generator(request.seed).choice(len(actions), p=weight / weight.sum()))]


def play(
    world: World, size: int, seed: int = 0, policy: Scripted | None = None, env: str | None = None
) -> list[Trajectory]:
    """Groups of attempts at a world's tasks."""
    mine = [t for t in tasks("train")[:] if t.data["world"] == world.name]
    return collect(
        attempts(mine, size, seed),
        env=env or f"{HERE}:BOTH",
        policy=policy or Softmax(world),
        limits=Limits(turns=world.horizon),
    )


def exact(world: World, trajectory: Trajectory) -> list[float]:
    """The true V_0 to V_T of a trajectory: rewards so far and the expected rewards to come."""
    values = Values.of(world, world.policy())
    found, so_far = [], 0.0
    for number, turn in enumerate(trajectory.turns):
        found.append(so_far + float(values.reward[number, values.number[turn.observation.state_key]]))
        so_far += turn.reward
    return [*found, so_far]


def walks(world: World, actions: Sequence[str]) -> Trajectory:
    """The attempt of somebody who does as told."""

    class Told(Scripted):
        def choose(self, request: Any) -> str:
            return actions[request.turn]

    return play(world, 1, policy=Told())[0]
