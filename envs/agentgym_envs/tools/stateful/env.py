"""The environment: a request, five back ends, a user who can be asked, and a goal that is checked on the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from agentgym.dialects import ToolCall
from agentgym.errors import AgentgymError, UsageError
from agentgym.types import Step, Task
from agentgym_envs.tools import rewards
from agentgym_envs.tools.env import COMPONENTS, ToolEnv
from agentgym_envs.tools.stateful.backend import Refused
from agentgym_envs.tools.stateful.domains import READS, Domains, view
from agentgym_envs.tools.stateful.user import User, declines, says
from agentgym_envs.tools.world import UserTurn, World

DECLINED = "I cannot do that: there is no tool for it. I have changed nothing."
NEEDS = ("state", "tools", "request", "calls")
"""Keys of a task's data that must be there; `answer`, `gone` and `fact` may be."""


class Stateful(ToolEnv):
    """One request of the user's; questions in between are answered.

    It succeeds where, at the last message, the state says what the reference would have left behind (identifiers and
    order do not count, anything else does: what was not asked for fails it), and the message has the answer, if one was
    asked for, or declines what could not be done.
    """

    def world(self, task: Task, rng: np.random.Generator) -> World:
        """Back ends in the task's state, with the tools that it lists, and the user."""
        data = task.data
        try:
            state, names, request, calls = (data[key] for key in NEEDS)
            self._reference = [ToolCall(str(call["name"]), dict(call["arguments"])) for call in calls]
            self._domains = Domains(state)
            tools = [self._domains.method(str(name)) for name in names]
            user = User(data.get("fact"))
        except (KeyError, TypeError, ValueError, AgentgymError) as error:
            raise UsageError(f"task {task.id!r} is not of tools-stateful: {error}") from error
        self._fact: Mapping[str, Any] | None = data.get("fact")
        self._gone, answer = bool(data.get("gone")), data.get("answer")
        says = DECLINED if self._gone else "Done." if answer is None else f"Done. The answer is {answer}."
        turn = UserTurn(str(request), [[call] for call in self._reference], says, answer)
        self._start = view(state)
        self._want = self._after(state, self._reference)
        self._places = rewards.changes(self._start, self._want)
        backends: dict[str, Any] = {**self._domains.backends, "user": user}
        return World(backends, [turn], tools)

    def fulfilled(self, message: str) -> bool:
        """Whether nothing is left to do, nothing else was done, and the message says what it should."""
        answer = self.user_turn.answer
        told = self.task.prompt if self.task is not None else ""
        said = declines(message, told) if self._gone else answer is None or says(message, str(answer))
        return said and self._view() == self._want

    def scores(self, won: bool) -> dict[str, float]:
        """The components; side effects are counted in what the state says, not in its identifiers."""
        effects = rewards.side_effects(self._start, self._view(), self._want)
        return {**super().scores(won), "side_effects": effects}

    def oracle(self) -> str | None:
        """Ask what only the user knows; then the reference calls that were not made, if they still lead to the goal;
        then the last message. `None` once there is no way left."""
        if self._fact is not None and not self._user.told:
            return str(self._fact["question"]) if self._user.questions < 3 else None
        state = {name: backend.state for name, backend in self.backends.items() if name != "user"}
        left = [call for call, made in zip(self._reference, self._now.matched, strict=True) if not made]
        return super().oracle() if self._after(state, left) == self._want else None

    def _said(self, message: str) -> Step:
        told = self._user.asked(message)
        if told is None:
            return super()._said(message)
        nothing = dict.fromkeys(COMPONENTS, 0.0)
        return Step.on(self._look("user", told), rewards=nothing, calls=[], progress=self._progress())

    def _progress(self, won: bool = False) -> float:
        """Share of the sub-goals reached: places of the state that had to change and are as they should be, things
        looked up as in the reference, the user asked, and the end."""
        if won:
            return 1.0
        looks = [m for c, m in zip(self._reference, self._now.matched, strict=True) if c.name in READS]
        asked = [self._user.told] if self._fact is not None else []
        reached = len(self._places - rewards.changes(self._view(), self._want)) + sum(looks) + sum(asked)
        return reached / (len(self._places) + len(looks) + len(asked) + 1)

    @property
    def _user(self) -> User:
        return cast(User, self.backends["user"])

    def _view(self) -> dict[str, Any]:
        return view({name: backend.state for name, backend in self.backends.items() if name != "user"})

    def _after(self, state: Mapping[str, Any], calls: list[ToolCall]) -> dict[str, Any]:
        """What a state says after calls; those that are refused change nothing."""
        domains = Domains(state)
        for call in calls:
            try:
                domains.method(call.name)(**call.arguments)
            except Refused:
                continue
        return domains.view()
