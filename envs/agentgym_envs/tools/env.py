"""`ToolEnv`: a user asks, the model calls tools and answers, the state of the world decides.

A subclass gives the world of a task; that is all it must do:

    class Shop(ToolEnv):
        def world(self, task, rng):
            shop = ShopBackend(task.data["shop"])
            pay = ToolCall("pay", {"amount": 3})
            return World({"shop": shop}, [UserTurn("Pay 3 euros.", calls=[[pay]])])

An action that is a JSON object with `name` and `arguments`, or a list of such, is calls of tools (all dialects that
know calls give that); anything else is a message to the user. A message ends the user's turn: the state must then be
what the reference calls would have led to, and the message must have the answer where one was asked for. Then the user
says the next thing, or the episode is over.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from agentgym.dialects import ToolCall, calls_in
from agentgym.env import TextEnv
from agentgym.errors import UsageError
from agentgym.tools import Show, Toolbox, ToolResult, guard, lines
from agentgym.tools.toolbox import CAP, DEADLINE
from agentgym.types import Observation, Step, Task
from agentgym_envs.tools import rewards
from agentgym_envs.tools.world import UserTurn, World

COMPONENTS = ("state", "calls", "order", "efficiency", "side_effects")
"""Reward components of every tool environment, for `EnvSpec.components`."""
NOTHING = dict.fromkeys(COMPONENTS, 0.0)
PLAIN = {str, int, float, bool}
OURS = ("unknown-tool", "arguments")
"""Faults of a call that are the model's mistake."""


class Played(NamedTuple):
    """What has happened, apart from the state of the back ends."""

    turn: int = 0
    """Which of the user's turns it is."""
    matched: tuple[bool, ...] = ()
    """Which of the turn's reference calls were made."""
    earlier: int = 0
    """Reference calls made in earlier turns of the user's."""
    tools: tuple[str, ...] | None = None
    """Names of the tools that there are; `None` for all."""
    right: bool = True
    """Whether every turn of the user's that is over ended as it should."""


class ToolEnv(TextEnv):
    """Base class of tool-calling environments. Subclasses define `world`; the other hooks are there to be overridden.

    Reward 1 at the end where everything is as the user wanted, and what `weights` adds; the outcome is 1 or 0.
    """

    check_each = True
    """Whether a turn of the user's that ends wrong ends the episode as a failure at once."""

    _now: Played
    _world: World
    _box: Toolbox

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        show: Show = "signatures",
        deadline: float | None = DEADLINE,
        cap: int = CAP,
    ) -> None:
        """Make one.

        Args:
            weights: of the reward components (`COMPONENTS`), over the default: 1 for `state`, 0 for the others.
            show: how the tools are told of in the first observation; see `agentgym.tools.describe`.
            deadline: most seconds of one call; `None` for tools that cannot hang.
            cap: most characters of one result.

        Raises:
            UsageError: a component that there is not, or a number that cannot be.
        """
        super().__init__()
        unknown = set(weights or {}) - set(COMPONENTS)
        if unknown:
            raise UsageError(f"weights: there is no component {min(unknown)!r}; known: {', '.join(COMPONENTS)}")
        self._weights = {**dict.fromkeys(COMPONENTS, 0.0), "state": 1.0, **(weights or {})}
        self._show: Show = show
        self._deadline, self._cap = deadline, cap
        Toolbox(deadline=deadline, cap=cap)  # Says now what is wrong with them.

    # What a subclass writes -----------------------------------------------------------------------------------------

    def world(self, task: Task, rng: np.random.Generator) -> World:
        """A fresh world for an episode of the task.

        Raises:
            UsageError: the task's data is not for this environment.
        """
        raise UsageError(f"{type(self).__name__} must define world(task, rng)")

    def fulfilled(self, message: str) -> bool:
        """Whether the user's turn ends as it should: the state is the reference's, the message has the answer."""
        turn, wanted = self.user_turn, self._wanted[min(self._now.turn, len(self._wanted) - 1)]
        return self._world.key() == wanted and (turn.answer is None or has(message, turn.answer))

    def reply(self, message: str) -> UserTurn | None:
        """What the user says to a message; `None` if nothing more. The next of the world's turns, unless overridden."""
        following = self._now.turn + 1
        return self._world.turns[following] if following < len(self._world.turns) else None

    # What a subclass can read ---------------------------------------------------------------------------------------

    @property
    def user_turn(self) -> UserTurn:
        """The user's turn that is going on."""
        return self._turn

    @property
    def backends(self) -> Mapping[str, Any]:
        """The live back ends."""
        return self._world.backends

    @property
    def toolbox(self) -> Toolbox:
        """The tools that can be called now."""
        return self._box

    @property
    def made(self) -> list[rewards.Call]:
        """All calls of the episode so far, those that failed included."""
        return list(self._made)

    # The environment ------------------------------------------------------------------------------------------------

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """The world, its tools, and the first thing that the user says."""
        self._world = self.world(task, rng)
        if not self._world.turns:
            raise UsageError(f"task {task.id!r}: the user must say something")
        self._every = self._world.toolbox(self._deadline, self._cap)
        self._steps = sum(len(turn.flat) + 1 for turn in self._world.turns)
        self._rehearse()
        self._now, self._actions, self._made = Played(), list[str](), list[rewards.Call]()
        return self._enter(self._world.turns[0])

    def act(self, action: str) -> Step:
        """Execute calls, or give a message to the user."""
        calls = calls_in(action)
        if calls:
            self._actions.append(action)
            self._made += _pairs(calls)
            return self._called(calls)
        message = action.strip()
        if not message:
            return self._fault("empty", "Call a tool, or write a message to the user.")
        return self._said(message)

    def oracle(self) -> str | None:
        """The reference calls of the user's turn that were not made yet, group by group; then its message."""
        missing = iter(self._now.matched)
        for together in self._turn.calls:
            left = [call.canonical() for call in together if not next(missing)]
            if left:
                return left[0] if len(left) == 1 else f"[{', '.join(left)}]"
        return self._turn.says

    def snapshot(self) -> Any:
        """The back ends' attributes, and what has happened as plain values."""
        return self._world.freeze(), tuple(self._now), self._turn, tuple(self._actions)

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot of the same task; the episode is open again."""
        frozen, now, self._turn, actions = snapshot
        self._world.thaw(frozen)
        self._now, self._actions = Played(*now), list(actions)
        self._made = [pair for action in self._actions for pair in _pairs(calls_in(action))]
        self._resume()
        self._open = True
        return self._look("user", guard(self._turn.text), self._box.schemas())

    # ----------------------------------------------------------------------------------------------------------------

    def _rehearse(self) -> None:
        """Play the reference: the state after each of the user's turns, and which of its calls the tools refuse."""
        frozen = self._world.freeze()
        self._before = self._world.written()
        self._wanted: list[str] = []
        self._fine: list[list[bool]] = []
        for turn in self._world.turns:
            self._fine.append([result.ok for result in self._every.call_all(turn.flat)])
            self._wanted.append(self._world.key())
        self._goal = self._world.written()
        self._world.thaw(frozen)

    def _enter(self, turn: UserTurn) -> Observation:
        """The user says something."""
        self._turn = turn
        first = self._now.turn == 0
        named = self._now.tools if turn.tools is None else tuple(turn.tools)
        self._now = self._now._replace(matched=(False,) * len(turn.flat), tools=named)
        self._resume()
        text, schemas = guard(turn.text), None
        if first or turn.tools is not None:
            schemas = self._box.schemas()
            told = self._box.described(self._show)
            head = "Tools:" if first else "The tools are now:"
            text = f"{head}\n{told}\n\n{text}" if told else text
        return self._look("user", text, schemas)

    def _resume(self) -> None:
        """What follows from the user's turn: the tools that there are, the reference as plain values."""
        self._right = [(call.name, json.loads(json.dumps(call.arguments))) for call in self._turn.flat]
        self._box = self._every if self._now.tools is None else self._every.only(self._now.tools)

    def _called(self, calls: Sequence[ToolCall]) -> Step:
        made = [{"name": call.name, "arguments": _copy(call.arguments)} for call in calls]
        results = self._box.call_all(calls)
        if False in self._now.matched:
            self._match(calls, results)
        faults = Counter([result.fault for result in results if result.fault])
        told: dict[str, Any] = {"calls": made, "rewards": dict(NOTHING), "progress": self._progress()}
        if faults:
            told["tool_faults"] = dict(faults)
        seen = self._look("tool", lines(results))
        mine = next((fault for fault in OURS if faults[fault]), None)
        return Step.fault(seen, mine, **told) if mine else Step.on(seen, **told)

    def _match(self, calls: Sequence[ToolCall], results: Sequence[ToolResult]) -> None:
        matched = list(self._now.matched)
        fine = self._fine[self._now.turn] if self._now.turn < len(self._fine) else [True] * len(matched)
        for call, result in zip(calls, results, strict=True):
            for i, (name, arguments) in enumerate(self._right):
                # The cheap comparison first: it only errs in taking 1 for true.
                if matched[i] or name != call.name or arguments != call.arguments or result.ok < fine[i]:
                    continue
                if rewards.same(arguments, call.arguments):
                    matched[i] = True
                    break
        if matched != list(self._now.matched):
            self._now = self._now._replace(matched=tuple(matched))

    def _said(self, message: str) -> Step:
        """The model has written to the user: the user's turn is over."""
        right = self.fulfilled(message)
        following = self.reply(message)
        now = self._now._replace(right=self._now.right and right)
        if following is None or (self.check_each and not right):
            self._now = now
            return self._end()
        self._now = now._replace(turn=now.turn + 1, earlier=now.earlier + sum(now.matched))
        seen = self._enter(following)
        return Step.on(seen, rewards=dict(NOTHING), calls=[], progress=self._progress())

    def _end(self) -> Step:
        won = self._now.right
        scores = self.scores(won)
        paid = {name: self._weights[name] * value for name, value in scores.items()}
        told = {"rewards": paid, "scores": scores, "calls": [], "outcome": float(won), "progress": self._progress(won)}
        seen = self._look("user", "The task is done." if won else "The task was not done as asked.")
        step = Step.success if won else Step.failure
        return step(seen, sum(paid.values()), **told)

    def scores(self, won: bool) -> dict[str, float]:
        """The reward components of the episode that ends, not weighted."""
        made, after = self._made, self._world.written()
        reference = [(call.name, call.arguments) for turn in self._world.turns for call in turn.flat]
        return {
            "state": float(won),
            "calls": rewards.call_correctness(made, reference),
            "order": rewards.order(made, reference),
            "efficiency": won * rewards.efficiency(len(made), len(reference)),
            "side_effects": side_effects(self._before, after, self._goal),
        }

    def _fault(self, fault: str, text: str) -> Step:
        told = {"rewards": dict(NOTHING), "calls": [], "progress": self._progress()}
        return Step.fault(self._look("user", text), fault, **told)

    def _progress(self, won: bool = False) -> float:
        """Reference calls made and turns of the user's answered, of all of them; 1 only at a success."""
        if won:
            return 1.0
        now, steps = self._now, self._steps
        return min(now.earlier + sum(now.matched) + now.turn, steps - 1) / steps

    def _look(self, role: Any, text: str, schemas: tuple[Mapping[str, Any], ...] | None = None) -> Observation:
        task = self.task.id if self.task else ""
        key = f"{task}|{self._now.turn}|{'' if self._now.right else 'wrong'}|{self._world.key()}"
        return Observation(text, role=role, state=key, tools=schemas)


def _pairs(calls: Sequence[ToolCall]) -> list[rewards.Call]:
    """Calls as the rewards have them; a tool that keeps and changes an argument changes nothing here."""
    return [(call.name, _copy(call.arguments)) for call in calls]


def side_effects(before: bytes, after: bytes, goal: bytes) -> float:
    """`rewards.side_effects` of states that are written down: nearly all episodes that end well end at the goal."""
    return 0.0 if after == goal else rewards.side_effects(*map(json.loads, (before, after, goal)))


def _copy(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as they were given: a tool may keep a list and change it."""
    return {k: v if type(v) in PLAIN else deepcopy(v) for k, v in arguments.items()}


def has(message: str, answer: str) -> bool:
    """Whether a message says an answer: as whole words, whatever the case, spaces or full stops.

    >>> has("It costs 12.50 euros.", "12.50"), has("It costs 112.50 euros.", "12.50")
    (True, False)
    """
    words, wanted = (f" {' '.join(_word(w) for w in text.casefold().split())} " for text in (message, answer))
    return bool(wanted.strip()) and wanted in words


def _word(word: str) -> str:
    return word.strip(".,;:!?\"'()[]{}*`")
