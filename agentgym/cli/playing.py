"""`agentgym play`: an environment in the terminal, played by a person or by a scripted policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from agentgym.cli.machine import require_extra
from agentgym.cli.show import safe, say, settings

if TYPE_CHECKING:
    from agentgym.store import RunFolder
    from agentgym.types import Task, Trajectory

Options = Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="")]


def play(
    env: str,
    /,
    *,
    task: int = 0,
    split: Literal["train", "heldout"] = "train",
    seed: int = 0,
    policy: str | None = None,
    option: Options = None,
    save: Path | None = None,
) -> int:
    """Play an environment in the terminal, or watch a scripted policy play it.

    Tab completes actions; :hint asks the oracle, :undo takes a turn back, :help shows the rest. Ctrl-D or Ctrl-C ends
    it. A recorded success can be learnt from: see warmstart.demonstrations in recipes.

    Args:
        env: id, or ./file.py:SPEC.
        task: which of its tasks, counted from 0.
        split: of the tasks.
        seed: of the episode.
        policy: who plays; you, if not given.
        option: name=value for the environment; may be given several times.
        save: run folder to record the episode in: a new one, or one of played episodes.
    """
    from agentgym import registry
    from agentgym.errors import UsageError
    from agentgym.types import Ending

    require_extra(registry.spec(env))
    options = settings(option or (), "--option")
    tasks = registry.tasks(env, split, **options)
    if not 0 <= task < len(tasks):
        raise UsageError(f"--task {task}: {env} has {len(tasks)} {split} tasks, counted from 0")
    picked = tasks[task]
    if policy is None:
        return _by_hand(env, picked, seed, options, save)
    trajectory = _watch(env, policy, picked, seed, options)
    _ended(trajectory, trajectory.ending.value.replace("_", " "))
    if save is not None:
        with playing(save) as run:
            _record(run, trajectory, save)
    return 0 if trajectory.ending is not Ending.INFRA_ERROR else 1


def _by_hand(env: str, task: Task, seed: int, options: dict[str, Any], save: Path | None) -> int:
    from agentgym import registry
    from agentgym.cli.game import Game
    from agentgym.cli.person import play_by_hand
    from agentgym.errors import UsageError
    from agentgym.types import Ending

    opened: list[tuple[Path, RunFolder]] = []

    def record(path: Path) -> None:
        if opened:
            raise UsageError(f"the episode is recorded in {opened[0][0]} already")
        if not path.name:
            raise UsageError("name a folder: :save runs/mine")
        opened.append((path, playing(path)))

    game = Game(env, task, seed, options, registry.spec(env).dialect)
    try:
        if save is not None:
            record(save)  # Before anything is played: a folder that cannot be made shall cost nobody a game.
        trajectory = play_by_hand(game, record)
        gave_up = trajectory.ending is Ending.OUT_OF_TIME
        _ended(trajectory, "given up" if gave_up else trajectory.ending.value.replace("_", " "))
        for path, run in opened:
            _record(run, trajectory, path)
    finally:
        game.world.close()
        for _, run in opened:
            run.close()
    return 0 if trajectory.ending is not Ending.INFRA_ERROR else 1


def _ended(trajectory: Trajectory, how: str) -> None:
    print(f"\n{how}: score {trajectory.score:g}, {len(trajectory.turns)} turns")


def playing(path: Path) -> RunFolder:
    """A run folder to record an episode in: a new one, or one that holds played episodes and nothing else.

    Raises:
        UsageError: something else stands there.
        StoreError: another process writes to it.
    """
    from agentgym.cli.saving import recording
    from agentgym.store import RunFolder

    if not (path / "run.json").is_file():
        return recording(path)
    run = RunFolder(path, write=True)
    if any(entry.phase != "play" for entry in run.trajectories) or run.config_path.stat().st_size:
        run.close()
        return recording(path)  # Which says that it is taken.
    return run


def _record(run: RunFolder, trajectory: Trajectory, path: Path) -> None:
    from dataclasses import replace

    known = {entry.trajectory.id for entry in run.trajectories}
    name, number = trajectory.id, 1
    while name in known:
        number += 1
        name = f"{trajectory.id}~{number}"
    run.trajectories.append(replace(trajectory, id=name), phase="play")
    say(f"saved; look at it with: agentgym report {path}")


def _watch(env: str, policy: str, task: Any, seed: int, options: dict[str, Any]) -> Any:
    from agentgym import registry
    from agentgym.cli.evaluating import build_policy
    from agentgym.errors import InfraError
    from agentgym.host import HostPool
    from agentgym.rollout import attempts, collect
    from agentgym.types import Turn

    player = build_policy(policy, registry.spec(env).dialect)
    if task.prompt:
        print(safe(task.prompt) + "\n")

    def show(_: Any, turn: Turn) -> None:
        print(safe(turn.observation.text))
        print(f"> {safe(turn.completion.text)}" + (f"    [reward {turn.reward:g}]" if turn.reward else "") + "\n")

    try:
        with HostPool(env, options) as hosts:
            (played,) = collect(attempts([task], 1, seed), env=env, policy=player, hosts=hosts, on_turn=show)
    finally:
        player.close()
    if played.error is not None:
        raise InfraError(f"{env}: {played.error}")
    if played.final is not None:
        print(safe(played.final.text))
    return played
