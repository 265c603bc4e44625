"""The search index: built once, in pieces, in the files that bm25s loads; after that memory-mapped.

Scores are Lucene's BM25 with upstream's parameters: idf * tf / (tf + k1 * (1 - b + b * length / mean length)), idf =
ln(1 + (N - df + 0.5) / (df + 0.5)), k1 = 0.9, b = 0.4. As in Lucene, words are stemmed after Porter, English stop
words are left out, lengths are kept in one byte, and equal scores are ordered by the row. bm25s builds an index too,
but from all texts at once: the full product file would need several times the memory that it may take.
"""

from __future__ import annotations

import functools
import json
import re
from array import array
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentgym.errors import MissingExtraError
from agentgym_envs.webshop.keys import Keys, digest

K1, B = 0.9, 0.4
BATCH = 1 << 22
"""Postings held in memory while the index is built."""
MAX_TERMS = 1024
"""Words of a query that count, as in Lucene."""
_STOP = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to
was will with
"""
STOP = frozenset(_STOP.split())
WORD = re.compile(r"\w+(?:(?<=\d)[.,](?=\d)\w+|(?<=[^\W\d_])['’.](?=[^\W\d_])\w+)*")
DATA, INDICES, INDPTR = "data.csc.index.npy", "indices.csc.index.npy", "indptr.csc.index.npy"


@functools.cache
def _stemmer() -> Any:
    try:
        import Stemmer
    except ModuleNotFoundError:
        raise MissingExtraError("WebShop's search", "webshop") from None
    return Stemmer.Stemmer("porter")


def term(word: str) -> str:
    """The term that a word of lower case is searched by; empty for a stop word.

    >>> term("shirts"), term("men's"), term("the")
    ('shirt', 'men', '')
    """
    if word.endswith(("'s", "’s")):
        word = word[:-2]
    return "" if word in STOP else str(_stemmer().stemWord(word))


def length_kept(length: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What is left of texts' lengths in Lucene's one byte: exact to 40, then four significant bits.

    >>> length_kept(np.array([7, 39, 41, 100])).tolist()
    [7, 39, 40, 96]
    """
    rest = np.maximum(length - 24, 0)
    shift = np.maximum(np.frexp(rest.astype(float))[1] - 4, 0)
    return np.where(length < 24, length, 24 + ((rest >> shift) << shift))


class Builder:
    """Takes texts one after another and writes the index."""

    def __init__(self, folder: Path) -> None:
        """Args: `folder` exists; what is written on the way is removed at the end."""
        self.folder = folder
        self._ids: dict[str, int] = {}
        self._words: dict[str, int] = {}
        self._lengths = array("q")
        self._batch = array("I"), array("I"), array("I")
        self._parts: list[Path] = []

    def add(self, text: str) -> None:
        """One text, in lower case; its row is the number of texts before it."""
        counts = Counter(self._id(word) for word in WORD.findall(text))
        counts.pop(-1, None)
        row = len(self._lengths)
        self._lengths.append(counts.total())
        terms, rows, times = self._batch
        terms.extend(counts.keys())
        rows.extend([row] * len(counts))
        times.extend(counts.values())
        if len(terms) >= BATCH:
            self._flush()

    def _id(self, word: str) -> int:
        found = self._words.get(word)
        if found is None:
            stem = term(word)
            found = self._ids.setdefault(stem, len(self._ids)) if stem else -1
            self._words[word] = found
        return found

    def _flush(self) -> None:
        part = self.folder / f"part-{len(self._parts)}.npy"
        terms, rows, times = self._batch
        np.save(part, np.array([terms, rows, times], dtype=np.uint32))
        self._parts.append(part)
        self._batch = array("I"), array("I"), array("I")

    def finish(self) -> None:
        """Write the index."""
        self._flush()
        size, lengths = len(self._lengths), np.array(self._lengths, dtype=np.int64)
        document_counts = np.zeros(len(self._ids), dtype=np.int64)
        for part in self._parts:
            document_counts += np.bincount(np.load(part)[0], minlength=len(self._ids))
        starts = np.concatenate([[0], np.cumsum(document_counts)])
        idf = np.log1p((size - document_counts + 0.5) / (document_counts + 0.5))
        norm = K1 * (1 - B + B * length_kept(lengths) / max(1.0, float(lengths.mean()) if size else 1.0))
        total = max(1, int(starts[-1]))  # An empty file cannot be mapped.
        data = np.lib.format.open_memmap(self.folder / DATA, "w+", np.float32, (total,))
        indices = np.lib.format.open_memmap(self.folder / INDICES, "w+", np.int32, (total,))
        heads = starts[:-1].copy()
        for part in self._parts:
            terms, rows, times = np.load(part)
            order = np.argsort(terms, kind="stable")
            terms, rows, times = terms[order], rows[order], times[order]
            counts = np.bincount(terms, minlength=len(heads))
            before = np.cumsum(counts) - counts
            places = heads[terms] + np.arange(len(terms)) - before[terms]
            data[places] = idf[terms] * times / (times + norm[rows])
            indices[places] = rows
            heads += counts
            part.unlink()
        data.flush()
        indices.flush()
        np.save(self.folder / INDPTR, starts)
        Keys.write(self.folder, "terms", (digest(name) for name in self._ids))
        params = {"k1": K1, "b": B, "delta": 0.5, "method": "lucene", "idf_method": "lucene", "dtype": "float32"}
        params |= {"int_dtype": "int32", "num_docs": size, "backend": "numpy"}
        (self.folder / "params.index.json").write_text(json.dumps(params), encoding="utf-8")


class Search:
    """An index that was built, by memory map."""

    def __init__(self, folder: Path) -> None:
        """Args: `folder` is where a `Builder` has finished.

        Raises:
            MissingExtraError: bm25s is not installed.
        """
        try:
            import bm25s
        except ModuleNotFoundError:
            raise MissingExtraError("WebShop's search", "webshop") from None
        self._index: Any = bm25s.BM25.load(folder, mmap=True, load_vocab=False, show_progress=False)
        self._terms = Keys(folder, "terms")
        # Attempts at one task ask much the same.
        self._ranked = functools.lru_cache(maxsize=4096)(self._rank)

    def terms(self, query: str) -> list[int]:
        """Numbers of the terms of a query that the index knows, in order, repeated as in the query."""
        found = (_known(word) for word in WORD.findall(query)[:MAX_TERMS])
        rows = (self._terms.find(key) for key in found if key)
        return [row for row in rows if row >= 0]

    def rows(self, query: str, most: int) -> list[int]:
        """Rows of the texts that fit best, best first.

        Args:
            query: words in lower case.
            most: how many at most; fewer where fewer texts have any of the words.
        """
        return list(self._ranked(query, most))

    def _rank(self, query: str, most: int) -> tuple[int, ...]:
        terms = self.terms(query)
        if not terms:
            return ()
        scores = self._index.get_scores(terms)
        fit = np.flatnonzero(scores > 0)  # Of truth values this is many times faster than of numbers.
        if len(fit) > most:
            least = np.partition(scores[fit], len(fit) - most)[len(fit) - most]
            fit = fit[scores[fit] >= least]
        best = fit[np.lexsort((fit, -scores[fit]))][:most]
        return tuple(int(row) for row in best)


@functools.lru_cache(maxsize=1 << 14)
def _known(word: str) -> int:
    """The key of a word's term; 0 for a stop word."""
    stem = term(word)
    return digest(stem) if stem else 0


def build(folder: Path, texts: Iterable[str]) -> Search:
    """An index of a few texts, for those who want no more than that."""
    builder = Builder(folder)
    for text in texts:
        builder.add(text)
    builder.finish()
    return Search(folder)
