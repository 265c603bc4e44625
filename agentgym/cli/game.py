"""One episode that a person plays: turns, hints, what is taken back, and the record. Nothing here prints or reads."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentgym import dialects, registry
from agentgym.dialects import calls_in
from agentgym.env import Ability
from agentgym.types import Completion, Ending, Step, Task, Trajectory, Turn

CALL = re.compile(r"[A-Za-z_][\w.\-]*\(.*\)", re.DOTALL)


@dataclass
class Game:
    """One episode in this process: it is the person who waits for the environment, and who can stop it."""

    env: str
    task: Task
    seed: int
    options: Mapping[str, Any]
    dialect: str
    turns: list[Turn] = field(default_factory=list[Turn])
    ending: Ending | None = None
    """How it ended, once it has."""
    error: str | None = None
    hint: str | None = None
    """What was hinted at since the last turn."""

    def __post_init__(self) -> None:
        self.spec = registry.spec(self.env)
        self.world = registry.make(self.env, **self.options)
        self.began = time.monotonic()
        self._undone = 0
        self._outcome: float | None = None
        self._kept: list[Any] = []
        self.observation = self.world.reset(seed=self.seed, options={"task": self.task})[0]
        self.tools = self.observation.tools or ()
        """What can be called, as the environment said last."""

    def act(self, said: str) -> Step | None:
        """Play a turn; `None` where the world broke."""
        text, action = spoken(said, self.dialect, bool(self.tools))
        if Ability.SNAPSHOT in self.spec.abilities:
            self._kept.append(copy.deepcopy(self.world.snapshot()))
        began = time.perf_counter()
        try:
            step = self.world.step(action)
        except Exception as error:
            self.ending, self.error = Ending.INFRA_ERROR, f"{type(error).__name__}: {error}"
            return None
        info = {key: value for key, value in step.info.items() if key != "rewards"}
        if self.hint is not None:
            info["hint"] = self.hint
        if self._undone:
            info["undone"] = self._undone
        self.hint, self._undone = None, 0
        took = time.perf_counter() - began
        rewards: Mapping[str, float] = step.info.get("rewards") or {}
        turn = Turn(self.observation, Completion(text), action, float(step.reward), rewards, info, took)
        self.turns.append(turn)
        self.observation = step.observation
        self.tools = step.observation.tools or self.tools
        if "outcome" in step.info:
            self._outcome = float(step.info["outcome"])
        if step.terminated or step.truncated:
            self.ending = _ending(step)
        elif self.left == 0:
            self.ending = Ending.OUT_OF_TURNS
        return step

    @property
    def left(self) -> int:
        """Turns that are left."""
        return self.spec.max_turns - len(self.turns)

    @property
    def progress(self) -> float | None:
        """Share of sub-goals reached, where the environment says it."""
        said = [turn.info["progress"] for turn in self.turns if turn.info.get("progress") is not None]
        return float(said[-1]) if said else None

    def undo(self) -> str:
        """Take the last turn back; what to tell the person."""
        if not self.turns:
            return "nothing has been played yet"
        if Ability.SNAPSHOT in self.spec.abilities:
            self.world.restore(self._kept.pop())
        elif Ability.DETERMINISTIC in self.spec.abilities:
            self.world.reset(seed=self.seed, options={"task": self.task})
            for turn in self.turns[:-1]:
                self.world.step(turn.action or "")
        else:
            return f"{self.env} can neither restore a state nor play the same again: no turn can be taken back"
        # What was seen then, to the word: a restored environment may leave out what the last action had brought.
        self.observation = self.turns.pop().observation
        self._undone += 1
        return "the last turn is taken back"

    def oracle(self) -> str:
        """The oracle's next action, marked in the next turn's info; what to tell the person."""
        if Ability.ORACLE not in self.spec.abilities:
            return f"{self.env} has no oracle"
        found = self.world.oracle()
        if found is None:
            return "the oracle sees no way from here"
        self.hint = found
        return f"hint: {found}"

    def trajectory(self) -> Trajectory:
        """The record of what was played. Whoever gives up has cut the episode off, which is no failure at the task."""
        ending = self.ending or Ending.OUT_OF_TIME
        total = sum(turn.reward for turn in self.turns)
        return Trajectory(
            id=f"play:{self.task.id}",
            env=self.env,
            task_id=self.task.id,
            group=f"play:{self.task.id}",
            attempt=0,
            seed=self.seed,
            turns=tuple(self.turns),
            ending=ending,
            final=self.observation,
            score=total if self._outcome is None else self._outcome,
            success=ending is Ending.SUCCESS,
            error=self.error,
            seconds=time.monotonic() - self.began,
            split=self.task.split,
        )


def spoken(said: str, dialect: str, tools: bool = False) -> tuple[str, str]:
    """What a person typed as a model would have said it, and the action that it stands for.

    Where there are tools, a call may be typed as JSON (`{"name": ..., "arguments": ...}`), as `name(key=value)`, or in
    the words of the environment's dialect.

    >>> spoken("left", "action-tag")
    ('<action>left</action>', 'left')
    """
    form = dialects.get(dialect)
    calls = calls_in(said) if tools else ()
    if calls:
        plain = [{"arguments": dict(call.arguments), "name": call.name} for call in calls]
        action = json.dumps(plain[0] if len(plain) == 1 else plain, sort_keys=True)
        return form.render(action), action
    if tools and CALL.fullmatch(said):
        found = dialects.get("pythonic").parse(f"[{said}]")
        if found.action is not None and found.calls:
            return form.render(found.action), found.action
    parsed = form.parse(said)
    return (form.render(said), said) if parsed.action is None else (said, parsed.action)


def _ending(step: Step) -> Ending:
    if step.terminated:
        return Ending.SUCCESS if step.info.get("success") else Ending.FAILURE
    named = step.info.get("ending")
    return Ending(named) if named in set(Ending) else Ending.OUT_OF_TURNS
