"""Turn-level credit as a library: a turn table, pure modules over its columns, pipelines of modules."""

from agentgym.credit.module import CreditModule
from agentgym.credit.pipeline import Pipeline
from agentgym.credit.table import TurnTable

__all__ = ["CreditModule", "Pipeline", "TurnTable"]
