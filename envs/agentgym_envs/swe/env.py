"""The environment: an issue, a repository in a box, tools to work on it, and a grader that the agent cannot reach."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from agentgym.dialects import ToolCall, calls_in
from agentgym.env import TextEnv
from agentgym.errors import BoxFileError, SandboxError, UnknownNameError, UsageError
from agentgym.sandbox.base import Box
from agentgym.tools import Show, Toolbox, ToolResult, describe, guard
from agentgym.types import Ending, Observation, Step, Task
from agentgym_envs import weighing
from agentgym_envs.swe import judged, oracle, rewards
from agentgym_envs.swe.boxes import Boxes
from agentgym_envs.swe.grading import grade, patch_of, populate, spec_of
from agentgym_envs.swe.hands import Bounds
from agentgym_envs.swe.tools import Tools
from agentgym_envs.swe.trim import CHARACTERS, LINES
from agentgym_envs.swe.world import checked, located_in, look, touched

BACKENDS = ("auto", "docker", "bubblewrap")
KNOWN = tuple(name for name in vars(Tools) if not name.startswith("_"))
"""Names of the tools."""
MOST_CALLS = 8
"""Calls of one turn that are carried out."""
OURS = ("unknown-tool", "arguments")
"""Faults of a call's form; other faults are mistakes about the world."""
GRADERS = 2
"""Boxes that grading a patch takes; they are started when there is one."""
PATCH_SHOWN = 64 * 1024
"""Characters of the patch that are kept in the record."""
NO_CALL = "Nothing was done: call a tool. When the work is done, call submit."


class Played(NamedTuple):
    """What has happened, apart from what is in the box."""

    turns: int = 0
    looked: bool = False
    """Whether a file that the fix changes was looked at."""
    edited: bool = False
    """Whether such a file was changed."""
    tree: str = ""
    """Digest of the repository's files."""
    tested: str = ""
    """The digest when the tests were run last."""
    fixed: float = 0.0
    """Share of the tests to fix that the grader found fixed."""


class Swe(TextEnv):
    """Issue in, patch out. Actions are calls of tools; see `tools.Tools` for them, `actions` for the shell's form.

    The episode ends at `submit`, or after `turns` actions: the patch, and nothing else, is then graded in a box of its
    own. The outcome is 1 if every test is as it should be, else 0; what turns are paid is in `rewards`.
    """

    def __init__(
        self,
        backend: str = "auto",
        weights: Mapping[str, Any] | None = None,
        show: Show = "signatures",
        tools: Sequence[str] | None = None,
        characters: int = CHARACTERS,
        lines: int = LINES,
        seconds: int = 30,
        turns: int | None = None,
    ) -> None:
        """Args:
            backend: what holds the boxes: `docker`, `bubblewrap`, or `auto` for the first that there is.
            weights: of reward components, over the defaults (`rewards.WEIGHTS`).
            show: how the tools are told of in the first observation; see `agentgym.tools.describe`.
            tools: names of the tools that there are; all if not given.
            characters: most of an observation.
            lines: most of an observation.
            seconds: most that a command may take; the tests have the task's own deadline.
            turns: actions after which what there is is graded as if it were submitted; `None`: only `submit` grades.

        Raises:
            UsageError: a value that is not one of these.
        """
        super().__init__()
        if backend not in BACKENDS:
            raise UnknownNameError("backend of swe", backend, BACKENDS)
        counted: list[tuple[str, Any]] = [("characters", characters), ("lines", lines), ("seconds", seconds)]
        for name, value in [*counted, *([("turns", turns)] if turns is not None else [])]:
            if type(value) is not int or value < 1:
                raise UsageError(f"{name} must be a whole number above 0, not {value!r}")
        for name in tools or ():
            if name not in KNOWN:
                raise UnknownNameError("tool of swe", str(name), KNOWN)
        if tools is not None and "submit" not in tools:
            raise UsageError("tools must have 'submit': without it no work can be handed in")
        self._weights = weighing.weights("swe", rewards.WEIGHTS, weights)
        self._show: Show = show
        self._names: tuple[str, ...] = KNOWN if tools is None else tuple(tools)
        self._bounds, self._turns = Bounds(characters, lines, seconds), turns
        self._boxes = Boxes(backend)
        self._box: Box | None = None

    # The environment ------------------------------------------------------------------------------------------------

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """A box with the repository in it, and the issue.

        Raises:
            UsageError: the task is not of this environment.
            SandboxError: no box, or the repository cannot be had.
        """
        data = task.data
        if not isinstance(data.get("issue"), str) or not isinstance(data.get("base"), Mapping):
            raise UsageError(f"task {task.id!r} is not of swe: its data needs 'issue', 'base' and 'test_command'")
        self._let_go()
        self._located = located_in(data)
        self._boxes.ready(task)
        box = self._box = self._boxes.take(spec_of(task))
        try:
            populate(box, task)
            self._start = checked(look(box, self._located, touched(data)))
        except SandboxError:
            self._let_go()
            raise
        self._tools = Tools(box, str(data.get("test_command", "")), float(data.get("deadline") or 60.0), self._bounds)
        self._calls = Toolbox(self._tools, deadline=None, cap=10**9).only(self._names)
        self._wanted: dict[str, str | None] | None = None
        self._played = Played(tree=self._start.digest)
        told = describe(self._calls.schemas(), self._show)
        head = [f"Tools:\n{told}"] if told else []
        return self._see("\n\n".join([*head, guard(data["issue"].strip())]), "user", tools=True)

    def act(self, action: str) -> Step:
        """Carry out the calls of one action, in order."""
        calls = calls_in(action)
        self._played = self._played._replace(turns=self._played.turns + 1)
        try:
            if not calls:
                return self._cut_off(NO_CALL, "no-call", {}, {})
            return self._called(calls)
        except SandboxError:
            self._let_go()  # Whatever the box is, no other episode is to meet it as it is.
            raise

    def oracle(self) -> str | None:
        """The next call towards what the known fix makes of the files; `None` where there is no way or no fix."""
        box = self._need()
        patch = str((self.task.data.get("patch") if self.task else None) or "")
        if self._wanted is None:
            self._wanted = oracle.targets(patch, lambda path: self._start.texts.get(path))
        tested = self._played.tested == self._played.tree or "run_tests" not in self._names
        room = min(oracle.AROUND, self._bounds.lines // 2, self._bounds.characters // 100)
        call = oracle.next_call(
            self._wanted, lambda path: _text(box, path), self._played.looked, tested, frozenset(self._names), room
        )
        return None if call is None else call.canonical()

    def warm(self) -> None:
        """Load the sandbox, and look for a back end."""
        self._boxes.warm()

    def snapshot(self) -> Any:
        """The box's work folder, and what has happened as plain values."""
        return self._need().snapshot(), tuple(self._played)

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot of the same task; the episode is open again."""
        work, played = snapshot
        self._need().restore(work)
        self._played = Played(*played)
        self._open = True
        return self._see("", "user")

    def close(self) -> None:
        """Give the box back, and leave the pool."""
        self._let_go()
        self._boxes.close()
        super().close()

    # ----------------------------------------------------------------------------------------------------------------

    def _called(self, calls: Sequence[ToolCall]) -> Step:
        done = self._tools._began()  # pyright: ignore[reportPrivateUsage] - not public, lest it be a tool
        results: list[ToolResult] = []
        began = time.monotonic()
        for call in calls[:MOST_CALLS]:
            results.append(self._calls.call(call))
            if done.submitted or time.monotonic() - began > self._bounds.seconds:
                break
        raw = self._paid(results, done.failed, len(calls))
        now = self._played
        if done.changed:
            after = look(self._need(), self._located)
            edited = after.differs(self._start)
            if after.digest != self._start.digest:  # There will be something to grade.
                self._boxes.expect(self._need().spec, GRADERS)
            now = now._replace(tree=after.digest or f"turn {now.turns}")
            if edited and not now.edited:
                raw["edited"] = 1.0
            now = now._replace(edited=now.edited or edited)
        if done.tested:
            now = now._replace(tested=now.tree)
        if not now.looked and (done.seen & set(self._located) or now.edited):
            raw["located"] = 1.0
            now = now._replace(looked=True)
        self._played = now
        fault = next((result.fault for result in results if result.fault in OURS), None)
        fault = fault or ("mistake" if any(not result.ok for result in results) else None)
        told: dict[str, Any] = {"calls": [{"name": c.name, "arguments": dict(c.arguments)} for c in calls]}
        if done.submitted:
            return self._graded("The work was submitted.", raw, told)
        text = _page(results, len(calls) - len(results))
        return self._cut_off(text, fault, raw, told, "tool")

    def _paid(self, results: Sequence[ToolResult], failed: bool, asked: int) -> dict[str, float]:
        """What the calls of a turn are worth, whatever the turn led to."""
        formed = all(result.fault not in OURS for result in results) and asked <= MOST_CALLS
        fine = formed and not failed and all(result.ok for result in results)
        return {"format": float(formed), "tool_success": float(fine)}

    def _cut_off(
        self, text: str, fault: str | None, raw: Mapping[str, float], told: dict[str, Any], role: Any = "user"
    ) -> Step:
        """Go on, or grade what there is where no turn is left."""
        if self._turns is not None and self._played.turns >= self._turns:
            return self._graded("No turn is left.", raw, told, cut=True)
        seen = self._see(guard(text), role)
        info = self._info(raw, told)
        if self._played.turns == 1:
            info["tests"] = judged.results(None, self.task.data if self.task else {})
        return Step.fault(seen, fault, **info) if fault else Step.on(seen, **info)

    def _graded(self, why: str, raw: Mapping[str, float], told: dict[str, Any], cut: bool = False) -> Step:
        """The end: the patch is taken from the box and graded in another."""
        assert self.task is not None
        patch = patch_of(self._need(), self.task, self._boxes.start)
        found = grade(self.task, patch, self._boxes.start) if patch.strip() else None
        resolved = found is not None and found.resolved
        paid = {**raw, **judged.components(found, self.task.data)}
        tests = judged.results(found, self.task.data)
        self._played = self._played._replace(fixed=sum(tests.values()) / len(tests))
        info = self._info(paid, told, resolved)
        info |= {"tests": tests, "patch": patch[:PATCH_SHOWN], "grade": judged.report(found)}
        seen = self._see(f"{why} {judged.said(found)}", "user")
        if resolved:
            return Step.success(seen, **info)
        return Step.cut(seen, ending=Ending.OUT_OF_TURNS, **info) if cut else Step.failure(seen, **info)

    def _info(self, raw: Mapping[str, float], told: Mapping[str, Any], resolved: bool = False) -> dict[str, Any]:
        paid = weighing.weighed(raw, self._weights)
        now = self._played
        progress = 1.0 if resolved else min(0.99, (now.looked + now.edited + now.fixed) / 4)
        # The outcome stands in every step: an attempt that a limit ends has none of its rewards for a score.
        shared = {"reward": sum(paid.values()), "rewards": paid, "progress": progress, "outcome": float(resolved)}
        return {"calls": [], **told, **shared}

    def _see(self, text: str, role: Any, tools: bool = False) -> Observation:
        now = self._played
        key = f"{self.task.id if self.task else ''}|{now.tree}|{'l' * now.looked}{'e' * now.edited}"
        return Observation(text, role=role, state=key, tools=self._calls.schemas() if tools else None)

    def _need(self) -> Box:
        """The box.

        Raises:
            UsageError: there is none: no episode, or the box was lost.
        """
        if self._box is None:
            raise UsageError("there is no box: reset the environment first")
        return self._box

    def _let_go(self) -> None:
        box, self._box = self._box, None
        if box is not None:
            self._boxes.give(box)


def _text(box: Box, path: str) -> str | None:
    try:
        return box.read(f"{box.spec.work}/{path}").decode("utf-8", "surrogateescape")
    except BoxFileError:
        return None


def _page(results: Sequence[ToolResult], left: int) -> str:
    """What a turn's calls gave: the text of one, or each under its name."""
    texts = [result.text if result.ok else f"Error: {result.text}" for result in results]
    if len(texts) > 1:
        names = [f"[{n}] {result.name}:" for n, result in enumerate(results, 1)]
        texts = [f"{name}\n{text}" for name, text in zip(names, texts, strict=True)]
    if left > 0:
        texts.append(f"{left} further calls were not carried out.")
    return "\n".join(texts)
