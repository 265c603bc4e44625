"""What a plan is played with: a dry run's sample measures the evaluation only if both are made in the same way."""

from __future__ import annotations

from typing import Any

from agentgym import registry
from agentgym.cli.evaluating import build_policy
from agentgym.evaluate import Setting
from agentgym.evaluate.plan import Entrant, Plan
from agentgym.limits import Limits
from agentgym.policy import Sampling


def setting_of(plan: Plan, slots: int) -> Setting:
    """What all contestants share, with so many attempts of each in flight."""
    return Setting(
        env=plan.env,
        limits=Limits(turns=plan.turns, tokens=plan.tokens, seconds=plan.seconds),
        sampling=Sampling(temperature=plan.temperature, max_tokens=plan.max_tokens),
        dialect=plan.dialect,
        system=plan.system,
        slots=slots,
    )


def policy_of(plan: Plan, entrant: Entrant) -> Any:
    """A contestant's policy, to be closed by whoever asked for it; raises as `policy_arguments` does."""
    dialect = plan.dialect or registry.spec(plan.env).dialect
    return build_policy(entrant.policy, dialect, entrant.model, entrant.options)
