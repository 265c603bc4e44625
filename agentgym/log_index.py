"""A table of contents beside a trajectory log, so that a run of a hundred thousand episodes opens at once.

`trajectories.index` has one record for each whole record of the log: where it stands, its checksum, and the columns
that a person sorts and filters by. The log is the truth. The index is written without being synced, may be missing,
torn, of another version or ahead of a log that was cut back; it is then read as far as it is right. A log only grows at
its end or is cut there, so that an index is right up to the last record whose checksum stands in the log where it says.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from agentgym.records import read_float, unseal

MAGIC = b"agentgym-index-1"
"""The file begins with this; an index of another version is made again."""

RECORD = np.dtype(
    [
        ("size", "<u4"),  # Of the whole record, the texts behind it included.
        ("crc", "<u4"),  # Of all that follows.
        ("start", "<u8"),
        ("length", "<u8"),
        ("seal", "<u4"),
        *((name, "<i4") for name in ("attempt", "iteration", "turns", "faults", "best", "worst", "retries", "success")),
        ("tokens", "<i8"),
        *((name, "<f8") for name in ("score", "reward", "seconds", "credit_sum", "credit_min", "credit_max")),
        ("texts", "<u4", (4,)),
    ]
)
"""The numbers of a record; `nan` and -1 stand for what there is not. The lengths of its texts come last, and then the
texts: id, task, group, and what few values are shared by many: `[phase, ending, split, [fault, ...]]` as JSON."""

_HEAD = struct.Struct("<II")
_TEXTS = struct.Struct("<4I")
_FIXED = RECORD.itemsize
_BODY = struct.Struct("<QQI8iq6d4I")
assert _BODY.size + _HEAD.size == _FIXED
SMALL = 1 << 31


@dataclass(frozen=True, eq=False)
class Chunk:
    """Records of an index, in the order of the log."""

    numbers: NDArray[Any]
    """`[n]`, of type `RECORD`."""
    ids: list[bytes]
    tasks: list[bytes]
    groups: list[bytes]
    kinds: list[bytes]

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, count: int) -> Chunk:
        """The first records only."""
        return Chunk(
            self.numbers[:count], self.ids[:count], self.tasks[:count], self.groups[:count], self.kinds[:count]
        )

    @property
    def end(self) -> int:
        """Byte of the log at which the last one ends."""
        return int(self.numbers["start"][-1] + self.numbers["length"][-1]) if len(self) else 0


def index_path(log: Path) -> Path:
    """Where the index of a log is."""
    return log.with_suffix(".index")


def entry(start: int, line: bytes, record: Mapping[str, Any]) -> bytes:
    """The index's record of a line of the log.

    Args:
        start: byte of the log at which the line begins.
        line: as it is in the log, sealed.
        record: what it says, as JSON values.

    Raises:
        KeyError, TypeError, ValueError: it is no record of a trajectory.
    """
    turns = record["turns"]
    faults = [str(turn["info"]["fault"]) for turn in turns if turn.get("info") and turn["info"].get("fault")]
    credit = [read_float(a) for a in record.get("advantages") or ()]
    best = worst = -1
    if credit:
        best, worst = credit.index(max(credit)), credit.index(min(credit))
    shared = [record["phase"], record["ending"], record["split"], sorted(set(faults))]
    texts = [str(record[key]).encode("utf-8", "surrogatepass") for key in ("id", "task_id", "group")]
    texts.append(json.dumps(shared).encode("ascii"))
    iteration = record.get("iteration")
    body = _BODY.pack(
        start,
        len(line),
        int(line[-11:-3], 16),
        _small(record["attempt"]),
        -1 if iteration is None else _small(iteration),
        len(turns),
        len(faults),
        best,
        worst,
        _small(record["retries"]),
        bool(record["success"]),
        sum(len(turn["completion"].get("tokens") or ()) for turn in turns),
        read_float(record["score"]),
        sum(read_float(turn["reward"]) for turn in turns),
        read_float(record["seconds"]),
        math.fsum(credit) if credit and all(map(math.isfinite, credit)) else math.nan,
        min(credit, default=math.nan),
        max(credit, default=math.nan),
        *map(len, texts),
    ) + b"".join(texts)
    return _HEAD.pack(len(body) + _HEAD.size, zlib.crc32(body)) + body


def _small(value: Any) -> int:
    return max(-SMALL, min(SMALL - 1, int(value)))


def parse(data: bytes, most: int = 1 << 62) -> tuple[Chunk, int]:
    """The whole records that some bytes of an index begin with, and how many bytes they take.

    Args:
        data: from the beginning of a record on.
        most: records to read.
    """
    view, position, size = memoryview(data), 0, len(data)
    at: list[int] = []
    ids: list[bytes] = []
    tasks: list[bytes] = []
    groups: list[bytes] = []
    kinds: list[bytes] = []
    # This loop is most of the time that opening a run takes.
    head, texts, crc = _HEAD.unpack_from, _TEXTS.unpack_from, zlib.crc32
    while position + _FIXED <= size and len(at) < most:
        length, check = head(data, position)
        end = position + length
        if length < _FIXED or end > size or crc(view[position + 8 : end]) != check:
            break
        a, b, c, d = texts(data, position + _FIXED - 16)
        first = position + _FIXED
        second, third = first + a, first + a + b
        if third + c + d != end:
            break
        ids.append(data[first:second])
        tasks.append(data[second:third])
        groups.append(data[third : third + c])
        kinds.append(data[third + c : end])
        at.append(position)
        position = end
    places, raw = np.array(at, dtype=np.int64), np.frombuffer(data, dtype=np.uint8)
    numbers = raw[places[:, None] + np.arange(_FIXED)].reshape(-1).view(RECORD)
    return Chunk(numbers, ids, tasks, groups, kinds), position


def read(path: Path, size: int = 4 << 20, skip: int = len(MAGIC)) -> Iterator[tuple[Chunk, int]]:
    """The records of an index file in pieces, each with the byte at which it ends; stops at the first damaged one.

    Args:
        path: of the index; a missing one has no records.
        size: bytes read at once.
        skip: byte to begin at, an end that an earlier call gave.
    """
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        if file.read(len(MAGIC)) != MAGIC:
            return
        file.seek(skip)
        rest, end = b"", skip
        while more := file.read(max(size, len(rest))):
            rest += more
            chunk, taken = parse(rest)
            if taken:
                rest, end = rest[taken:], end + taken
                yield chunk, end
            elif len(rest) > (64 << 20):
                return  # No record is as long as that: its length is damaged.


def right(chunk: Chunk, log: IO[bytes], size: int, place: int) -> bool:
    """Whether a record's checksum stands in the log where the record says that its line ends."""
    end = int(chunk.numbers["start"][place] + chunk.numbers["length"][place])
    if end > size or int(chunk.numbers["length"][place]) < 19:
        return False
    log.seek(end - 11)
    return log.read(11) == b'%08x"}\n' % int(chunk.numbers["seal"][place])


def right_until(chunk: Chunk, log: IO[bytes], size: int) -> int:
    """How many of a chunk's records are right: all where the last one is, else found by halving."""
    if not len(chunk) or right(chunk, log, size, len(chunk) - 1):
        return len(chunk)
    low, high = 0, len(chunk) - 1  # The records before `low` are right, the one at `high` is not.
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if right(chunk, log, size, middle) else (low, middle)
    return low


class IndexWriter:
    """Keeps the index of a log that this process writes. What fails here never fails the log: the index just ends."""

    def __init__(self, log: Path) -> None:
        """Args: `log` the log's path; nothing is opened yet."""
        self.log, self.path = log, index_path(log)
        self._file: IO[bytes] | None = None

    def open(self, size: int) -> None:
        """Bring the index to where the log stands: `size` bytes, all of them whole records or passed over."""
        try:
            self._open(size)
        except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, struct.error):
            self.give_up()

    def _open(self, size: int) -> None:
        self.close()
        keep, covered = len(MAGIC), 0
        if self.log.exists():
            with self.log.open("rb") as log:
                begin = keep
                for chunk, end in read(self.path):
                    good = right_until(chunk, log, size)
                    if good < len(chunk):
                        keep = begin + int(chunk.numbers["size"][:good].sum())
                        covered = _end(chunk, good) or covered
                        break
                    keep, covered, begin = end, chunk.end, end
        fresh = keep == len(MAGIC)
        self._file = self.path.open("w+b" if fresh else "r+b")
        if fresh:
            self._file.write(MAGIC)
        self._file.truncate(keep)
        self._file.seek(keep)
        if covered < size:
            for start, line in lines(self.log, covered, size):
                body = unseal(line)
                if body is not None:
                    self._file.write(entry(start, line, json.loads(body)))
        self._file.flush()

    def add(self, start: int, line: bytes, record: Mapping[str, Any]) -> None:
        """A line was appended to the log at byte `start`."""
        if self._file is None:
            return
        try:
            self._file.write(entry(start, line, record))
            self._file.flush()
        except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError, struct.error):
            self.give_up()

    def give_up(self) -> None:
        """Leave the rest to those who read."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # What could not be written is not missed: readers have the log.
                file.close()

    def close(self) -> None:
        """Stop writing."""
        self.give_up()


def _end(chunk: Chunk, count: int) -> int:
    return int(chunk.numbers["start"][count - 1] + chunk.numbers["length"][count - 1]) if count else 0


def lines(log: Path, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The lines of a log between two bytes, each with the byte at which it begins; a last one may lack its end."""
    with log.open("rb") as file:
        file.seek(start)
        while start < end:
            line = file.readline(end - start)
            if not line:
                return
            yield start, line
            start += len(line)


def replace(log: Path, records: list[bytes]) -> bool:
    """Put a whole index in place of what there is; false where the folder cannot be written."""
    path = index_path(log)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(MAGIC)
            file.writelines(records)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    return True
