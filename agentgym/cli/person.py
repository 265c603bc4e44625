"""A person at the terminal as the player of one episode."""

from __future__ import annotations

import sys
import time
from typing import Any

from agentgym import registry
from agentgym.cli.show import safe
from agentgym.types import Completion, Ending, Observation, Step, Task, Trajectory, Turn


def play_by_hand(env: str, task: Task, seed: int, options: dict[str, Any]) -> Trajectory:
    """One episode, asking for each action; the end of input, an empty line and Ctrl-C give up.

    The environment runs in this process: it is the person who waits for it, and who can stop it.
    """
    world = registry.make(env, **options)
    turns: list[Turn] = []
    began = time.monotonic()
    ending = Ending.OUT_OF_TIME  # Whoever gives up has cut the episode off, which is no failure at the task.
    limit = registry.spec(env).max_turns
    try:
        observation, _ = world.reset(seed=seed, options={"task": task})
        if task.prompt:
            print(safe(task.prompt) + "\n")
        while True:
            show(observation, len(turns), limit)
            action = ask()
            if not action:
                break
            step = world.step(action)
            turns.append(_turn(observation, action, step))
            observation = step.observation
            if step.reward:
                print(f"[reward {step.reward:g}]")
            if step.info.get("fault"):
                print(f"[fault: {safe(str(step.info['fault']))}]")
            if step.terminated or step.truncated or len(turns) >= limit:
                print(safe(observation.text))
                ending = _ending(step)
                break
    except KeyboardInterrupt:
        print()
        observation = turns[-1].observation if turns else Observation("")
    finally:
        world.close()
    return Trajectory(
        id=f"play:{task.id}",
        env=env,
        task_id=task.id,
        group=f"play:{task.id}",
        attempt=0,
        seed=seed,
        turns=tuple(turns),
        ending=ending,
        final=observation,
        score=sum(turn.reward for turn in turns),
        success=ending is Ending.SUCCESS,
        seconds=time.monotonic() - began,
        split=task.split,
    )


def show(observation: Observation, turn: int, limit: int) -> None:
    """What the person sees before acting."""
    print(safe(observation.text))
    if observation.actions is not None:
        print("  actions: " + safe(" | ".join(observation.actions)))
    print(f"[turn {turn + 1} of {limit}] > ", end="", flush=True)


def ask() -> str:
    """A line, `""` at the end of input."""
    line = sys.stdin.readline()
    if not line:
        print()
    return line.strip()


def _turn(observation: Observation, action: str, step: Step) -> Turn:
    info = {key: value for key, value in step.info.items() if key != "rewards"}
    return Turn(observation, Completion(action), action, step.reward, step.info.get("rewards") or {}, info)


def _ending(step: Step) -> Ending:
    if step.terminated:
        return Ending.SUCCESS if step.info.get("success") else Ending.FAILURE
    named = step.info.get("ending")
    return Ending(named) if named in set(Ending) else Ending.OUT_OF_TURNS
