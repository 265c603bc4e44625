"""Which trajectories belong together, and what the environment and the modules say about them.

An environment may not be installed where a run is looked at, or its tasks may take long to list: then there is no
prompt and no kind of task, and nothing else is missing.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from agentgym import registry
from agentgym.config import Config
from agentgym.records import read_float
from agentgym.store import from_json
from agentgym.types import Trajectory

if TYPE_CHECKING:
    from agentgym.view.data import RunData

TASKS = 5000
"""Tasks of a split that are listed at most."""
SECONDS = 3.0
"""After which listing tasks stops."""
PROMPT = 20_000
"""Characters of a task's prompt."""


class Parts:
    """The parts of a run that its index does not have. Methods may be called by several threads."""

    def __init__(self, run: RunData) -> None:
        """Args: `run` whose."""
        self.run = run
        self._told: dict[str, tuple[str, str | None]] | None = None
        self._lock = threading.Lock()

    def listed(self) -> bool:
        """Whether tasks have been listed."""
        return self._told is not None

    def list_tasks(self, seconds: float = SECONDS) -> dict[str, tuple[str, str | None]]:
        """By task id: the prompt and the kind; listed once, for so long."""
        with self._lock:
            if self._told is None:
                self._told = self._list(seconds)
            return self._told

    def _list(self, seconds: float) -> dict[str, tuple[str, str | None]]:
        env, told = self.run.env(), dict[str, tuple[str, str | None]]()
        given = self.run.config_value("env", cast(dict[str, Any], {})).get("options", {})
        options = cast(dict[str, Any], given) if isinstance(given, dict) else {}
        # A recipe may name an environment by its file, which would be run: nobody who looks at a run asked for that.
        if env is None or ".py:" in env or ":" in env:
            return told
        from agentgym.evaluate.kinds import in_data  # With what it imports, a tenth of the time that opening takes.

        until = time.monotonic() + seconds
        for split in ("train", "heldout"):
            try:
                tasks = registry.tasks(env, split, **options)
                for number in range(min(len(tasks), TASKS)):
                    if time.monotonic() > until:
                        break
                    task = tasks[number]
                    told[task.id] = (task.prompt[:PROMPT], next(iter(in_data(task).values()), None))
            except Exception:  # Another's code, run for a remark at the side: whatever it meets, the run is shown.
                continue
        return told

    def prompt(self, task: str) -> str | None:
        """What the model was told about a task, where it can be had."""
        return self.list_tasks().get(task, ("", None))[0] or None

    def kind(self, task: str) -> str | None:
        """What kind of task it is, once tasks have been listed."""
        return None if self._told is None else self._told.get(task, ("", None))[1]

    def default_of(self, module: str, parameter: str) -> Any:
        """The default of a credit module's parameter; `None` where there is none."""
        try:
            loaded = registry.load("credit", module) if ".py:" not in module else None
            fields = loaded.model_fields if isinstance(loaded, type) and issubclass(loaded, Config) else {}
            return fields[parameter].default if parameter in fields else None
        except Exception:  # As above.
            return None

    # Rows that belong together --------------------------------------------------------------------------------------

    def group(self, group: str, phase: str | None, iteration: int | None) -> list[int]:
        """Row numbers of a group's attempts, in the order of the log; of the latest phase where none is said."""
        index = self.run.index
        with index.lock:
            try:
                code = index.group.names.index(group)
            except ValueError:
                return []
            found = np.flatnonzero(index.group.codes.values == code)
            phases = [self.phase(int(n)) for n in found]
            if len(found) and phase is None and iteration is None:
                phase, iteration = phases[-1]
            return [
                int(n)
                for n, (its_phase, its_iteration) in zip(found, phases, strict=True)
                if (phase is None or its_phase == phase) and (iteration is None or its_iteration == iteration)
            ]

    def phase(self, n: int) -> tuple[str, int | None]:
        """Phase and iteration of a row."""
        index = self.run.index
        iteration = int(index.numbers.values["iteration"][n])
        return phase_of(index.kind.of(n)), iteration if iteration >= 0 else None

    def together(self, n: int, most: int) -> tuple[list[int], bool]:
        """Rows that were played in the same stage as row n, and whether they are all of them.

        Where there are more than `most`, the row's own group and whole groups around it.
        """
        index = self.run.index
        with index.lock:
            phase, _ = self.phase(n)
            numbers, kinds = index.numbers.values, index.kind.codes.values
            same = np.array([phase_of(name) == phase for name in index.kind.names], dtype=np.bool_)[kinds]
            same &= numbers["iteration"] == numbers["iteration"][n]
            rows: NDArray[Any] = np.flatnonzero(same)
            if len(rows) <= most:
                return rows.tolist(), True
            groups = index.group.codes.values
            chosen = rows[groups[rows] == groups[n]][:most].tolist()
            if n not in chosen:
                chosen[-1] = n
            return sorted(chosen), False

    def read(self, n: int) -> tuple[Trajectory, list[float] | None, dict[str, list[float]]]:
        """A trajectory, the credit that was recorded, and the columns of scorers that were.

        Raises:
            StoreError: it cannot be read.
        """
        record = self.run.index.line(n)
        marks = record.get("advantages")
        columns = cast(dict[str, list[Any]], record.get("columns") or {})
        credit = None if marks is None else [read_float(mark) for mark in marks]
        stored = {str(name): [read_float(value) for value in values] for name, values in columns.items()}
        return from_json(record), credit, stored


def phase_of(kind: str) -> str:
    """The phase in the text that rows share."""
    return str(json.loads(kind)[0])
