"""How nearly the tool calls that a model made are those that it should have made: one number for two lists of calls.

Apart from the module of the same idea (`tool_correctness`), because the scorer that reads trajectories needs it too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Call = tuple[str, Mapping[str, Any]]
"""Name and arguments."""

LEAST, MOST = -3.0, 3.0
"""Score of calls that have nothing right, and of equal lists."""


def correctness(predicted: Sequence[Call], reference: Sequence[Call]) -> float:
    """The score of a list of calls against a reference, in [-3, 3].

    Equal lists get 3. Else: the share that names have in common, as multisets (intersection over union); then for each
    reference call in order the best of the predicted calls of that name that are left, where a pair is worth the
    share of argument names in common plus the number of arguments with equal values; all that over the most there
    could be, 1 + sum over reference calls of (1 + its arguments), and from [0, 1] to [-3, 3] in a line. Where nothing
    should be called, any call gets -3. Values are compared with `==`, as the authors' code does: 1, 1.0 and true are
    equal.

    Args:
        predicted: calls of the model. Hostile: anything JSON may be among the arguments.
        reference: calls that are right.

    Source: ToolRL, arXiv 2504.13958. Verified: numbers of the authors' code are reproduced within 1e-5.

    >>> correctness([("mail", {"to": "b"})], [("mail", {"to": "b"})])
    3.0
    >>> correctness([("mail", {"to": "c"})], [("mail", {"to": "b"})])
    1.0
    >>> correctness([], [("mail", {"to": "b"})])
    -3.0
    """
    if [(name, dict(arguments)) for name, arguments in predicted] == [(n, dict(a)) for n, a in reference]:
        return MOST
    score = _overlap([name for name, _ in predicted], [name for name, _ in reference])
    best = 1.0
    left = list(range(len(predicted)))
    for name, arguments in reference:
        best += 1.0 + len(arguments)
        worth = [(_pair(predicted[i][1], arguments), i) for i in left if predicted[i][0] == name]
        most, chosen = max(worth, key=lambda pair: pair[0], default=(0.0, -1))  # The first of equal ones.
        if most > 0.0:
            score += most
            left.remove(chosen)
    return LEAST + (MOST - LEAST) * score / best


def _pair(predicted: Mapping[str, Any], reference: Mapping[str, Any]) -> float:
    equal = sum(name in predicted and predicted[name] == value for name, value in reference.items())
    return _overlap(list(predicted), list(reference)) + equal


def _overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Intersection over union of two multisets; 1 where both are empty."""
    a, b = Counter(one), Counter(other)
    union = (a | b).total()
    return (a & b).total() / union if union else 1.0
