"""What is fuzzed: bytes become an episode, and whatever the bytes, every step must be a step."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from agentgym import dialects
from agentgym.certify.worker import Job
from agentgym.check.basics import valid_step
from agentgym.check.hostile import BOMBS, CODE, MARKERS, ODD, PATHS
from agentgym.check.subject import Broken, deadline, score_of, shown
from agentgym.dialects import ToolCall
from agentgym.env import Ability, TextEnv
from agentgym.types import Observation, Step, Task

STEP_SECONDS = 5.0
"""Most time for one step under fuzzing."""
TURNS = 40
"""Most steps of a fuzzed episode."""
LENGTH = 512
"""Most bytes that become an episode."""
HOSTILE = (*MARKERS, *PATHS, *CODE, *ODD, *(bomb[:600] for bomb in BOMBS))


class Bytes:
    """Reads choices from bytes; zeros once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """Bytes that nobody has read."""
        return len(self._data) - self._at

    def below(self, count: int) -> int:
        """A number under `count` (at most 256 of them are told apart)."""
        if not self.left:
            return 0
        self._at += 1
        return self._data[self._at - 1] % max(1, count)

    def take(self, count: int) -> bytes:
        """Up to so many bytes."""
        found = self._data[self._at : self._at + count]
        self._at += len(found)
        return found


def action_from(bytes_: Bytes, observation: Observation, env: TextEnv, oracle: bool, tools: Sequence[Any]) -> str:
    """One action: admissible, the oracle's, words of the world, a tool call in some dialect, a known nasty, or raw."""
    listed, kind = observation.actions or (), bytes_.below(8)
    if kind in (0, 1):
        return listed[bytes_.below(len(listed))] if listed else _call(bytes_, observation, tools)
    if kind == 2 and oracle:
        return env.oracle() or ""
    if kind == 3:
        words = observation.text.split()[:256] or ["look"]
        return " ".join(words[bytes_.below(len(words))] for _ in range(1 + bytes_.below(4)))
    if kind in (4, 5):
        return _call(bytes_, observation, tools)
    if kind == 6:
        return HOSTILE[bytes_.below(len(HOSTILE))]
    text = bytes_.take(1 + bytes_.below(32))
    # Every byte string is some text: valid UTF-8 as it is, the rest as lone surrogates.
    return text.decode("utf-8", "surrogateescape")


def _call(bytes_: Bytes, observation: Observation, tools: Sequence[Any]) -> str:
    tool: Any = tools[bytes_.below(len(tools))] if tools else {}
    tool = tool.get("function", tool)
    schema: dict[str, Any] = tool.get("parameters") or {}
    words = observation.text.split()[:256] or ["x"]
    values: tuple[Callable[[], Any], ...] = (
        lambda: words[bytes_.below(len(words))], lambda: bytes_.below(256) - 128, lambda: bool(bytes_.below(2)),
        lambda: None, lambda: [words[bytes_.below(len(words))]], lambda: {"x": bytes_.below(9)}, lambda: 1e308,
        lambda: bytes_.take(8).decode("latin-1"),
    )  # fmt: skip
    arguments: dict[str, Any] = {}
    for name in list(schema.get("properties") or ("query", "answer"))[:8]:
        if bytes_.below(8):
            arguments[str(name)] = values[bytes_.below(len(values))]()
    call = ToolCall(str(tool.get("name") or words[0]), arguments).canonical()
    if bytes_.below(3):
        return call
    names = list(dialects.DIALECTS)
    return dialects.DIALECTS[names[bytes_.below(len(names))]].render(call)


class Target:
    """One environment, played by bytes."""

    def __init__(self, job: Job) -> None:
        self.job, self.subject = job, job.subject
        self.env = self.subject.make()
        self.oracle = self.subject.claims(Ability.ORACLE)
        self.alarm = True
        """Whether alarms may be used; libFuzzer has its own."""
        self.runs = self.steps = 0
        self.kinds: set[str] = set()
        """Faults and endings that were met: what there is to see, seen."""

    def play(self, data: bytes) -> None:
        """One episode.

        Raises:
            Exception: whatever the environment raises, or `Broken` for a step that is none.
        """
        bytes_ = Bytes(data)
        task, seed = self.subject.tasks[bytes_.below(len(self.subject.tasks))], bytes_.below(8)
        self.task, self.seed, self.actions = task, seed, list[str]()
        self.runs += 1
        observation, steps = self._reset(task, seed), list[Step]()
        tools = observation.tools or ()  # Many an environment lists them once.
        while bytes_.left and len(steps) < TURNS:
            action = action_from(bytes_, observation, self.env, self.oracle, tools)
            step = self._step(action)
            steps.append(step)
            observation, tools = step.observation, step.observation.tools or tools
            if step.terminated or step.truncated:
                break
        self._sane(steps)

    def replay(self, task: Task, seed: int, actions: Sequence[str]) -> None:
        """Given actions instead of bytes; raises as `play`."""
        self.task, self.seed, self.actions = task, seed, list[str]()
        self._reset(task, seed)
        steps: list[Step] = []
        for action in actions:
            steps.append(self._step(action))
            if steps[-1].terminated or steps[-1].truncated:
                break
        self._sane(steps)

    @contextmanager
    def _deadline(self, seconds: float, what: str) -> Generator[None]:
        if self.alarm:
            with deadline(seconds, what):
                yield
            return
        begin = time.monotonic()
        yield
        if time.monotonic() - begin > seconds:
            raise Broken(f"{what} took {time.monotonic() - begin:.1f} s, more than {seconds:g}")

    def _reset(self, task: Task, seed: int) -> Observation:
        with self._deadline(self.job.settings.reset_deadline, "reset"):
            return self.env.reset(seed=seed, options={"task": task})[0]

    def _step(self, action: str) -> Step:
        self.actions.append(action)
        where = f"action {shown(action)}"
        with self._deadline(min(STEP_SECONDS, self.job.settings.step_deadline), where):
            step: Any = self.env.step(action)
        valid_step(step, where)
        self.steps += 1
        self.kinds.add(str(step.info.get("fault", "")))
        return step

    def _sane(self, steps: list[Step]) -> None:
        if self.oracle and steps and score_of(steps) > 1.0 + 1e-6:
            raise Broken(f"scores {score_of(steps)}, more than the solution")


def replay(job: Job) -> None:
    """Play bytes or actions again, and say what breaks."""
    target, case = Target(job), job.args["case"]
    job.at("the case", job.settings.reset_deadline + job.settings.step_deadline)
    try:
        if "data" in case:
            target.play(bytes.fromhex(case["data"]))
        else:
            target.replay(_task(job, case), int(case["seed"]), list(case["actions"]))
    except Exception as error:
        told = {"task": target.task.id, "seed": target.seed, "actions": target.actions}
        job.say(broke=True, what=_what(error), kind=type(error).__name__, case=told)


def shrink(job: Job) -> None:
    """Leave out actions, then parts of actions, as long as it breaks in the same way; each smaller case is told."""
    target, case, kind = Target(job), job.args["case"], job.args["kind"]
    task, actions = _task(job, case), list[str](case["actions"])
    until = time.monotonic() + float(job.args["seconds"])

    def breaks(candidate: list[str]) -> bool:
        job.at("a smaller case", job.settings.reset_deadline + job.settings.step_deadline)
        try:
            target.replay(task, int(case["seed"]), candidate)
        except Exception as error:
            if type(error).__name__ == kind:
                job.say(smaller={**case, "actions": candidate}, what=_what(error))
                return True
        return False

    smaller = True
    while smaller and time.monotonic() < until:
        smaller = False
        for candidate in _smaller(actions):
            if time.monotonic() > until:
                break
            if breaks(candidate):
                actions, smaller = candidate, True
                break


def _smaller(actions: list[str]) -> Iterator[list[str]]:
    """Candidates, the smallest first: without runs of actions, then with shorter ones."""
    size = len(actions)
    while size := size // 2:
        for i in range(0, len(actions), size):
            yield actions[:i] + actions[i + size :]
    for i, action in enumerate(actions):
        half = len(action) // 2
        for part in dict.fromkeys((action[:half], action[half:], action[:-1], action[1:])):
            if len(part) < len(action):
                yield [*actions[:i], part, *actions[i + 1 :]]


def _what(error: Exception) -> str:
    return str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {str(error)[:300]}"


def _task(job: Job, candidate: dict[str, Any]) -> Task:
    subject = job.subject
    for task in subject.tasks:
        if task.id == candidate["task"]:
            return task
    for tasks in (subject.train, subject.heldout):
        for task in tasks:
            if task.id == candidate["task"]:
                return task
    raise Broken(f"there is no task {candidate['task']!r}")


def case_name(case: dict[str, Any]) -> str:
    """A short name by content."""
    return hashlib.blake2b(json.dumps(case, sort_keys=True).encode(), digest_size=6).hexdigest()
