"""Continuations: the policy plays on from the states before the turns of trajectories, all in one rollout."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from agentgym import registry
from agentgym.env import Ability
from agentgym.errors import InfraError, UsageError
from agentgym.host import HostPool, InlineHost
from agentgym.ledger import ChatTokenizer
from agentgym.limits import Limits
from agentgym.policy import Policy, Sampling
from agentgym.progress import Progress, Silent
from agentgym.rollout import Attempt, Prefix, collect
from agentgym.seeding import derive
from agentgym.types import Ending, Task, Trajectory, Turn

Restore = Literal["auto", "replay", "snapshot"]


class Place(NamedTuple):
    """A moment of an episode: where the history so far is the same, continuations are shared."""

    history: str
    """Fingerprint of the task, the seed and all that was said."""


@dataclass
class Scores:
    """What continuations from one place came to."""

    scores: list[float] = field(default_factory=list[float])
    asked: int = 0
    left_out: int = 0
    """Continuations that met an infra error."""
    error: str = ""
    """Of the last of them."""


class Wanted(NamedTuple):
    """Continuations to play from before a turn of a trajectory."""

    trajectory: Trajectory
    turn: int
    number: int
    """How many there shall be, those that were played before among them."""


class Continuations:
    """Plays continuations and remembers their scores; a context manager.

    The environment gets to a state by playing the recorded actions again from the recorded seed (ability
    `deterministic`): its own chance, if it has any, is then that of the trajectory's seed in all continuations. Or a
    snapshot is restored (ability `snapshot`), in this process, after a reset with a fresh seed.

    Seeds are a function of `seed`, the trajectory's id, the turn and the continuation's number; a policy that computes
    many requests at once is called in a fixed order.
    """

    def __init__(
        self,
        env: str,
        policy: Policy,
        *,
        options: Mapping[str, Any] | None = None,
        sampling: Sampling | None = None,
        limits: Limits | None = None,
        dialect: str | None = None,
        system: str = "",
        seed: int = 0,
        restore: Restore = "auto",
        task: Callable[[Trajectory], Task] | None = None,
        slots: int = 64,
        processes: int = 2,
        progress: Progress | None = None,
    ) -> None:
        """Check what can be checked; nothing is started.

        Args:
            env: id of the environment.
            policy: who plays on; left open.
            options: of the environment.
            sampling: how tokens are drawn; at temperature 0 all continuations would be one.
            limits: of the whole episode, the turns that were played already among them.
            dialect: how text becomes an action; the environment's own if not given.
            system: put before each task's prompt, as when the trajectories were played.
            seed: of the continuations.
            restore: how the environment gets to a state; `auto` replays where it can.
            task: finds a trajectory's task; by its id among the environment's tasks if not given.
            slots: continuations in flight.
            processes: worker processes of an environment that runs in processes.
            progress: hears of every continuation that ends.

        Raises:
            UsageError: the environment can neither replay nor restore, or not in the way that was asked for.
        """
        spec = registry.spec(env)
        self.restore = how_to_restore(env, spec.abilities, restore)
        self.env, self.policy, self.seed = env, policy, seed
        self.sampling, self.limits = sampling or Sampling(), limits
        self.dialect, self.system, self.slots = dialect, system, slots
        self._progress = progress or Silent()
        self._task = task or TaskFinder(env, options or {})
        kind = "inline" if self.restore == "snapshot" else "auto"
        self._hosts = HostPool(env, dict(options or {}), kind=kind, processes=processes)
        self._found: defaultdict[Place, Scores] = defaultdict(Scores)
        self._snapshots: dict[tuple[str, int], Any] = {}
        self.played = 0
        """Continuations so far."""

    def __enter__(self) -> Continuations:
        return self

    def __exit__(self, *_: object) -> None:
        self._hosts.close()

    def at(self, trajectory: Trajectory, turn: int) -> Scores:
        """What is known of the state before a turn."""
        return self._found[place(trajectory, turn)]

    def play(self, wanted: Sequence[Wanted], label: str = "continue") -> None:
        """Play until every place has been asked for as many continuations as are wanted there in all.

        Raises:
            UsageError: a task is not there any more, or the policy broke its contract.
        """
        todo: list[Attempt] = []
        places: dict[str, Place] = {}
        for trajectory, turn, most in wanted:
            where = place(trajectory, turn)
            known = self._found[where]
            for number in range(known.asked, most):
                attempt = self._attempt(trajectory, turn, number, where)
                if attempt is None:
                    known.left_out += 1
                    continue
                todo.append(attempt)
                places[attempt.id] = where
            known.asked = max(known.asked, most)
        self._progress.start(label, len(todo))

        def one(_: Trajectory) -> None:
            self._progress.advance(1)

        ended = collect(
            todo,
            env=self.env,
            policy=self.policy,
            limits=self.limits,
            sampling=self.sampling,
            dialect=self.dialect,
            hosts=self._hosts,
            slots=self.slots,
            schedule="ordered" if self.policy.batching == "batch" else "eager",
            system=self.system,
            on_trajectory=one,
        )
        self.played += len(ended)
        for trajectory in ended:
            known = self._found[places[trajectory.id]]
            if trajectory.ending is Ending.INFRA_ERROR:
                known.left_out += 1
                known.error = trajectory.error or ""
            else:
                known.scores.append(trajectory.score)

    def _attempt(self, trajectory: Trajectory, turn: int, number: int, where: Place) -> Attempt | None:
        """One continuation; `None` where the state cannot be had."""
        seed = derive(self.seed, "branch", trajectory.id, turn, number)
        snapshot, env_seed = None, trajectory.seed
        task = self._task(trajectory)
        if self.restore == "snapshot":
            try:
                snapshot = self._snapshot(trajectory, turn, task)
            except InfraError as error:
                self._found[where].error = f"{type(error).__name__}: {error}"
                return None
            env_seed = derive(seed, "env")
        name = f"branch:{trajectory.id}@{turn}.{where.history[:8]}~{number}"
        prefix = prefix_of(trajectory, turn, self.policy.tokenizer, snapshot)
        return Attempt(name, task, f"branch:{where.history}", number, seed, env_seed, prefix)

    def _snapshot(self, trajectory: Trajectory, turn: int, task: Task) -> Any:
        """The environment's state before a turn, from playing the recorded actions once."""
        if (trajectory.id, turn) not in self._snapshots:
            for number, taken in enumerate(asyncio.run(self._walk(trajectory, task))):
                self._snapshots[trajectory.id, number] = taken
        return self._snapshots[trajectory.id, turn]

    async def _walk(self, trajectory: Trajectory, task: Task) -> list[Any]:
        host = await self._hosts.acquire()
        assert isinstance(host, InlineHost)
        broken = True
        try:
            await host.reset(task, trajectory.seed)
            taken: list[Any] = [await host.snapshot()]
            for turn in trajectory.turns[:-1]:
                if turn.action is not None:
                    await host.step(turn.action)
                taken.append(await host.snapshot())
            broken = False
            return taken
        finally:
            self._hosts.release(host, broken)


def how_to_restore(env: str, abilities: frozenset[Ability], asked: Restore = "auto") -> Literal["replay", "snapshot"]:
    """How an environment gets to a state that it was in.

    Raises:
        UsageError: in no way, or not in the way that was asked for; says which ability it lacks.
    """
    can: dict[Literal["replay", "snapshot"], Ability] = {
        "replay": Ability.DETERMINISTIC,
        "snapshot": Ability.SNAPSHOT,
    }
    for way, ability in can.items():
        if ability in abilities and asked in ("auto", way):
            return way
    lacks = "neither replay its actions nor restore a state" if asked == "auto" else f"not {asked}"
    needed = " or ".join(repr(a.value) for way, a in can.items() if asked in ("auto", way))
    raise UsageError(f"{env} can {lacks}: branching needs the ability {needed}, which its spec does not declare")


class TaskFinder:
    """Finds the task of a trajectory among the environment's."""

    def __init__(self, env: str, options: Mapping[str, Any]) -> None:
        self._env, self._options = env, options
        self._known: dict[str, dict[str, Task]] = {}

    def __call__(self, trajectory: Trajectory) -> Task:
        """The task.

        Raises:
            UsageError: there is none of that id with these options.
        """
        others = [split for split in ("train", "heldout") if split != trajectory.split]
        for split in (trajectory.split, *others):
            if split not in self._known:
                self._known[split] = {}
                with suppress(UsageError):  # An environment need not have both.
                    self._known[split] = {t.id: t for t in registry.tasks(self._env, split, **self._options)}
            if trajectory.task_id in self._known[split]:
                return self._known[split][trajectory.task_id]
        raise UsageError(
            f"{self._env} has no task {trajectory.task_id!r} with these options; give the ones that it was played with "
            "(--option name=value)"
        )


def place(trajectory: Trajectory, turn: int) -> Place:
    """The moment before a turn: equal for attempts that have gone the same way up to there."""
    said = [part for t in trajectory.turns[:turn] for part in (t.observation.text, t.completion.text, t.action)]
    whole = repr((trajectory.task_id, trajectory.seed, said, trajectory.turns[turn].observation.text))
    return Place(hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).digest().hex())


def prefix_of(trajectory: Trajectory, turn: int, chat: ChatTokenizer | None, snapshot: Any = None) -> Prefix:
    """The turns before one, as another attempt begins with them.

    Sampled ids are kept where they mean the same to the tokenizer that goes on; what another model wrote is encoded.
    """
    turns = trajectory.turns[:turn]
    if chat is not None:
        turns = tuple(t if _same_ids(t, chat) else _as_text(t) for t in turns)
    return Prefix(turns, trajectory.turns[turn].observation, snapshot)


def _same_ids(turn: Turn, chat: ChatTokenizer) -> bool:
    ids = turn.completion.tokens
    if ids is None:
        return True
    try:
        return chat.decode(ids) == turn.completion.text
    except (OverflowError, IndexError, TypeError, ValueError):
        return False


def _as_text(turn: Turn) -> Turn:
    completion = replace(turn.completion, tokens=None, logprobs=None, versions=(), prompt_tokens=0)
    return replace(turn, completion=completion)
