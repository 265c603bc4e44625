"""Runs for the tests of the viewer: real episodes of a scripted policy, and texts that a page must not obey."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

from agentgym import registry
from agentgym.rollout import attempts, collect
from agentgym.store import RunFolder
from agentgym.track import Tracker
from agentgym.types import Completion, Ending, Observation, Trajectory, Turn

ENV = "keydoor-v0"
RECIPE = 'name = "{name}"\nseed = {seed}\n\n[env]\nid = "keydoor-v0"\n\n[[credit]]\nuse = "anchor-state"\ngamma = 0.9\n'
HOSTILE = (
    "</script><img src=x onerror=alert(1)> [bold]x[/bold] \x1b[2J \x1b]52;c;aGk=\x07 \0 \u202e \ud800 {{7*7}} <!--"
)


@cache
def played(tasks: int = 6, group: int = 4) -> list[Trajectory]:
    """Episodes of the noisy oracle: some succeed, some do not, some actions are at fault."""
    policy = registry.load("policies", "noisy-oracle")(epsilon=0.5)
    todo = attempts(list(registry.tasks(ENV, "train")[:tasks]), group, 3)
    return collect(todo, env=ENV, policy=policy, schedule="ordered")


def fill(run: RunFolder, iterations: int = 2) -> None:
    """An evaluation, and iterations with credit that differs from turn to turn."""
    for one in played()[:6]:
        run.trajectories.append(
            dataclasses.replace(one, id=f"eval:{one.id}", group=f"eval:{one.group}"), phase="eval:a"
        )
    for i in range(iterations):
        for n, one in enumerate(played()):
            credit = [round(((n + t) % 5 - 2) / 4, 3) for t in range(len(one.turns))]
            group = f"{i}:{one.group}"
            named = dataclasses.replace(one, id=f"{i}:{one.id}", group=group)
            run.trajectories.append(named, phase="train", iteration=i, advantages=credit)


def made(root: Path, name: str = "a", seed: int = 0, iterations: int = 2) -> Path:
    """A finished run with metrics."""
    with RunFolder.create(name, root, RECIPE.format(name=name, seed=seed)) as run:
        fill(run, iterations)
        tracker = Tracker(run.path, tensorboard=False)
        for step in range(1, 6):
            success = (step + seed) / 10
            low, high = success / 2, success + 0.05
            values = {"train/success": success, "train/success_low": low, "train/success_high": high}
            tracker.log(
                step, {**values, "learn/loss": float("nan") if step == 3 else 1.0 / step}, stage=f"train:{step}"
            )
        tracker.close()
    return root / name


def one(name: str, text: str = "a room", reward: float = 1.0) -> Trajectory:
    """A trajectory whose every text is the same."""
    turn = Turn(Observation(text, actions=(text,), state=text), Completion(text), text, reward, info={"fault": text})
    group = f"group {text[:40]}"
    final = Observation(text)
    return Trajectory(name, "e-v0", text[:80], group, 0, 0, (turn, turn), Ending.OUT_OF_TURNS, final, 2 * reward)
