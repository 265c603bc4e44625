"""Which turn won or lost an episode: what fresh continuations from each of its turns come to.

The value V_t of a trajectory before its turn t is the expected score of the whole episode given what was played up to
there, estimated by the mean score of k continuations that the policy plays from that state. The advantage of turn t is
V_{t+1} - V_t, with V_T the score that the trajectory had: what the turn, and the environment's answer to it, changed.
"""

from agentgym.branch.branching import branch
from agentgym.branch.continuing import Continuations
from agentgym.branch.credit_check import CreditCheck, credit_check
from agentgym.branch.storing import FILE, read_decisive, write_decisive
from agentgym.branch.values import Branched, Change, Refused, Value

__all__ = [
    "FILE",
    "Branched",
    "Change",
    "Continuations",
    "CreditCheck",
    "Refused",
    "Value",
    "branch",
    "credit_check",
    "read_decisive",
    "write_decisive",
]
