"""Task sets: tasks made on demand, with splits that never overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from agentgym.errors import UsageError
from agentgym.types import Task

SPLITS = ("train", "heldout")


class TaskSet(Sequence[Task]):
    """A fixed-length sequence of tasks that are made when they are asked for.

    >>> tasks = TaskSet("train", 3, lambda i: Task(id=f"t{i}"))
    >>> [t.id for t in tasks[1:]]
    ['t1', 't2']
    """

    def __init__(self, split: str, size: int, make: Callable[[int], Task]) -> None:
        """Args: `split` one of `SPLITS`; `size` number of tasks; `make` a pure function of the index."""
        if split not in SPLITS:
            raise UsageError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
        self.split, self.size, self._make = split, size, make

    @classmethod
    def of(cls, split: str, tasks: Sequence[Task]) -> TaskSet:
        """A task set over tasks that exist already."""
        return cls(split, len(tasks), lambda i: tasks[i])

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> TaskSet: ...
    def __getitem__(self, index: int | slice) -> Task | TaskSet:
        if isinstance(index, slice):
            picked = range(self.size)[index]
            return TaskSet(self.split, len(picked), lambda i: self._make(picked[i]))
        return self._make(range(self.size)[index])

    def __iter__(self) -> Iterator[Task]:
        return (self._make(i) for i in range(self.size))
