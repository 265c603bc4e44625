"""Everything about one run that a page or a terminal shows, as JSON values: one method for each question.

The server hands these values out, the report puts them into its file, the terminal viewer reads the same. A run may be
growing, half written or damaged: what can be read is shown, the rest is said in `warnings`.
"""

from __future__ import annotations

import json
import math
import os
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agentgym import registry
from agentgym.errors import AgentgymError, StoreError, UsageError
from agentgym.secrets import redact
from agentgym.store import RunFolder
from agentgym.view import anchors, gathering, record, rows, tokens
from agentgym.view.index import DAMAGED, LogIndex
from agentgym.view.metrics import Metrics

if TYPE_CHECKING:
    from agentgym.view.credits import Credits

SLICE = 0.25
"""Seconds of indexing after which others get their turn."""
GROUP = 64
"""Trajectories of one group that are compared."""


class RunData:
    """A run, to be looked at; nothing in its folder is changed but the index. Methods may be called by several threads.

    Attributes:
        folder: the run's folder.
        index: its trajectories as rows.
    """

    def __init__(self, path: str | Path, n: int = 0) -> None:
        """Open a run's folder, or a folder with nothing but a trajectory log.

        Args:
            path: the folder.
            n: the run's number among those that are looked at together.

        Raises:
            UnknownNameError: there is no such folder.
            StoreError: it is no run folder, or one of another format.
        """
        self.folder = RunFolder(path)
        self.path, self.n = self.folder.path, n
        self.index = LogIndex(self.folder.trajectories.path)
        self.metric_lines = Metrics(self.folder.metrics)
        self.config = _config(self.folder.config_path)
        self._facts: dict[str, Any] | None = None
        self._decisive: tuple[float, dict[str, Any]] = (-1.0, {})
        self._lock = threading.RLock()
        self.parts = gathering.Parts(self)
        self._credits: Credits | None = None
        self.tokenizing = tokens.Tokens(self)

    # Following ------------------------------------------------------------------------------------------------------

    def refresh(self, seconds: float = SLICE) -> bool:
        """Take in what the run has written since; whether anything did change.

        Args:
            seconds: stop indexing after this long; the rest comes with later calls.
        """
        changed = self.metric_lines.refresh()
        changed = self.index.refresh(seconds) or changed
        if not self.index.behind and not self.live():
            self.index.save()
        return changed

    def live(self) -> bool:
        """Whether a process holds the run's lock, as far as that can be seen without touching it."""
        return _locked(self.path / "lock")

    # Answers --------------------------------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """What the run is, and how much of it there is."""
        facts = self._about()
        live, behind = self.live(), self.index.behind
        warnings = [*self.index.warnings, *self.metric_lines.warnings]
        total, indexed = self.index.total, len(self.index)
        indexing = total > indexed and not self.index.stuck
        if behind and not indexing and not live:
            warnings.append(f"the log ends in {behind:,} bytes of a half written record: passed over")
        made = {
            **facts,
            "live": live,
            "phases": rows.phases(self.index),
            "total": total if indexing else indexed,
            "indexed": indexed,
            "warnings": warnings,
        }
        return made | ({"indexing": True} if indexing else {})

    def metrics(self, since: int = 0) -> dict[str, Any]:
        """Lines of metrics from one on; all of them, thinned, from the first."""
        return self.metric_lines.since(since)

    def rows(self, query: rows.Query | None = None) -> dict[str, Any]:
        """The rows of the table that match, and how many there are of each kind."""
        return rows.find(self.index, query or rows.Query(), self.type_of)

    def trajectory(self, n: int, full: bool = False) -> dict[str, Any]:
        """One trajectory.

        Raises:
            StoreError: there is none of that number, or it cannot be read.
        """
        found = self.index.line(n)
        try:
            made = record.shown(n, found, self.gamma(), full)
        except DAMAGED as error:
            raise StoreError(f"trajectory {n} is no record of one: {type(error).__name__}: {error}") from error
        made["task_prompt"] = self.parts.prompt(found["task_id"])
        made["type"] = self.type_of(found["task_id"])
        made["decisive"] = self._decisive_of(found["id"])
        return made

    def credit(self, n: int) -> dict[str, Any]:
        """What every registered credit module gives to the trajectory's turns."""
        from agentgym.view.credits import Credits  # With the modules' own imports: not before somebody asks.

        with self._lock:
            self._credits = self._credits or Credits(self)
        return self._credits.of(n)

    def tokens(self, n: int, by: str = "logprob") -> dict[str, Any]:
        """The trajectory's tokens with a number each: `logprob`, `ratio` or `entropy`.

        Raises:
            UsageError: another number, or one that cannot be had; says why and what to do.
        """
        return self.tokenizing.of(n, by)

    def groups(self, group: str, phase: str | None = None, iteration: int | None = None) -> dict[str, Any]:
        """The attempts of a group, aligned at the states that they share.

        Raises:
            StoreError: there is no such group.
        """
        members = self.parts.group(group, phase, iteration)
        if not members:
            raise StoreError(f"there is no group {group[:100]!r} in this run")
        return anchors.graph(group, [(n, self.index.line(n)) for n in members[:GROUP]], len(members) > GROUP)

    # Facts ----------------------------------------------------------------------------------------------------------

    def gamma(self) -> float:
        """The discount of the recipe's credit modules, 1 where they have none."""
        found = 1.0
        for entry in self.config_value("credit", []):
            if not isinstance(entry, dict):
                continue
            given = cast(dict[str, Any], entry)
            gamma = given.get("gamma")
            if gamma is None and isinstance(given.get("use"), str):
                gamma = self.parts.default_of(given["use"], "gamma")
            if isinstance(gamma, int | float) and math.isfinite(gamma):
                found = float(gamma)
        return found

    def config_value(self, key: str, default: Any) -> Any:
        """A key of the recipe as the run's folder has it; not checked."""
        value = self.config[1].get(key, default)
        return value if isinstance(value, type(default)) or default is None else default

    def env(self) -> str | None:
        """The environment's id: the recipe's, or that of the first trajectory."""
        env = self.config_value("env", cast(dict[str, Any], {})).get("id") or self.folder.meta.get("env")
        if isinstance(env, str):
            return env
        try:
            return str(self.index.line(0)["env"]) if len(self.index) else None
        except (StoreError, OSError, KeyError):
            return None

    def type_of(self, task: str) -> str | None:
        """What kind of task it is, where the environment says so; known a little after a run was opened."""
        return self.parts.kind(task)

    def components(self) -> list[str]:
        """Names of the environment's reward components."""
        return list(self._about()["components"])

    def _about(self) -> dict[str, Any]:
        if self._facts is None or self._facts["env"] is None:
            env = self.env()
            abilities: list[str] = []
            components: list[str] = []
            try:
                if env is not None:
                    spec = registry.spec(env)
                    abilities = sorted(str(getattr(a, "value", a)) for a in spec.abilities)
                    components = sorted(spec.components)
            except AgentgymError:
                pass  # The environment is not installed here: the run can be looked at all the same.
            seed = self.config_value("seed", None)
            self._facts = {
                "n": self.n,
                "name": self.path.resolve().name,
                "path": str(self.path),
                "meta": _hidden(self.folder.meta),
                "config": redact(self.config[0]),
                "env": env,
                "seed": seed if isinstance(seed, int) else None,
                "components": components,
                "modules": registry.names("credit"),
                "abilities": abilities,
            }
        return self._facts

    def _decisive_of(self, name: str) -> dict[str, Any] | None:
        from agentgym.branch.storing import FILE  # With what it imports, half the time that opening takes.

        path = self.path / FILE
        try:
            changed = path.stat().st_mtime
        except OSError:
            return None
        with self._lock:
            if changed != self._decisive[0]:
                self._decisive = (changed, _by_id(path))
            return self._decisive[1].get(name)


def _hidden(value: Any) -> Any:
    """JSON values without the keys and passwords that a command line may have had in it."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_hidden(one) for one in cast(list[Any], value)]
    if isinstance(value, dict):
        return {name: _hidden(one) for name, one in cast(dict[str, Any], value).items()}
    return value


def _by_id(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                one: Any = json.loads(line)
                found[str(one["id"])] = record.Clip(record.MAX_TEXT, record.MAX_ALL)(one)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # A torn line says nothing.
    return found


def _config(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", {}
    try:
        return text[: record.MAX_FULL], tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return text[: record.MAX_FULL], {}


def _locked(path: Path) -> bool:
    """Whether somebody holds the lock. Taking it, if only to see, would be in the way of a run that starts."""
    try:
        found = path.stat()
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return False
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return any(wanted in line.split() and " -> " not in line for line in locks.splitlines())


def open_runs(paths: list[Path]) -> list[RunData]:
    """The runs in order.

    Raises:
        UsageError: none, or too many.
        UnknownNameError: there is no such folder.
        StoreError: one is no run folder.
    """
    if not 1 <= len(paths) <= 50:
        raise UsageError(f"look at 1 to 50 runs at once, not {len(paths)}")
    return [RunData(path, n) for n, path in enumerate(paths)]
