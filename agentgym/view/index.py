"""The trajectories of a run as columns in memory: opened from the log's index, completed and followed from the log.

Nothing is held but numbers and short texts; a trajectory itself is read by one seek when somebody looks at it.
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from agentgym import log_index
from agentgym.errors import StoreError
from agentgym.log_index import RECORD, Chunk
from agentgym.records import unseal

DAMAGED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, struct.error)
"""What a line that is no record of a trajectory can raise."""
KEPT, KEPT_LENGTH = 256, 64 << 10
"""Records that are kept as they were read: a page asks several things about the same ones; and their most bytes."""
LARGE = 4 << 20
"""Bytes from which on only two records are read at once: a few of 50 MB must not take the machine's memory."""
SAVED = 500
"""Rows that had to be read from the log before it is worth writing the index anew."""


class Grown:
    """An array that grows at its end, at the cost of a list's."""

    def __init__(self, dtype: Any) -> None:
        self._room, self.count = np.empty(1024, dtype=dtype), 0

    def extend(self, values: NDArray[Any]) -> None:
        """Add values at the end."""
        end = self.count + len(values)
        if end > len(self._room):
            larger = np.empty(max(end, 2 * len(self._room)), dtype=self._room.dtype)
            larger[: self.count] = self._room[: self.count]
            self._room = larger
        self._room[self.count : end] = values
        self.count = end

    @property
    def values(self) -> NDArray[Any]:
        """What is there; later growth does not change it."""
        return self._room[: self.count]


class Coded:
    """Texts of which few differ, as numbers."""

    def __init__(self) -> None:
        self.codes = Grown(np.int32)
        self.names: list[str] = []
        self._number: dict[bytes, int] = {}

    def extend(self, values: list[bytes]) -> None:
        """Add texts at the end."""
        number, names = self._number, self.names
        found: list[int] = []
        for value in values:
            code = number.get(value)
            if code is None:
                code = number[value] = len(names)
                names.append(text(value))
            found.append(code)
        self.codes.extend(np.array(found, dtype=np.int32))

    def of(self, n: int) -> str:
        """The text of a row."""
        return self.names[int(self.codes.values[n])]

    def ranks(self) -> NDArray[np.int64]:
        """For each row its text's place in the order of texts."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        return rank[self.codes.values] if len(order) else np.zeros(0, dtype=np.int64)


def text(value: bytes) -> str:
    """A text of the index."""
    return value.decode("utf-8", "surrogatepass")


class LogIndex:
    """All rows of one log. Methods may be called by several threads.

    Attributes:
        warnings: what was found damaged, in words for a person.
        stuck: whether what is left to read is one line without an end.
        generation: grows when rows went away, because the log was cut back: row numbers mean others then.
    """

    def __init__(self, log: Path) -> None:
        """Args: `log` the log's path; nothing is read yet."""
        self.log = log
        self.lock = threading.RLock()
        self.warnings: list[str] = []
        self.generation = 0
        self.stuck = False
        self.numbers = Grown(RECORD)
        self.ids: list[bytes] = []
        self.task, self.group, self.kind = Coded(), Coded(), Coded()
        self._covered = 0
        self._size = 0
        self._loaded = False
        self._kept = len(log_index.MAGIC)
        self._own: list[bytes] = []
        self._large = threading.BoundedSemaphore(2)
        self._read: OrderedDict[tuple[int, int], dict[str, Any]] = OrderedDict()

    def __len__(self) -> int:
        return self.numbers.count

    @property
    def behind(self) -> int:
        """Bytes of the log that are not read yet."""
        return max(0, self._size - self._covered)

    @property
    def total(self) -> int:
        """How many rows there will be; a guess by bytes while some are not read yet."""
        if not self.behind or not len(self):
            return len(self)
        return len(self) + max(1, round(self.behind * len(self) / max(1, self._covered)))

    def refresh(self, seconds: float = 1e9) -> bool:
        """Take in what the log has now.

        Args:
            seconds: stop after this long; call again for the rest. The index is always read whole.

        Returns:
            Whether anything changed.
        """
        with self.lock:
            before = (len(self), self.generation, self._covered)
            try:
                log = self.log.open("rb")
            except FileNotFoundError:
                if len(self):
                    self._clear()
                return before != (len(self), self.generation, self._covered)
            with log:
                self._size = log.seek(0, 2)
                self._check(log)
                if not self._loaded:
                    self._load(log)
                self._follow(log, time.monotonic() + seconds)
            return before != (len(self), self.generation, self._covered)

    def _check(self, log: IO[bytes]) -> None:
        """Begin anew where the log lost rows that were read: it was cut back, and may have grown again since."""
        everything = Chunk(self.numbers.values, self.ids, [], [], [])
        if log_index.right_until(everything, log, self._size) < len(self) or self._covered > self._size:
            self._clear()

    def _clear(self) -> None:
        self.generation += 1
        self.numbers, self.ids = Grown(RECORD), []
        self.task, self.group, self.kind = Coded(), Coded(), Coded()
        self._covered, self._kept, self._own, self._loaded = 0, len(log_index.MAGIC), [], False

    def _load(self, log: IO[bytes]) -> None:
        """What the index says, as far as it is right."""
        self._loaded = True
        for chunk, end in log_index.read(log_index.index_path(self.log)):
            good = log_index.right_until(chunk, log, self._size)
            whole = good == len(chunk)
            if not whole:
                chunk = chunk.first(good)
            self._kept = end if whole else self._kept + int(chunk.numbers["size"].sum())
            if len(chunk):
                self._take(chunk)
                self._covered = chunk.end
            if not whole:
                break

    def _take(self, chunk: Chunk) -> None:
        self.numbers.extend(chunk.numbers)
        self.ids += chunk.ids
        self.task.extend(chunk.tasks)
        self.group.extend(chunk.groups)
        self.kind.extend(chunk.kinds)

    def _follow(self, log: IO[bytes], until: float) -> None:
        """Rows of lines that the index does not have."""
        made: list[bytes] = []
        self.stuck = False
        log.seek(self._covered)
        while self._covered < self._size and time.monotonic() < until:
            line = log.readline()
            if not line.endswith(b"\n"):
                self.stuck = True
                break  # Half written: by a process that is at it, or by one that died.
            body = unseal(line)
            try:
                if body is None:
                    raise ValueError
                made.append(log_index.entry(self._covered, line, json.loads(body)))
            except DAMAGED:
                self.warn(f"{self.log.name}: the record at byte {self._covered} is damaged: passed over")
            self._covered += len(line)
            if len(made) >= 2000:
                self._add(made)
                made = []
        self._add(made)

    def _add(self, made: list[bytes]) -> None:
        if made:
            self._take(log_index.parse(b"".join(made))[0])
            self._own += made

    def save(self) -> bool:
        """Write the index where much of it had to be made here; only while nobody writes the log."""
        with self.lock:
            if len(self._own) < SAVED or self.behind:
                return False
            path = log_index.index_path(self.log)
            prefix = b""
            if self._kept > len(log_index.MAGIC):
                with path.open("rb") as file:
                    prefix = file.read(self._kept)[len(log_index.MAGIC) :]
            made = log_index.replace(self.log, [prefix, *self._own])
            self._own = []
            return made

    def line(self, n: int) -> dict[str, Any]:
        """The record of a row, as JSON values; not to be changed.

        Raises:
            StoreError: there is no such row, or the log does not have it any more.
        """
        with self.lock:
            if not 0 <= n < len(self):
                raise StoreError(f"there is no trajectory {n}: there are {len(self)}")
            start, length = int(self.numbers.values["start"][n]), int(self.numbers.values["length"][n])
            key = (self.generation, n)
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        with self._large if length > LARGE else contextlib.nullcontext(), self.log.open("rb") as file:
            file.seek(start)
            body = unseal(file.read(length))
            if body is None:
                raise StoreError(f"trajectory {n} is damaged, or the log was cut back meanwhile")
            record: dict[str, Any] = json.loads(body)
        if length <= KEPT_LENGTH:
            with self.lock:
                self._read[key] = record
                while len(self._read) > KEPT:
                    self._read.popitem(last=False)
        return record

    def length(self, n: int) -> int:
        """Bytes that a row has in the log."""
        return int(self.numbers.values["length"][n])

    def warn(self, said: str) -> None:
        """Note something for a person, once."""
        if said not in self.warnings and len(self.warnings) < 20:
            self.warnings.append(said)
