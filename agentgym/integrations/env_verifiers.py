# pyright: basic, reportMissingImports=false
"""Our environments as a verifiers environment: a taskset, and an `Env` in which our world plays the user.

verifiers finds plug-ins as top-level modules, so make one of your own, say `worlds.py`:

    from agentgym.integrations.env_verifiers import AgentgymEnv, AgentgymTaskset

    __all__ = ["AgentgymEnv", "AgentgymTaskset"]

and run it with taskset id `worlds`, and `env`, `split` and `size` as the taskset's own settings. Written against and
tested with verifiers 0.4.0 (its `v1` stack). Unlike the other integrations this module needs its package to be
imported, for verifiers reads settings from class bodies. The reply as a whole is read with the environment's dialect,
or with the one in `dialect`; an unreadable one is answered and costs a turn. The reward `outcome` is recorded where the
episode ended by the world's rules or by a limit; after a fault of the provider or of the world there is none, and the
episode counts as failed, not as 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf
from pydantic import Field

from agentgym import dialects, registry
from agentgym.errors import InfraError
from agentgym.integrations.env_seat import Menu, Seat

__all__ = ["AgentgymEnv", "AgentgymTaskset"]


class AgentgymConfig(vf.TasksetConfig):
    """Which tasks."""

    env: str = "keydoor-v0"
    """Id of the environment."""
    split: str = "train"
    size: int | None = None
    """How many tasks; all if `None`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of the environment and its tasks."""
    max_turns: int | None = None
    """Turns of an episode; the environment's own number if `None`."""
    dialect: str | None = None
    """How replies are read; the environment's own way if `None`."""


class AgentgymData(vf.TaskData):
    """A task, by its number: what it holds (answers) is not sent."""

    menu: dict[str, Any]
    split: str
    index: int
    dialect: str


class AgentgymTask(vf.Task[AgentgymData, vf.State, vf.TaskConfig]):
    """A task; the environment scores it."""


class AgentgymTaskset(vf.Taskset[AgentgymTask, AgentgymConfig]):
    """The tasks of one of our environments."""

    def load(self) -> Iterator[AgentgymTask]:
        """The tasks in order.

        Raises:
            UsageError: there is no such environment, split, option or dialect.
        """
        config = self.config
        menu = {"env": config.env, "max_turns": config.max_turns, "options": config.options}
        dialect = dialects.get(config.dialect or registry.spec(config.env).dialect)
        for index, task in enumerate(Menu(**menu).tasks(config.split)[: config.size]):
            prompt = "\n\n".join(part for part in (task.prompt, dialect.instructions) if part)
            yield AgentgymTask(
                AgentgymData(
                    id=task.id,
                    name=task.id,
                    system_prompt=prompt or None,
                    menu=menu,
                    split=config.split,
                    index=index,
                    dialect=dialect.name,
                ),
                config.task,
            )


class AgentgymEnvConfig(vf.EnvConfig):
    """Who plays."""

    player: vf.AgentConfig = vf.AgentConfig()


class AgentgymEnv(vf.Env[AgentgymEnvConfig]):
    """One player in one of our worlds, which is stepped in this process."""

    async def run(self, task: Any, agents: Any) -> None:
        """Play one episode.

        Raises:
            InfraError: the world broke; verifiers records the episode as failed.
        """
        data = task.data
        seat, dialect = Seat(Menu(**data.menu)), dialects.get(data.dialect)
        try:
            text = seat.begin(seat.menu.task(data.split, data.index))
            if seat.broken:
                raise InfraError(seat.broken)
            async with agents.player.interaction(task) as interaction:
                segment = await interaction.turn(text)
                while not segment.terminated:
                    read = dialect.parse(segment.last_reply)
                    if read.action is None:
                        text = seat.skip(dialect.reply(read.fault or "format"))
                    else:
                        text = seat.act(read.action).observation.text
                    if seat.over:
                        break
                    segment = await interaction.turn(text)
            if seat.broken:
                raise InfraError(seat.broken)
            trace = interaction.trace
            if not trace.errors:
                trace.record_reward("outcome", float(seat.score or 0.0), 1.0)
                trace.record_metric("success", float(seat.success))
                trace.record_metric("world_turns", float(seat.turns))
        finally:
            seat.close()
