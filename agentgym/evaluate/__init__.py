"""How well a policy does: success with an interval, pass@k, what happens turn by turn, and what differs between two.

Trajectories that met a broken world are counted, and left out of every other number.
"""

from agentgym.evaluate.kinds import Kinds, Part, breakdown, by_ending, kinds_of
from agentgym.evaluate.playing import Setting, evaluate, play
from agentgym.evaluate.result import EvalResult, Measured, metrics_of, summarise
from agentgym.evaluate.statistics import (
    Z95,
    Figure,
    effective_attempts,
    figure,
    pass_at_k,
    pass_table,
    wilson,
)  # fmt: skip
from agentgym.evaluate.turns import Spread, fault_of, turn_figures, turn_values

__all__ = [
    "Z95",
    "EvalResult",
    "Figure",
    "Kinds",
    "Measured",
    "Part",
    "Setting",
    "Spread",
    "breakdown",
    "by_ending",
    "effective_attempts",
    "evaluate",
    "fault_of",
    "figure",
    "kinds_of",
    "metrics_of",
    "pass_at_k",
    "pass_table",
    "play",
    "summarise",
    "turn_figures",
    "turn_values",
    "wilson",
]
