"""What turns are paid for: components, each a number of its own with a weight.

| component | paid for | raw value |
|---|---|---|
| `answer` | the answer | exact match, F1 or cover: 0 to 1 |
| `citation` | the documents that the answer names | F1 over them against those that it rests on |
| `evidence` | reading what the answer rests on | share of it that is new this turn |
| `redundancy` | asking again | -1 for each search that asks or finds nothing new |
| `cost` | looking at all | -1 for each search and each document opened |
| `format` | actions that cannot be carried out | -1 |
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

WEIGHTS: Mapping[str, float] = {
    "answer": 1.0,
    "citation": 0.1,
    "evidence": 0.1,
    "redundancy": 0.05,
    "cost": 0.01,
    "format": 0.05,
}
"""The default weight of each component."""


def overlap(cited: Collection[str], right: Collection[str]) -> dict[str, float]:
    """Precision, recall and F1 of what is cited against what the answer rests on; 0 where nothing is.

    >>> overlap({"a", "x"}, {"a", "b"})
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """
    shared = len(set(cited) & set(right))
    precision = shared / len(set(cited)) if cited else 0.0
    recall = shared / len(set(right)) if right else 0.0
    both = precision + recall
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / both if both else 0.0}
