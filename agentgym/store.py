"""Runs on disk: a folder that one process writes, anybody reads, and a kill at any moment does not spoil.

The trajectory log is append-only JSON lines. Each line ends with the checksum of what stands before it, so that a line
which was half written when the machine died is told from a whole one: it is cut off and reported, never guessed at.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agentgym import __version__
from agentgym.errors import StoreError, UnknownNameError, UsageError
from agentgym.log_index import IndexWriter
from agentgym.records import dumps, from_json, plain, read_float, seal, to_json, unseal
from agentgym.secrets import redact_words
from agentgym.track import read_metrics
from agentgym.types import Trajectory

__all__ = ["FORMAT", "Entry", "RunFolder", "TrajectoryLog", "from_json", "to_json"]

FORMAT = 1
"""Version of the folder's layout and of the log's lines."""
ABANDONED = 3600.0
"""Seconds after which nobody still makes a folder that is not there yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a trajectory log."""

    trajectory: Trajectory
    phase: str
    """`train`, `demo`, `eval:<name>`, `play`."""
    iteration: int | None
    """Of the trainer, for `train`."""
    advantages: tuple[float, ...] | None
    """The credit each turn got, where it was trained on."""
    columns: Mapping[str, tuple[float, ...]] | None = None
    """What scorers said of each turn while it trained, by the column's name."""


class TrajectoryLog:
    """An append-only log of trajectories.

    Opening reads nothing. Iterating is safe while another process appends. The first `append`, `offset` or `cut` makes
    this the writer, and cuts off a torn tail.

    Attributes:
        warnings: what was found damaged, in words for a person.
    """

    def __init__(self, path: str | Path, tokens: bool = False) -> None:
        """Args: `path` of the file, made at the first append; `tokens` whether to keep each trajectory's ledger."""
        self.path, self.tokens = Path(path), tokens
        self.warnings: list[str] = []
        self._file: IO[bytes] | None = None
        self._unsynced = False
        self._index = IndexWriter(self.path)

    def append(
        self,
        trajectory: Trajectory,
        *,
        phase: str = "train",
        iteration: int | None = None,
        advantages: Sequence[float] | None = None,
        columns: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Write one trajectory; a kill of this process right after loses nothing.

        Raises:
            StoreError: the disk refused.
        """
        record: dict[str, Any] = {"phase": phase}
        if iteration is not None:
            record["iteration"] = iteration
        if advantages is not None:
            record["advantages"] = plain([float(a) for a in advantages])
        if columns:
            record["columns"] = {name: plain([float(v) for v in values]) for name, values in columns.items()}
        record |= to_json(trajectory, self.tokens)
        start, line = self._writer().tell(), seal(dumps(record))
        self._write(line)
        self._index.add(start, line, record)

    @property
    def offset(self) -> int:
        """Bytes in the log, all on disk: what a checkpoint stores and `cut` takes."""
        file = self._writer()
        if self._unsynced:
            try:
                os.fsync(file.fileno())
            except OSError as error:
                raise StoreError(f"{self.path}: cannot be written: {error}") from error
            self._unsynced = False
        return file.tell()

    def cut(self, offset: int) -> None:
        """Forget everything after `offset`.

        Raises:
            StoreError: the log is shorter than that, or no record ends there.
        """
        file = self._writer()
        size = file.tell()
        if offset > size:
            raise StoreError(f"{self.path}: the log has {size} bytes, but the checkpoint was made after {offset}")
        if offset:
            with self.path.open("rb") as reader:
                reader.seek(offset - 1)
                if reader.read(1) != b"\n":
                    raise StoreError(f"{self.path}: no record ends at byte {offset}: it is not this checkpoint's log")
        file.truncate(offset)
        file.seek(offset)
        self._unsynced = True
        self._index.open(offset)

    def __iter__(self) -> Iterator[Entry]:
        """The whole entries in order, one at a time; damaged ones are passed over and noted in `warnings`."""
        for start, line in self._lines():
            body = unseal(line)
            if body is None:
                # A last line without its end may be one that another process is still writing.
                self._warn(f"{self.path}: the record at byte {start} is damaged or half written: passed over")
                continue
            record: dict[str, Any] = json.loads(body)
            marks = record.get("advantages")
            advantages = None if marks is None else tuple(read_float(a) for a in marks)
            columns = {name: tuple(map(read_float, values)) for name, values in record.get("columns", {}).items()}
            yield Entry(from_json(record), record["phase"], record.get("iteration"), advantages, columns or None)

    def close(self) -> None:
        """Stop writing; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._index.close()

    def __enter__(self) -> TrajectoryLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        if not self.path.exists():
            return
        start = 0
        with self.path.open("rb") as file:
            for line in file:
                yield start, line
                start += len(line)

    def _writer(self) -> IO[bytes]:
        if self._file is None:
            good = size = 0
            for start, line in self._lines():
                size = start + len(line)
                if unseal(line) is not None:
                    good = size
            if size > good:
                self._warn(f"{self.path}: the last {size - good} bytes are a torn record: cut off")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what a full disk did not take must not wait in a buffer and fail again at the end.
            self._file = self.path.open("r+b" if self.path.exists() else "w+b", buffering=0)
            self._file.truncate(good)
            self._file.seek(good)
            self._index.open(good)
        return self._file

    def _write(self, line: bytes) -> None:
        file = self._writer()
        start, rest = file.tell(), memoryview(line)
        self._unsynced = True
        try:
            while rest:  # A disk that is nearly full takes a part.
                rest = rest[file.write(rest) :]
        except OSError as error:
            with suppress(OSError):
                file.truncate(start)
                file.seek(start)
            raise StoreError(f"{self.path}: cannot be written: {error}") from error

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


class RunFolder:
    """`runs/<name>/`: everything one run leaves behind. A context manager: leaving it frees the lock.

    Attributes:
        path: the folder.
        trajectories: its trajectory log.
        meta: `run.json`: format, versions, command.
    """

    def __init__(self, path: str | Path, *, write: bool = False) -> None:
        """Open an existing folder.

        Args:
            path: the folder.
            write: take the lock, so that nobody else writes here.

        Raises:
            UnknownNameError: there is no such folder; names the nearest one.
            StoreError: it is no run folder, one of another format, or `write` and another process holds it.
        """
        self.path = Path(path)
        if not self.path.is_dir():
            siblings = self.path.parent.glob("*/run.json") if self.path.parent.is_dir() else ()
            raise UnknownNameError("run", str(path), [str(found.parent) for found in siblings])
        self.meta = _read_meta(self.path)
        self.trajectories = TrajectoryLog(self.path / "trajectories.jsonl")
        self._lock: IO[bytes] | None = None
        if write:
            self._take_lock()

    @classmethod
    def create(cls, name: str, root: str | Path = "runs", config_text: str = "", *, free: bool = False) -> RunFolder:
        """Make a new run folder, whole or not at all, and lock it.

        Args:
            name: of the folder under `root`.
            root: made if absent.
            config_text: the resolved recipe, written to `config.toml`.
            free: where the name is taken, take the first free one of `name-2`, `name-3`, ...

        Raises:
            UsageError: the name is no plain folder name, or it is taken.
            StoreError: the disk refused.
        """
        if not name or name != Path(name).name or name.startswith("."):
            raise UsageError(f"a run's name is one plain folder name, not {name!r}")
        root = Path(root)
        fresh = root / f".new-{name}-{os.getpid()}"
        try:
            _sweep(root, fresh)
            fresh.mkdir(parents=True)
            (fresh / "config.toml").write_text(config_text, encoding="utf-8")
            (fresh / "run.json").write_text(json.dumps(_new_meta(name), indent=1) + "\n")
            (fresh / "checkpoints").mkdir()
            target, number = root / name, 1
            while not _move(fresh, target):
                if not free:
                    raise UsageError(
                        f"{target} exists already: choose another --name, continue it with `agentgym resume {target}`, "
                        "or remove it"
                    )
                number += 1
                target = root / f"{name}-{number}"
        except OSError as error:
            raise StoreError(f"{root / name} cannot be made: {error}") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return cls(target, write=True)

    @property
    def config_path(self) -> Path:
        """The resolved recipe."""
        return self.path / "config.toml"

    @property
    def metrics(self) -> Path:
        """Metrics, JSON lines."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The page that `agentgym report` writes."""
        return self.path / "report.html"

    @property
    def model(self) -> Path:
        """The trained model as an ordinary model folder, once the run is done."""
        return self.path / "model"

    def evaluations(self) -> dict[str, dict[str, float]]:
        """The metrics of each evaluation stage, by the stage's name, in order."""
        found: dict[str, dict[str, float]] = {}
        for line in read_metrics(self.metrics):
            if line.stage.startswith("eval:"):
                found[line.stage] = line.values
        return found

    def close(self) -> None:
        """Close the log and free the lock; may be called twice."""
        self.trajectories.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_lock(self) -> None:
        lock = (self.path / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise StoreError(f"{self.path} is being written by another process; wait for it, or stop it") from None
        self._lock = lock


def _sweep(root: Path, fresh: Path) -> None:
    """Remove what a process left that was killed while it made a folder: it takes no second, let alone an hour."""
    for left in root.glob(".new-*-*"):
        if not re.fullmatch(r"\.new-.+-\d+", left.name):
            continue
        with suppress(OSError):
            if left == fresh or time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def _move(source: Path, target: Path) -> bool:
    """Rename a folder unless something stands there already."""
    if target.exists():
        return False
    try:
        os.rename(source, target)
    except OSError:
        if target.exists():
            return False
        raise
    return True


def _new_meta(name: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": name,
        "agentgym": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": redact_words(sys.argv),
    }


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta: Any = json.loads((path / "run.json").read_text(encoding="utf-8"))
        number: Any = meta["format"]
    except FileNotFoundError:
        raise StoreError(f"{path} is no run folder: it has no run.json") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}/run.json cannot be read: {type(error).__name__}: {error}") from None
    if number != FORMAT:
        raise StoreError(
            f"{path} has run format {number!r}; this agentgym ({__version__}) reads format {FORMAT}. "
            f"It was written by agentgym {meta.get('agentgym', '?')}"
        )
    return meta
