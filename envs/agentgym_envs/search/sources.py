"""Data sets by what a task says of them, and retrievers over their corpora; each is opened once in a process."""

from __future__ import annotations

import functools
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

from agentgym.errors import UsageError
from agentgym.retrieval import Corpus, HttpRetriever, Retriever
from agentgym.retrieval.opening import check_name, open_retriever
from agentgym.secrets import Secret
from agentgym.types import Task
from agentgym_envs.search import loaders
from agentgym_envs.search.corpus import Dataset, Question

VARIABLE = "SEARCH_DATA"
FIELDS = frozenset(field.name for field in fields(Question))


def named_files(path: str, corpus: str, heldout: str) -> dict[str, str]:
    """The source that files are, with full paths: a worker process may stand in another folder.

    Raises:
        UsageError: no path is given.
    """
    path = path or os.environ.get(VARIABLE, "")
    if not path:
        raise UsageError(
            f"search-v0 needs data: the option path (or {VARIABLE}) names a file of questions ({loaders.EXPECTED}); "
            "search-world-v0 needs none"
        )
    given = {"path": path, "corpus": corpus, "heldout": heldout}
    return {name: str(Path(value).expanduser().resolve()) for name, value in given.items() if value}


def dataset_of(source: Mapping[str, Any]) -> Dataset:
    """The data set that a source names: `{"world": ...}` with a part and the options of
    `agentgym_envs.search.world.dataset`, or `{"path", "corpus", "heldout"}`.

    Raises:
        UsageError: it cannot be made or read.
    """
    return _dataset(json.dumps(source, sort_keys=True))


@functools.lru_cache(maxsize=32)
def _dataset(source: str) -> Dataset:
    given: dict[str, Any] = json.loads(source)
    if "world" in given:
        from agentgym_envs.search.world import dataset

        options = dict(given["world"])
        return dataset(options.pop("part"), **options)
    return loaders.load(given["path"], given.get("corpus", ""), given.get("heldout", ""))


def corpus_of(task: Task) -> Corpus | None:
    """The corpus that a task is played in; `None` where only a server has one.

    Raises:
        UsageError: the task is of another environment, or its data set cannot be read.
    """
    source = task.data.get("source")
    if not isinstance(source, dict):
        raise UsageError(f"task {task.id!r} is not of search: its data has no source")
    return dataset_of(source).corpus


def plain(question: Question) -> dict[str, Any]:
    """A question as JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(question).items()}


def question_of(task: Task) -> Question:
    """The question of a task.

    Raises:
        UsageError: the task is of another environment, or its question is none.
    """
    given: Any = task.data.get("question")
    if not isinstance(given, dict) or not cast(dict[str, Any], given).keys() <= FIELDS:
        raise UsageError(f"task {task.id!r} is not of search: its data has no question")
    named = cast(dict[str, Any], given)
    tuples = {name: tuple(cast(list[Any], value)) for name, value in named.items() if isinstance(value, list)}
    try:
        made = Question(**{**named, **tuples})
    except TypeError as error:
        raise UsageError(f"task {task.id!r}: its question is not complete: {error}") from error
    if not made.answers and not made.unanswerable:
        raise UsageError(f"task {task.id!r}: its question has no answer, and is not marked as unanswerable")
    return made


class Finder:
    """What an environment searches with: one retriever by name, over whatever corpus a task has."""

    def __init__(self, retriever: str, encoder: str, timeout: float, token: Secret | None = None) -> None:
        """Raises: UsageError, if there is no such retriever, or it needs an encoder and has none."""
        self._name, self._encoder = retriever, encoder
        away = retriever.startswith(("http://", "https://"))
        self._remote = HttpRetriever(retriever, timeout, token=token) if away else None
        if self._remote is None:
            check_name(retriever, encoder)

    def over(self, corpus: Corpus | None) -> Retriever:
        """The retriever over a corpus; a server has its own.

        Raises:
            UsageError: it cannot be made, or there is no corpus.
        """
        if self._remote is not None:
            return self._remote
        if corpus is None:
            raise UsageError(
                f"retriever {self._name!r} needs a corpus, and the questions have no contexts: give the option corpus, "
                "or the address of a server as retriever"
            )
        key = (self._name, self._encoder, corpus.digest)
        with _LOCK:
            if key not in _MADE:
                _MADE[key] = open_retriever(self._name, corpus, self._encoder)
            while len(_MADE) > KEPT:
                _MADE.popitem(last=False)
            return _MADE[key]

    def close(self) -> None:
        """Close connections; a later search opens them again."""
        if self._remote is not None:
            self._remote.close()


KEPT = 32
"""Retrievers that stay open in a process."""
_MADE: OrderedDict[tuple[str, str, str], Retriever] = OrderedDict()
_LOCK = threading.Lock()
