"""What turns are paid for: components by rising priority, each a number of its own with a weight.

| component | paid for | raw value |
|---|---|---|
| `format` | a turn whose calls can be carried out as written | 1 |
| `tool_success` | a turn whose calls all do what was asked, without a mistake or an exit code | 1 |
| `located` | the first look at a file that the fix changes | 1, once |
| `edited` | the first change of such a file | 1, once |
| `applies` | at the end: there is a patch, and it applies to the pristine repository | 1 |
| `tests` | at the end: tests fixed, weighed by difficulty, with the others kept | 0 to 1 |
| `resolved` | at the end: every test is as it should be | 1 |

The order is that of priorities in gated accumulation (G-RA, arXiv 2508.10548): the credit module `gated-accumulation`
reads the columns `reward.NAME`, and lets what is low count only where what is high was reached. The outcome is
`resolved` alone, whatever the weights are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WEIGHTS: Mapping[str, float] = {
    "format": 0.01,
    "tool_success": 0.01,
    "located": 0.05,
    "edited": 0.05,
    "applies": 0.05,
    "tests": 0.2,
    "resolved": 1.0,
}
"""The default weight of each component."""
DIFFICULTIES = 4


def partial(
    fixed: Sequence[str],
    failing: Sequence[str],
    kept: int,
    broken: int,
    difficulty: int = DIFFICULTIES,
    test_weights: Mapping[str, float] | None = None,
) -> float:
    """Partial success: the share of the tests to fix that are fixed, by weight, times the share of the others kept.

    Args:
        fixed: tests that failed before and pass now.
        failing: tests that should pass now and do not.
        kept: how many others pass as before.
        broken: how many do not.
        difficulty: of the task, 1 to 4; the value is at most that share of 1, so that much of a hard task is worth
            more than much of an easy one.
        test_weights: of single tests; 1 where not given.

    Source: VeRPO, arXiv 2601.03525, for tests weighed by difficulty; weights that are learnt from how often each test
    passes are the scorer `test-difficulty`'s, which reads `info["tests"]`. The factor for what is kept is ours.

    >>> partial(["a"], ["b"], 3, 1, difficulty=4)
    0.375
    """
    known = test_weights or {}
    done = sum(known.get(name, 1.0) for name in fixed)
    whole = done + sum(known.get(name, 1.0) for name in failing)
    share = done / whole if whole > 0 else 0.0
    same = kept / (kept + broken) if kept + broken else 1.0
    return share * same * min(max(difficulty, 1), DIFFICULTIES) / DIFFICULTIES
