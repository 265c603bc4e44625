"""Our environments as OpenEnv servers: over HTTP and WebSocket, for any OpenEnv client.

    python -m agentgym.integrations.env_openenv keydoor-v0 --port 8000

Written against and tested with openenv 0.10.0. An action is `{"action": "take key"}`; an observation has `text`,
`actions` (where the world lists them), `prompt` (at the start) and, in `metadata`, `success` and the fault if there was
one. Splits and task numbers are OpenEnv's task interface: `reset(split="heldout", index=3)`. After an infra error the
episode is done, its reward is null, and `metadata` says what broke. The data of tasks (answers) is never sent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentgym.errors import UsageError
from agentgym.integrations.common import need
from agentgym.integrations.env_seat import Menu, Seat
from agentgym.serving import asgi, open_door
from agentgym.tasks import SPLITS

SAID = ("success", "fault", "progress", "ending", "rewards", "broken")
"""What of a step's info goes over the wire."""
LISTED = 1000
"""Most tasks in one list; `num_tasks` tells the true number."""


class Served:
    """What OpenEnv's server calls; mixed in before its `Environment`."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    _menu: Menu
    _observation: Any
    _state: Any

    def __init__(self) -> None:
        parent: Any = super()
        parent.__init__()
        self._seat = Seat(self._menu)
        self._episode: str | None = None

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        split: str = "train",
        index: int | None = None,
        **_: Any,
    ) -> Any:
        """Start an episode.

        Args:
            seed: of the episode; without `index` it also chooses the task.
            episode_id: any name, given back in `state`.
            split: of the task.
            index: of the task in its split.

        Raises:
            UsageError: there is no such task.
        """
        if index is None:
            index = (seed or 0) % len(self._menu.tasks(split))
        task = self._menu.task(split, index)
        self._episode = episode_id
        text = self._seat.begin(task, seed or 0)
        broken = {"broken": self._seat.broken} if self._seat.broken else {}
        return self._observation(
            text=text, prompt=task.prompt, done=self._seat.over, metadata={"task": task.id, **broken}
        )

    def step(self, action: Any, timeout_s: float | None = None, **_: Any) -> Any:
        """Play one turn; where it takes longer than `timeout_s` (or the deadline), the episode is broken.

        A world that plays in the server's own process cannot be interrupted: give the server a deadline.
        """
        step = self._seat.act(action.action, timeout_s)
        return self._observation(
            text=step.observation.text,
            actions=None if step.observation.actions is None else list(step.observation.actions),
            done=self._seat.over,
            reward=None if self._seat.broken else step.reward,
            metadata={k: step.info[k] for k in SAID if k in step.info},
        )

    @property
    def state(self) -> Any:
        """The episode's name and how many turns were played."""
        return self._state(episode_id=self._episode, step_count=self._seat.turns)

    def list_splits(self) -> list[str]:
        """The splits."""
        return list(SPLITS)

    def num_tasks(self, split: str) -> int:
        """How many tasks a split has."""
        return len(self._menu.tasks(split))

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        """What may be known of a task.

        Raises:
            IndexError: there is no such number; OpenEnv answers with 400.
        """
        try:
            task = self._menu.task(split, index)
        except UsageError as error:
            raise IndexError(str(error)) from error
        return {"id": task.id, "index": index, "split": split, "prompt": task.prompt}

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        """The first tasks of a split."""
        return self.get_task_range(split, 0, min(LISTED, self.num_tasks(split)))

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[dict[str, Any]]:
        """The tasks of a slice, `LISTED` at most."""
        return [self.get_task(split, i) for i in range(self.num_tasks(split))[start:stop][:LISTED]]

    def close(self) -> None:
        """Close the environment."""
        self._seat.close()


def environment(
    env: str, max_turns: int | None = None, step_deadline: float | None = None, **options: Any
) -> tuple[Callable[[], Any], Any, Any]:
    """One of our environments as classes of OpenEnv.

    Args:
        env: its id.
        max_turns: turns of an episode; the environment's own number if `None`.
        step_deadline: seconds for one step, after which the environment's process is killed and the episode is broken.
            With one, and for environments whose spec asks for a process (60 seconds), every session has a process of
            its own; else they play in the server's.
        **options: of the environment and its tasks.

    Returns:
        The environment's class, the class of its actions, and that of its observations.

    Raises:
        UsageError: OpenEnv is not installed, or there is no such environment or option.
    """
    types, interfaces = need("openenv.core.env_server.types", "openenv"), need("openenv.core.env_server", "openenv")
    create: Any = need("pydantic", "pydantic").create_model
    menu = Menu(env, max_turns, options, step_deadline)
    menu.tasks("train")
    action = create("TextAction", __base__=types.Action, action=(str, ...))
    observation = create(
        "TextObservation",
        __base__=types.Observation,
        text=(str, ""),
        prompt=(str, ""),
        actions=(list[str] | None, None),
    )
    parts = {"_menu": menu, "_observation": observation, "_state": types.State, "__doc__": f"{env} of agentgym."}
    return type("TextEnvironment", (Served, interfaces.Environment), parts), action, observation


def app(
    env: str, max_turns: int | None = None, sessions: int = 64, step_deadline: float | None = None, **options: Any
) -> Any:
    """A FastAPI application that serves one of our environments.

    Args:
        env: its id.
        max_turns: turns of an episode; the environment's own number if `None`.
        sessions: most WebSocket sessions at once, an environment each.
        step_deadline: as for `environment`.
        **options: of the environment and its tasks.

    Raises:
        UsageError: as `environment`.
    """
    made, action, observation = environment(env, max_turns, step_deadline, **options)
    server = need("openenv.core.env_server", "openenv")
    return server.create_fastapi_app(made, action, observation, max_concurrent_envs=sessions)


def main(arguments: list[str] | None = None) -> None:
    """Serve an environment until interrupted."""
    parser = argparse.ArgumentParser(description="Serve one of agentgym's environments to OpenEnv clients.")
    parser.add_argument("env")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--token-file", type=Path, help="has the token; made where there is none")
    parser.add_argument("--no-token", action="store_true", help="let in every process of this machine")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-turns", type=int)
    parser.add_argument("--step-deadline", type=float, help="seconds for one step, in a process that can be killed")
    given = parser.parse_args(arguments)
    need("uvicorn", "openenv")
    door, said = open_door(given.host, given.token_file, given.no_token)
    served = app(given.env, given.max_turns, step_deadline=given.step_deadline)
    print(said, file=sys.stderr)
    config = asgi.configured(served, door, given.port)
    need("uvicorn", "openenv").Server(config).run()


if __name__ == "__main__":
    main()
